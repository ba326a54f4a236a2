//! Mutated heads of HTTP/2 and HTTP/3: what a target that speaks HTTP/1 finds in them.

use super::headers::{remove_hop_by_hop, take_host};
use crate::fuzz::fuzz;
use crate::http1;
use crate::streams::head::{check, to_http1};
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, Request, Uri};

/// Reads a head that is written as lines: method, authority, path, and headers, as `h2` and `h3`
/// make it of what they get.
fn parts(input: &[u8]) -> Option<Parts> {
    let mut lines = input.split(|byte| *byte == b'\n');
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(lines.next()?).ok()?;
    let authority = Some(lines.next()?).filter(|authority| !authority.is_empty());
    let mut uri = http::uri::Parts::default();
    if let Some(authority) = authority {
        uri.authority = Some(Authority::try_from(authority).ok()?);
        uri.scheme = Some(Scheme::HTTPS);
    }
    uri.path_and_query = Some(PathAndQuery::try_from(lines.next()?).ok()?);
    *request.uri_mut() = Uri::from_parts(uri).ok()?;
    for line in lines {
        let at = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_lowercase(&line[..at]).ok()?;
        let value = HeaderValue::from_bytes(line[at + 1..].trim_ascii()).ok()?;
        request.headers_mut().append(name, value);
    }
    Some(request.into_parts().0)
}

#[test]
fn heads_of_streams_are_clear_to_targets() {
    fuzz("heads.txt", |input, _| {
        let Some(mut parts) = parts(input) else { return "no head".to_owned() };
        if check(&parts.headers).is_err() || to_http1(&mut parts) != Ok(false) {
            return "malformed".to_owned();
        }
        let Some(host) = take_host(&mut parts) else { return "no host".to_owned() };
        if parts.method == Method::CONNECT {
            return "refused".to_owned();
        }
        remove_hop_by_hop(&mut parts.headers);
        let said = parts.headers.get(CONTENT_LENGTH).cloned();
        let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str).to_owned();
        let names = parts.headers.keys_len();
        let head = http1::write_head(&Request::from_parts(parts, ()));
        let Some((found_host, found_path, length)) = http1::found(&head) else {
            panic!("not clear: {}", head.escape_ascii());
        };
        assert_eq!((found_host, &found_path), (host, &path), "{}", head.escape_ascii());
        let said = said.map_or(0, |said| said.to_str().unwrap().parse().unwrap());
        assert_eq!(length, said, "{}", head.escape_ascii());
        format!("{} {} {names}", path.len().min(9), said.min(3))
    });
}
