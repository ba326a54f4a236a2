//! The URL under which the client reached us.

use crate::state::ApiState;
use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::HOST;
use http::request::Parts;
use std::convert::Infallible;
use windlass_wire::BASE_URL_HEADER;

/// Marks requests that came over TLS to the API's own port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OverTls;

/// The base of URLs in answers, without a trailing slash. It is what `windlass connect` says, else
/// it follows the request's `Host`, because people come through tunnels and proxies; without one
/// it is the configured URL.
#[derive(Clone, Debug)]
pub(crate) struct BaseUrl(pub(crate) String);

impl FromRequestParts<ApiState> for BaseUrl {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Infallible> {
        let over_tls = parts.extensions.get::<OverTls>().is_some();
        Ok(Self(base_url(&parts.headers, over_tls, &state.platform.settings().api_url)))
    }
}

impl BaseUrl {
    /// Returns the host with a port, as clients without schemes need it.
    pub(crate) fn host_and_port(&self) -> String {
        let (scheme, host) = self.0.split_once("://").unwrap_or(("http", &self.0));
        let name_end = host.rfind(']').map_or(0, |end| end + 1);
        match host[name_end..].contains(':') {
            true => host.to_owned(),
            false => format!("{host}:{}", if scheme == "https" { 443 } else { 80 }),
        }
    }

    /// Returns the host under which the server itself was asked, without a port: by the client, or
    /// by the `windlass connect` between them.
    pub(crate) fn host_of_server(headers: &HeaderMap, configured: &str) -> String {
        let said = headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = said.filter(|host| is_host(host)).unwrap_or_else(|| {
            let host = configured.split_once("://").map_or(configured, |(_, rest)| rest);
            host.split('/').next().unwrap_or_default()
        });
        match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address.to_owned(),
            None => host.split(':').next().unwrap_or_default().to_owned(),
        }
    }

    /// Returns `url` with the configured base replaced by this one.
    pub(crate) fn rebase(&self, url: &str, configured: &str) -> String {
        match url.strip_prefix(configured.trim_end_matches('/')) {
            Some(path) if path.starts_with('/') => format!("{}{path}", self.0),
            _ => url.to_owned(),
        }
    }
}

fn base_url(headers: &HeaderMap, over_tls: bool, configured: &str) -> String {
    let configured = configured.trim_end_matches('/');
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(said) = text(BASE_URL_HEADER).filter(|url| is_base(url)) {
        return said.to_owned();
    }
    let host = text(HOST.as_str()).filter(|host| is_host(host));
    let Some(host) = host else { return configured.to_owned() };
    let scheme = match text("x-forwarded-proto") {
        Some(scheme @ ("http" | "https")) => scheme,
        _ if over_tls => "https",
        _ if configured.starts_with("https:") => "https",
        _ => "http",
    };
    format!("{scheme}://{host}")
}

fn is_base(url: &str) -> bool {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    host.is_some_and(is_host)
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
        base_url(&headers, false, "http://api.localhost:5000/")
    }

    #[test]
    fn follows_the_host() {
        assert_eq!(with(&[]), "http://api.localhost:5000");
        assert_eq!(with(&[("host", "tunnel:99")]), "http://tunnel:99");
        assert_eq!(with(&[("host", "[::1]:99")]), "http://[::1]:99");
        assert_eq!(with(&[("host", "a.b"), ("x-forwarded-proto", "https")]), "https://a.b");
        assert_eq!(with(&[("host", "a.b"), ("x-forwarded-proto", "gopher")]), "http://a.b");
        assert_eq!(with(&[("host", "evil/path?x=")]), "http://api.localhost:5000");
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("a.b:1"))]);
        assert_eq!(base_url(&headers, true, "http://x"), "https://a.b:1");
    }

    #[test]
    fn a_forwarder_says_what_it_stands_for() {
        let said = |url| with(&[("host", "a.b"), (BASE_URL_HEADER, url)]);
        assert_eq!(said("https://localhost:7443"), "https://localhost:7443");
        assert_eq!(said("https://localhost:7443/x"), "http://a.b");
        assert_eq!(said("javascript:x"), "http://a.b");
    }

    #[test]
    fn a_port_is_always_named_where_it_must_be() {
        let of = |url: &str| BaseUrl(url.to_owned()).host_and_port();
        assert_eq!(of("https://localhost:7443"), "localhost:7443");
        assert_eq!(of("https://api.example.com"), "api.example.com:443");
        assert_eq!(of("http://[::1]"), "[::1]:80");
        assert_eq!(of("http://[::1]:8081"), "[::1]:8081");
    }

    #[test]
    fn the_server_has_a_host_of_its_own() {
        let of = |headers: &[(&'static str, &'static str)]| {
            let pair = |(name, value): &(&'static str, &'static str)| {
                (name.parse().unwrap(), HeaderValue::from_static(value))
            };
            let headers = headers.iter().map(pair).collect();
            BaseUrl::host_of_server(&headers, "https://paas.example.com:8443/")
        };
        assert_eq!(of(&[]), "paas.example.com");
        assert_eq!(of(&[("host", "a b")]), "paas.example.com");
        assert_eq!(of(&[("host", "10.0.0.7")]), "10.0.0.7");
        assert_eq!(of(&[("host", "[::1]:8081")]), "::1");
        let forwarded = [("host", "a.b:81"), (BASE_URL_HEADER, "https://localhost:7443")];
        assert_eq!(of(&forwarded), "a.b");
    }

    #[test]
    fn rebases_only_our_own_urls() {
        let base = BaseUrl("http://tunnel:99".into());
        assert_eq!(base.rebase("http://api:1/a.git", "http://api:1"), "http://tunnel:99/a.git");
        assert_eq!(base.rebase("http://api:10/a.git", "http://api:1"), "http://api:10/a.git");
    }
}
