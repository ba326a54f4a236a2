//! The URL under which the client reached us.

use crate::state::ApiState;
use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::HOST;
use http::request::Parts;
use std::convert::Infallible;

/// The base of URLs in answers, without a trailing slash. It follows the request's `Host`, because
/// people come through tunnels and proxies; without one it is the configured URL.
#[derive(Clone, Debug)]
pub(crate) struct BaseUrl(pub(crate) String);

impl FromRequestParts<ApiState> for BaseUrl {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Infallible> {
        Ok(Self(base_url(&parts.headers, &state.platform.settings().api_url)))
    }
}

impl BaseUrl {
    /// Returns `url` with the configured base replaced by this one.
    pub(crate) fn rebase(&self, url: &str, configured: &str) -> String {
        match url.strip_prefix(configured.trim_end_matches('/')) {
            Some(path) if path.starts_with('/') => format!("{}{path}", self.0),
            _ => url.to_owned(),
        }
    }
}

fn base_url(headers: &HeaderMap, configured: &str) -> String {
    let configured = configured.trim_end_matches('/');
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).filter(|host| is_host(host));
    let Some(host) = host else { return configured.to_owned() };
    let forwarded = headers.get("x-forwarded-proto").and_then(|scheme| scheme.to_str().ok());
    let scheme = match forwarded {
        Some(scheme @ ("http" | "https")) => scheme,
        _ if configured.starts_with("https:") => "https",
        _ => "http",
    };
    format!("{scheme}://{host}")
}

/// Whether the text is a host with or without a port, and nothing that could break out of a URL.
fn is_host(text: &str) -> bool {
    let allowed = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
    };
    (1..=260).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn with(headers: &[(&'static str, &'static str)]) -> String {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect();
        base_url(&headers, "http://api.localhost:5000/")
    }

    #[test]
    fn follows_the_host() {
        assert_eq!(with(&[]), "http://api.localhost:5000");
        assert_eq!(with(&[("host", "tunnel:99")]), "http://tunnel:99");
        assert_eq!(with(&[("host", "[::1]:99")]), "http://[::1]:99");
        assert_eq!(with(&[("host", "a.b"), ("x-forwarded-proto", "https")]), "https://a.b");
        assert_eq!(with(&[("host", "a.b"), ("x-forwarded-proto", "gopher")]), "http://a.b");
        assert_eq!(with(&[("host", "evil/path?x=")]), "http://api.localhost:5000");
    }

    #[test]
    fn rebases_only_our_own_urls() {
        let base = BaseUrl("http://tunnel:99".into());
        assert_eq!(base.rebase("http://api:1/a.git", "http://api:1"), "http://tunnel:99/a.git");
        assert_eq!(base.rebase("http://api:10/a.git", "http://api:1"), "http://api:10/a.git");
    }
}
