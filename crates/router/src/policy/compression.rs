//! Whether a client can read compressed answers.

use super::RequestView;
use http::header;

/// Whether the client takes gzip, and does not only ask what an answer would be like.
pub(super) fn is_wanted(request: &impl RequestView) -> bool {
    let text = |value| std::str::from_utf8(value).unwrap_or_default();
    let mut codings = request
        .header_values(&header::ACCEPT_ENCODING)
        .map(text)
        .flat_map(|value| value.split(','));
    request.method() != "HEAD" && codings.any(is_gzip)
}

/// `gzip`, `gzip;q=0.5` or `*`, but not `gzip;q=0`.
fn is_gzip(coding: &str) -> bool {
    let mut parts = coding.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let refused = parts.any(|part| {
        let quality = part.strip_prefix("q=").and_then(|quality| quality.parse::<f32>().ok());
        quality.is_some_and(|quality| quality <= 0.0)
    });
    (name.eq_ignore_ascii_case("gzip") || name == "*") && !refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_unless_it_is_refused() {
        for (coding, taken) in [
            ("gzip", true),
            (" GZIP ", true),
            ("gzip;q=0.5", true),
            ("gzip; q=0", false),
            ("gzip;q=0.000", false),
            ("*", true),
            ("br", false),
            ("x-gzip-like", false),
            ("", false),
        ] {
            assert_eq!(is_gzip(coding), taken, "{coding}");
        }
    }
}
