//! Heads of HTTP/2 and HTTP/3 made those of HTTP/1 and back (RFC 9113, 8.2 and 8.3; RFC 8441;
//! RFC 9114, 4.2 and 4.3).

use h2::ext::Protocol;
use http::header::{self, HeaderName};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri};

const WEBSOCKET_KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const WEBSOCKET_VERSION: HeaderName = HeaderName::from_static("sec-websocket-version");
const WEBSOCKET_ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");

/// Headers that speak of one connection of HTTP/1.
const OF_HTTP1: [HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// The head can be read in two ways: the stream is reset.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Makes the head of a request what HTTP/1 would have brought, but for its version: origin form, one
/// `Host`, one `Cookie`. Returns whether the client wants a WebSocket. That no header of a connection
/// is there `h2` has checked, and [`check`] does it for HTTP/3.
pub(crate) fn to_http1(parts: &mut Parts) -> Result<bool, Malformed> {
    // The body's length is compared with one only.
    let mut lengths = parts.headers.get_all(header::CONTENT_LENGTH).iter();
    let is_number = |said: &HeaderValue| {
        (1..20).contains(&said.len()) && said.as_bytes().iter().all(u8::is_ascii_digit)
    };
    if !lengths.next().is_none_or(is_number) || lengths.next().is_some() {
        return Err(Malformed);
    }
    // `http` takes it for a letter of names, which nobody else does.
    if parts.headers.keys().any(|name| name.as_str().contains('"')) {
        return Err(Malformed);
    }
    name_host(parts)?;
    join_cookies(&mut parts.headers);
    if parts.method == Method::CONNECT && !asks_for_websocket(parts) {
        return Ok(false);
    }
    let path = parts.uri.path_and_query().cloned();
    let path = path.unwrap_or(PathAndQuery::from_static("/"));
    let is_of_server = path.as_str() == "*" && parts.method == Method::OPTIONS;
    if !path.as_str().starts_with('/') && !is_of_server {
        return Err(Malformed);
    }
    parts.uri = Uri::from(path);
    if parts.method != Method::CONNECT {
        return Ok(false);
    }
    parts.method = Method::GET;
    let headers = &mut parts.headers;
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(WEBSOCKET_KEY, websocket_key());
    headers.entry(WEBSOCKET_VERSION).or_insert(HeaderValue::from_static("13"));
    Ok(true)
}

fn asks_for_websocket(parts: &Parts) -> bool {
    let protocol = parts.extensions.get::<Protocol>();
    protocol.is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"))
}

/// Says `:authority` in `Host`, which must not name another.
fn name_host(parts: &mut Parts) -> Result<(), Malformed> {
    let mut named = parts.headers.get_all(header::HOST).iter();
    let (host, more) = (named.next(), named.next());
    let Some(authority) = parts.uri.authority() else { return Ok(()) };
    let authority = authority.as_str();
    let differs =
        host.is_some_and(|host| !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()));
    if more.is_some() || differs || authority.contains('@') {
        return Err(Malformed);
    }
    if host.is_none() {
        let host = HeaderValue::from_str(authority).map_err(|_| Malformed)?;
        parts.headers.insert(header::HOST, host);
    }
    Ok(())
}

/// Clients send cookies one by one, which compresses better; apps know one header.
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    // Made of valid values, it is one.
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(header::COOKIE, joined);
    }
}

/// Returns 16 random bytes in base64. They are to tell an answer from a cached one, no secret.
fn websocket_key() -> HeaderValue {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let random = fastrand::u128(..);
    let mut key = [b'='; 24];
    for (at, digit) in key.iter_mut().take(22).enumerate() {
        // The last digit stands for two bits only.
        let bits = if at == 21 { (random >> 126) << 4 } else { random >> (6 * at) };
        *digit = DIGITS[usize::try_from(bits % 64).unwrap_or_default()];
    }
    HeaderValue::from_bytes(&key).unwrap_or(HeaderValue::from_static(""))
}

/// Refuses what speaks of one connection of HTTP/1, which nobody may say here.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), Malformed> {
    let te = headers.get_all(header::TE).iter();
    let only_trailers = te.into_iter().all(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    let says_none = OF_HTTP1.iter().all(|name| !headers.contains_key(name));
    if only_trailers && says_none { Ok(()) } else { Err(Malformed) }
}

/// Takes the headers that speak of one connection of HTTP/1 out of an answer.
pub(crate) fn to_stream(headers: &mut HeaderMap) {
    OF_HTTP1.iter().for_each(|name| drop(headers.remove(name)));
}

