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

/// Reads where a chunk of an upload begins: `Content-Range: 0-99` or `bytes 0-99/*`.
pub(super) fn chunk_begins(header: Option<&str>) -> Option<u64> {
    let text = header?.trim();
    let text = text.strip_prefix("bytes ").unwrap_or(text);
    text.split_once('-')?.0.trim().parse().ok()
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
    fn where_chunks_begin() {
        assert_eq!(chunk_begins(Some("0-99")), Some(0));
        assert_eq!(chunk_begins(Some("100-199")), Some(100));
        assert_eq!(chunk_begins(Some("bytes 100-199/*")), Some(100));
        for nothing in [None, Some(""), Some("x-1"), Some("-5")] {
            assert_eq!(chunk_begins(nothing), None, "{nothing:?}");
        }
    }
}
