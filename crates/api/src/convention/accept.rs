//! `Accept`: only version 3 of the API is spoken.

use super::ApiError;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};

/// Refuses who asks for another version and nothing else. Variants (`version=3.sdk`) are hints, and
/// whoever asks for any other type gets JSON.
pub(crate) async fn check(request: Request, next: Next) -> Response {
    match other_version(request.headers()) {
        Some(version) => {
            let message = format!(
                "Version {version:?} of the API is not spoken here. Send `Accept: application/vnd.heroku+json; version=3`."
            );
            ApiError::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", message).into_response()
        }
        None => next.run(request).await,
    }
}

/// Returns the version that is asked for, if every accepted type is another version than 3.
fn other_version(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut other = None;
    for range in values.flat_map(|value| value.split(',')) {
        let (kind, parameters) = range.split_once(';').unwrap_or((range, ""));
        let version = parameters
            .split(';')
            .find_map(|parameter| parameter.trim().strip_prefix("version="))
            .map(|version| version.trim_matches('"'));
        match version {
            Some(version)
                if kind.trim().eq_ignore_ascii_case("application/vnd.heroku+json")
                    && version.split('.').next() != Some("3") =>
            {
                other = Some(version.chars().take(20).collect());
            }
            _ => return None,
        }
    }
    other
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn only_another_version_alone_is_refused() {
        let cases = [
            ("application/vnd.heroku+json; version=3", None),
            ("application/vnd.heroku+json; version=3.sdk", None),
            ("application/vnd.heroku+json;version=3.cedar-acm", None),
            ("application/vnd.heroku+json", None),
            ("*/*", None),
            ("text/html, application/vnd.heroku+json; version=2", None),
            ("application/vnd.heroku+json; version=2", Some("2")),
            ("application/vnd.heroku+json; version=33", Some("33")),
        ];
        for (text, expected) in cases {
            let headers = [(ACCEPT, HeaderValue::from_static(text))].into_iter().collect();
            assert_eq!(other_version(&headers).as_deref(), expected, "{text}");
        }
        assert_eq!(other_version(&HeaderMap::new()), None);
    }
}
