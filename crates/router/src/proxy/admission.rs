//! What an app's settings say about a request, on the general path.

use super::body::AnswerBody;
use super::exchange::Exchange;
use super::forward::Failure;
use super::headers::{FORWARDED_FOR, FORWARDED_PROTO};
use super::pages::Reader;
use crate::access_log::ErrorCode;
use crate::policy::{self, Answer, RequestView, Verdict};
use http::header::HeaderName;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri};
use std::net::IpAddr;

/// Lets a request pass, with the path that the app gets, or says what to answer in its place.
pub(super) async fn admit(exchange: &mut Exchange, parts: &mut Parts) -> Result<(), Failure> {
    if exchange.app().policy.is_none() {
        return Ok(());
    }
    let verdict = policy::admit(exchange.app(), &View::new(exchange, parts)).await;
    let changes = match verdict {
        Verdict::Answer(answer) => return Err(Failure::Refused(answer)),
        Verdict::Pass(changes) => changes,
    };
    let path = changes.path_and_query.as_deref().map(PathAndQuery::try_from);
    // A part of what was a path before is one too.
    if let Some(Ok(path)) = path {
        parts.uri = Uri::from(path);
    }
    exchange.set_changes(changes);
    Ok(())
}

/// Answers in the app's place.
pub(crate) fn refuse(
    exchange: &mut Exchange,
    reader: &Reader,
    answer: Answer,
) -> Response<AnswerBody> {
    exchange.answer(answer.status);
    exchange.finish();
    if answer.status == StatusCode::PAYLOAD_TOO_LARGE {
        exchange.fail(ErrorCode::BodyTooLarge);
    }
    reader.refused(answer)
}

struct View<'a> {
    method: &'a str,
    host: &'a str,
    path_and_query: &'a str,
    headers: &'a HeaderMap,
    is_https: bool,
    client: IpAddr,
    https_port: Option<u16>,
}

impl<'a> View<'a> {
    fn new(exchange: &'a Exchange, parts: &'a Parts) -> Self {
        let headers = &parts.headers;
        let (client, listening) = (exchange.client(), &exchange.router().listening);
        let scheme = headers.get(&FORWARDED_PROTO).map(HeaderValue::as_bytes);
        let forwarded_for: Vec<&[u8]> =
            headers.get_all(&FORWARDED_FOR).iter().map(HeaderValue::as_bytes).collect();
        Self {
            method: parts.method.as_str(),
            host: exchange.host(),
            path_and_query: parts.uri.path_and_query().map_or("*", PathAndQuery::as_str),
            headers,
            is_https: client.forwarded_scheme(scheme) == "https",
            client: listening.trusted_proxies.origin(client.ip, forwarded_for.into_iter()),
            https_port: listening.https_public_port,
        }
    }
}

impl RequestView for View<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn is_https(&self) -> bool {
        self.is_https
    }

    fn host(&self) -> &str {
        self.host
    }

    fn path_and_query(&self) -> &str {
        self.path_and_query
    }

    fn header_values(&self, name: &HeaderName) -> impl Iterator<Item = &[u8]> {
        self.headers.get_all(name).iter().map(HeaderValue::as_bytes)
    }

    fn client_address(&self) -> IpAddr {
        self.client
    }

    fn https_port(&self) -> Option<u16> {
        self.https_port
    }
}
