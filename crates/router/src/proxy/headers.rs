//! What the router checks, adds and removes in the heads of requests and responses.

use super::client_body::ClientBody;
use super::exchange::Exchange;
use super::forward::Failure;
use super::{HOP_BY_HOP, VIA, VIA_HTTP2, VIA_HTTP3};
use crate::access_log::ErrorCode;
use crate::http1;
use crate::listen::Client;
use crate::table::normalise_host;
use http::header::{self, HeaderName};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, Version};
use hyper::body::Body;
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_START: HeaderName = HeaderName::from_static("x-request-start");

/// Returns the host that the request is for, or `None` unless it has exactly one valid `Host`.
/// A request in absolute form becomes one in origin form, whose host is that of its URI.
pub(super) fn take_host(parts: &mut Parts) -> Option<String> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let (host, None) = (hosts.next()?, hosts.next()) else { return None };
    let Some(authority) = parts.uri.authority() else {
        return normalise_host(host.as_bytes());
    };
    let host = authority.as_str().rsplit('@').next()?.to_owned();
    parts.headers.insert(header::HOST, HeaderValue::try_from(host.as_str()).ok()?);
    let path = parts.uri.path_and_query().cloned();
    parts.uri = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
    normalise_host(host.as_bytes())
}

/// Returns the client's request id when it is fit for use, else a new one.
pub(super) fn request_id(headers: &HeaderMap) -> HeaderValue {
    request_id_like(headers.get(REQUEST_ID).map(HeaderValue::as_bytes))
}

/// The same for `given`, the client's X-Request-Id.
pub(crate) fn request_id_like(given: Option<&[u8]>) -> HeaderValue {
    let fit = |value: &&[u8]| {
        (20..=200).contains(&value.len())
            && value.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
    };
    let kept = given.filter(fit).and_then(|value| HeaderValue::from_bytes(value).ok());
    kept.unwrap_or_else(|| {
        // Identifiers, not secrets: a fast generator will do.
        let id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid();
        let mut buffer = [0; uuid::fmt::Hyphenated::LENGTH];
        let text = id.hyphenated().encode_lower(&mut buffer);
        HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
    })
}

/// Returns X-Forwarded-For with the client's address at its end.
pub(super) fn forwarded_for(headers: &HeaderMap, client: &Client) -> HeaderValue {
    client.forwarded_for(headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes))
}

fn append<'a>(existing: impl Iterator<Item = &'a HeaderValue>, value: &HeaderValue) -> HeaderValue {
    let mut joined = Vec::new();
    for part in existing {
        joined.extend_from_slice(part.as_bytes());
        joined.extend_from_slice(b", ");
    }
    if joined.is_empty() {
        return value.clone();
    }
    joined.extend_from_slice(value.as_bytes());
    HeaderValue::from_bytes(&joined).unwrap_or_else(|_| value.clone())
}

