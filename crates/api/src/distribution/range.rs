//! Ranges of blobs and of uploads.

/// Reads the range of a blob that is asked for: the first byte and how many. `Ok(None)` is all of it;
/// an error is a range that lies outside.
pub(super) fn wanted(header: Option<&str>, size: u64) -> Result<Option<(u64, u64)>, ()> {
    let Some(spec) = header.and_then(|text| text.trim().strip_prefix("bytes=")) else {
        return Ok(None);
    };
    // Several ranges in one are answered with all of it, as the specification of HTTP allows.
    let Some((first, last)) = spec.split_once('-').filter(|_| !spec.contains(',')) else {
        return Ok(None);
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let (first, last) = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => (first, last),
        (Some(first), None) if last.trim().is_empty() => (first, u64::MAX),
        (None, Some(count)) if first.trim().is_empty() && count > 0 => {
            (size.saturating_sub(count), u64::MAX)
        }
        _ => return Ok(None),
    };
    if first >= size {
        return Err(());
    }
    let last = last.min(size - 1);
    Ok(Some((first, last - first + 1)))
}

/// Reads the first and the last byte of a chunk of an upload: `Content-Range: 0-99` or
/// `bytes 0-99/*`.
pub(super) fn chunk(header: &str) -> Option<(u64, u64)> {
    let text = header.trim();
    let text = text.strip_prefix("bytes ").unwrap_or(text);
    let text = text.split_once('/').map_or(text, |(range, _)| range);
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_blobs() {
        let all = Ok(None);
        for (header, expected) in [
            (None, all),
            (Some("bytes=0-9"), Ok(Some((0, 10)))),
            (Some("bytes=90-"), Ok(Some((90, 10)))),
            (Some("bytes=90-500"), Ok(Some((90, 10)))),
            (Some("bytes=-10"), Ok(Some((90, 10)))),
            (Some("bytes=-500"), Ok(Some((0, 100)))),
            (Some("bytes=99-99"), Ok(Some((99, 1)))),
            (Some("bytes=100-"), Err(())),
            (Some("bytes=9-1"), all),
            (Some("bytes=0-1,5-6"), all),
            (Some("lines=0-1"), all),
            (Some("bytes=x-y"), all),
        ] {
            assert_eq!(wanted(header, 100), expected, "{header:?}");
        }
        assert_eq!(wanted(Some("bytes=0-"), 0), Err(()));
    }

    #[test]
    fn where_chunks_begin_and_end() {
        assert_eq!(chunk("0-99"), Some((0, 99)));
        assert_eq!(chunk("100-199"), Some((100, 199)));
        assert_eq!(chunk("bytes 100-199/*"), Some((100, 199)));
        assert_eq!(chunk(" 0-0/1"), Some((0, 0)));
        for nothing in ["", "x-1", "-5", "5-", "9-1", "0", "bytes=0-1", "99999999999999999999-1"] {
            assert_eq!(chunk(nothing), None, "{nothing:?}");
        }
    }
}