/// The same for the answer that begins a WebSocket.
pub(crate) fn to_tunnel(headers: &mut HeaderMap) {
    to_stream(headers);
    [WEBSOCKET_ACCEPT, header::CONTENT_LENGTH].iter().for_each(|name| drop(headers.remove(name)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut builder = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_host_is_that_of_the_authority() {
        let mut head = parts("GET", "http://A.example:81/x?y", &[]);
        assert_eq!(to_http1(&mut head), Ok(false));
        assert_eq!(head.uri, "/x?y");
        assert_eq!(head.headers["host"], "A.example:81");
        let mut head = parts("GET", "/x", &[("host", "b.example")]);
        assert_eq!(to_http1(&mut head), Ok(false));
        assert_eq!(head.headers["host"], "b.example");
        let mut head = parts("GET", "http://a.example/", &[("host", "A.EXAMPLE")]);
        assert_eq!(to_http1(&mut head), Ok(false));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_malformed() {
        for (uri, headers) in [
            ("http://a.example/", &[("host", "b.example")][..]),
            ("http://a.example/", &[("host", "a.example"), ("host", "a.example")]),
            ("http://user@a.example/", &[]),
            ("http://a.example/", &[("content-length", "1"), ("content-length", "1")]),
            ("http://a.example/", &[("content-length", "+1")]),
            ("http://a.example/", &[("content-length", "one")]),
            ("http://a.example/", &[("content-length", "")]),
            ("http://a.example/", &[("content-length", "99999999999999999999")]),
            ("*", &[("host", "a.example")]),
        ] {
            assert_eq!(to_http1(&mut parts("GET", uri, headers)), Err(Malformed), "{uri}");
        }
        let mut quoted = parts("GET", "http://a.example/", &[]);
        let name = HeaderName::from_lowercase(b"x\"y").unwrap();
        quoted.headers.insert(name, HeaderValue::from_static("1"));
        assert_eq!(to_http1(&mut quoted), Err(Malformed));
        let mut without_path = parts("GET", "/", &[("host", "a.example")]);
        without_path.uri = Uri::from(PathAndQuery::from_static("?x"));
        assert_eq!(to_http1(&mut without_path), Err(Malformed));
    }

    #[test]
    fn cookies_are_one_header() {
        let crumbs = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")];
        let mut head = parts("GET", "http://a.example/", &crumbs);
        assert_eq!(to_http1(&mut head), Ok(false));
        let cookies: Vec<_> = head.headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
    }

    #[test]
    fn an_extended_connect_is_an_upgrade() {
        let mut head = parts("CONNECT", "https://a.example/chat", &[]);
        head.extensions.insert(Protocol::from_static("websocket"));
        assert_eq!(to_http1(&mut head), Ok(true));
        assert_eq!((head.method.as_str(), head.uri.path()), ("GET", "/chat"));
        assert_eq!(head.headers["upgrade"], "websocket");
        assert_eq!(head.headers["sec-websocket-version"], "13");
        let key = head.headers["sec-websocket-key"].to_str().unwrap().to_owned();
        assert_eq!((key.len(), &key[22..]), (24, "=="));
        assert!("AQgw".contains(key.as_bytes()[21] as char), "{key}");
        let mut head = parts("CONNECT", "https://a.example/chat", &[]);
        head.extensions.insert(Protocol::from_static("connect-udp"));
        assert_eq!(to_http1(&mut head), Ok(false));
        assert_eq!(head.method, "CONNECT", "which is refused");
    }

    #[test]
    fn a_request_has_no_header_of_a_connection() {
        for (name, value, fine) in [
            ("te", "trailers", true),
            ("te", "gzip", false),
            ("transfer-encoding", "chunked", false),
            ("connection", "close", false),
            ("upgrade", "websocket", false),
            ("content-length", "1", true),
        ] {
            let headers = parts("GET", "/", &[(name, value)]).headers;
            assert_eq!(check(&headers).is_ok(), fine, "{name}: {value}");
        }
    }

    #[test]
    fn an_answer_has_no_header_of_a_connection() {
        let mut headers = HeaderMap::new();
        for name in ["connection", "keep-alive", "transfer-encoding", "upgrade", "x", "trailer"] {
            headers.insert(name, HeaderValue::from_static("v"));
        }
        to_stream(&mut headers);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["trailer", "x"]);
    }
}