/// Refuses a path or a header line that is too long.
pub(super) fn check_sizes(
    parts: &Parts,
    request_line: usize,
    header_line: usize,
) -> Result<(), Failure> {
    if parts.uri.path_and_query().is_some_and(|path| path.as_str().len() > request_line) {
        return Err(Failure::TooLong(StatusCode::URI_TOO_LONG));
    }
    if parts.headers.iter().any(|(name, value)| name.as_str().len() + value.len() > header_line) {
        return Err(Failure::TooLong(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    }
    Ok(())
}

/// Takes out `Expect`, which the router itself meets when it begins to read the body.
pub(super) fn check_expect(headers: &mut HeaderMap) -> Result<(), Failure> {
    let is_known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    let all_known = headers.get_all(header::EXPECT).iter().all(is_known);
    headers.remove(header::EXPECT);
    if all_known { Ok(()) } else { Err(Failure::Code(ErrorCode::UnsupportedExpect)) }
}

/// Removes headers that some programs take for others, which only the router may say.
fn remove_aliases(headers: &mut HeaderMap) {
    let is_alias = |name: &&HeaderName| http1::is_alias(name.as_str().as_bytes());
    let aliases: Vec<HeaderName> = headers.keys().filter(is_alias).cloned().collect();
    aliases.iter().for_each(|name| drop(headers.remove(name)));
}

/// Makes the client's headers those for the target; returns whether an upgrade is asked for.
pub(super) fn prepare_request(parts: &mut Parts, exchange: &Exchange, body: &ClientBody) -> bool {
    let via = via(parts.version);
    let headers = &mut parts.headers;
    // Of a tunnel in which requests come nobody would know whose they are.
    let may_upgrade = |protocol: &&HeaderValue| {
        body.is_end_stream()
            && has_token(headers, "upgrade")
            && !http1::is_of_http(protocol.as_bytes())
    };
    let upgrade = headers.get(header::UPGRADE).filter(may_upgrade).cloned();
    remove_hop_by_hop(headers);
    remove_aliases(headers);
    headers.remove(header::PROXY_AUTHORIZATION);
    if let Some(protocol) = &upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol.clone());
    }
    if !body.is_end_stream() && body.size_hint().exact().is_none() {
        // Said openly, because hyper would send a GET without it and so without its body.
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let (scheme, port) = (headers.remove(FORWARDED_PROTO), headers.remove(FORWARDED_PORT));
    let scheme = scheme.as_ref().map(HeaderValue::as_bytes);
    tell_target(exchange, scheme, port.as_ref().map(HeaderValue::as_bytes), |name, value| {
        headers.insert(name, value.clone());
    });
    headers.insert(header::VIA, append(headers.get_all(header::VIA).iter(), &via));
    upgrade.is_some()
}

/// Says what every target is told of a request, in the place of what the client said in headers of
/// the same names. `scheme` and `port` are the client's X-Forwarded-Proto and -Port.
pub(crate) fn tell_target(
    exchange: &Exchange,
    scheme: Option<&[u8]>,
    port: Option<&[u8]>,
    mut tell: impl FnMut(HeaderName, &HeaderValue),
) {
    let client = exchange.client();
    let scheme = client.forwarded_scheme(scheme);
    tell(FORWARDED_FOR, exchange.forwarded_for());
    tell(FORWARDED_PROTO, &HeaderValue::from_static(scheme));
    tell(FORWARDED_PORT, &client.forwarded_port(port, scheme));
    tell(REQUEST_ID, exchange.request_id());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = HeaderValue::from(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    tell(REQUEST_START, &now);
}

fn via(version: Version) -> HeaderValue {
    match version {
        Version::HTTP_2 => VIA_HTTP2,
        Version::HTTP_3 => VIA_HTTP3,
        _ => VIA,
    }
}

/// Makes the target's headers those for the client.
pub(super) fn prepare_response<B>(response: &mut Response<B>, switching: bool) {
    let via = via(response.version());
    let headers = response.headers_mut();
    let upgrade = headers.get(header::UPGRADE).filter(|_| switching).cloned();
    remove_hop_by_hop(headers);
    if let Some(protocol) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol);
    }
    headers.insert(header::VIA, append(headers.get_all(header::VIA).iter(), &via));
}

/// Removes the headers of this connection, and those that `Connection` names.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let plain = |value: &HeaderValue| {
        ["keep-alive", "close", "upgrade"]
            .iter()
            .any(|token| value.as_bytes().eq_ignore_ascii_case(token.as_bytes()))
    };
    if !headers.get_all(header::CONNECTION).iter().all(plain) {
        let named: Vec<HeaderName> = tokens(headers)
            .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
            // These say what the message is; no sender may have them taken out.
            .filter(|name| {
                ![header::HOST, header::CONTENT_LENGTH, header::CONTENT_TYPE].contains(name)
            })
            .collect();
        named.iter().for_each(|name| drop(headers.remove(name)));
    }
    HOP_BY_HOP.iter().for_each(|name| drop(headers.remove(name)));
}

fn has_token(headers: &HeaderMap, wanted: &str) -> bool {
    tokens(headers).any(|token| token.eq_ignore_ascii_case(wanted))
}

fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let lines = lines.iter();
        lines
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn parts(uri: &str, hosts: &[&'static str]) -> Parts {
        let mut builder = http::Request::builder().uri(uri);
        for host in hosts {
            builder = builder.header(header::HOST, *host);
        }
        builder.body(()).unwrap().into_parts().0
    }

    #[test]
    fn exactly_one_host() {
        assert_eq!(take_host(&mut parts("/", &["A.b:80"])).as_deref(), Some("a.b"));
        assert_eq!(take_host(&mut parts("/", &[])), None);
        assert_eq!(take_host(&mut parts("/", &["a.b", "a.b"])), None);
        let mut absolute = parts("http://user@Real.example:81/x?y", &["other"]);
        assert_eq!(take_host(&mut absolute).as_deref(), Some("real.example"));
        assert_eq!(absolute.uri, "/x?y");
        assert_eq!(absolute.headers[header::HOST], "Real.example:81");
    }

    #[test]
    fn request_ids_are_kept_or_made() {
        let kept = "abcdefghij-0123456789";
        assert_eq!(request_id(&headers(&[("x-request-id", kept)])), kept);
        for bad in ["short", "with spaces and 20 characters", "0123456789012345678\"0"] {
            let made = request_id(&headers(&[("x-request-id", bad)]));
            let made = uuid::Uuid::parse_str(made.to_str().unwrap()).unwrap();
            assert_eq!(made.get_version_num(), 4);
        }
    }

    #[test]
    fn hop_by_hop_headers_are_removed() {
        let mut map = headers(&[
            ("connection", "Keep-Alive, X-Secret"),
            ("connection", "host"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("x-secret", "1"),
            ("host", "a.b"),
            ("accept", "*/*"),
        ]);
        remove_hop_by_hop(&mut map);
        let names: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["host", "accept"]);
    }
}
