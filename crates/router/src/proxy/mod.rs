//! One request from the client to a target and back.

pub(crate) mod admission;
pub(crate) mod body;
mod carrier;
pub(crate) mod client_body;
pub(crate) mod exchange;
pub(crate) mod forward;
#[cfg(test)]
mod fuzz;
mod gzip;
pub(crate) mod headers;
pub(crate) mod pages;
mod plain;
pub(crate) mod search;
mod target_body;
mod tunnel;

use crate::access_log::ErrorCode;
use crate::listen::Client;
use crate::policy::Changes;
use crate::run::Router;
use body::{Activity, AnswerBody, RequestBody, ResponseBody};
use client_body::ClientBody;
use exchange::{Asked, Exchange};
use forward::Failure;
use gzip::GzipBody;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Body;
use hyper::upgrade::OnUpgrade;
use pages::Reader;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use target_body::TargetBody;
use tunnel::ClientSide;

/// The exchange cannot go on: the client's connection is closed without another word.
#[derive(Debug, thiserror::Error)]
#[error("the exchange was broken off")]
pub(crate) struct BrokenOff;

/// Answers one request: with a target's response, a page of the router, or a tunnel.
pub(crate) async fn handle(
    router: Arc<Router>,
    client: Arc<Client>,
    request: Request<impl Into<ClientBody>>,
) -> Result<Response<AnswerBody>, BrokenOff> {
    router.requests.fetch_add(1, Ordering::Relaxed);
    let (mut parts, body) = request.into_parts();
    let body = body.into();
    let request_id = headers::request_id(&parts.headers);
    let reader = Reader::new(&parts.headers, request_id.clone());
    if parts.method == Method::CONNECT {
        return Ok(reader.refusal(StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not served here."));
    }
    let Some(host) = headers::take_host(&mut parts) else {
        return Ok(reader
            .refusal(StatusCode::BAD_REQUEST, "The request needs exactly one valid Host header."));
    };
    if let Some(answer) = crate::challenge::find(&router.table, &host, parts.uri.path()) {
        return Ok(reader.challenge(answer));
    }
    let Some(app) = router.table.current().find_at(&host, parts.uri.path()).cloned() else {
        return Ok(reader.unknown_host(&host));
    };
    let forwarded_for = headers::forwarded_for(&parts.headers, &client);
    let method = parts.method.clone();
    let path = parts.uri.path_and_query().map_or("*", |path| path.as_str());
    let asked = Asked { host, method, path, request_id, forwarded_for };
    let mut exchange = Exchange::new(router, client, app, asked);
    match carry(&mut exchange, parts, body).await {
        Ok(Reply::Stream(mut response, activity)) => {
            let compress = exchange.changes().is_some_and(Changes::compresses)
                && gzip::prepare(response.status(), response.headers_mut());
            Ok(response.map(|body| {
                let body = ResponseBody::new(body, exchange, activity);
                match compress {
                    true => AnswerBody::Gzip(Box::new(GzipBody::new(body))),
                    false => AnswerBody::Stream(Box::new(body)),
                }
            }))
        }
        Ok(Reply::Tunnel(response, client_side, target_side)) => {
            let (parts, body) = response.into_parts();
            // Its connection has the tunnel, and so a stream less for others.
            tunnel::start(exchange, client_side, target_side, body);
            Ok(Response::from_parts(parts, AnswerBody::empty()))
        }
        Err(Failure::UnknownHost) => {
            exchange.answer(StatusCode::NOT_FOUND);
            exchange.finish();
            Ok(reader.unknown_host(exchange.host()))
        }
        Err(Failure::TooLong(status)) => {
            exchange.fail(ErrorCode::BadHeader);
            exchange.answer(status);
            Ok(reader.refusal(status, "The request line or a header of the request is too long."))
        }
        // The client is gone, or has fallen silent in the middle of its request.
        Err(Failure::Code(code @ (ErrorCode::ClientIdle | ErrorCode::ClientInterrupted))) => {
            exchange.fail(code);
            Err(BrokenOff)
        }
        Err(Failure::Refused(answer)) => Ok(admission::refuse(&mut exchange, &reader, answer)),
        Err(Failure::Code(code)) => {
            exchange.fail(code);
            Ok(reader.failure_of(exchange.app(), code))
        }
    }
}

/// How a target answered.
enum Reply {
    Stream(Response<TargetBody>, Option<Arc<Activity>>),
    Tunnel(Response<TargetBody>, ClientSide, OnUpgrade),
}

/// Sends the request to a target and returns its response, ready for the client.
async fn carry(
    exchange: &mut Exchange,
    mut parts: Parts,
    body: ClientBody,
) -> Result<Reply, Failure> {
    let limits = &exchange.router().limits;
    headers::check_sizes(&parts, limits.request_line, limits.header_line)?;
    headers::check_expect(&mut parts.headers)?;
    admission::admit(exchange, &mut parts).await?;
    let upgrade = headers::prepare_request(&mut parts, exchange, &body);
    if let Some(changes) = exchange.changes() {
        changes.on_request(&mut parts.headers);
    }
    let client_side = if upgrade { ClientSide::take(&mut parts.extensions) } else { None };
    // Clients of every other version speak 1.1 from here on.
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    let has_body = !body.is_end_stream();
    let activity = has_body.then(|| Arc::new(Activity::new()));
    let body = activity.as_ref().map_or(RequestBody::empty(), |activity| {
        RequestBody::new(body, Arc::clone(activity), exchange)
    });
    let request = Request::from_parts(parts, body);
    let mut response =
        forward::forward(exchange, request, activity.as_deref(), client_side.is_some()).await?;
    exchange.answer(response.status());
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let target_side = response.extensions_mut().remove::<OnUpgrade>();
        let (Some(client_side), Some(target_side)) = (client_side, target_side) else {
            return Err(Failure::Code(ErrorCode::PoorResponse));
        };
        headers::prepare_response(&mut response, true);
        *response.version_mut() = Version::HTTP_11;
        return Ok(Reply::Tunnel(response, client_side, target_side));
    }
    // A client of HTTP/2 or HTTP/3 would take it for the beginning of its tunnel.
    if client_side.is_some_and(|client| client.is_stream()) && response.status().is_success() {
        return Err(Failure::Code(ErrorCode::PoorResponse));
    }
    headers::prepare_response(&mut response, false);
    if let Some(changes) = exchange.changes() {
        let instance = exchange.guard().map(|guard| guard.target().in_flight.instance());
        changes.on_response(response.headers_mut(), instance);
    }
    *response.version_mut() = Version::HTTP_11;
    Ok(Reply::Stream(response, activity))
}

/// Tells clients and targets who stood between them, and how the message came to it.
pub(crate) const VIA: HeaderValue = HeaderValue::from_static("1.1 windlass-router");
const VIA_HTTP2: HeaderValue = HeaderValue::from_static("2.0 windlass-router");
const VIA_HTTP3: HeaderValue = HeaderValue::from_static("3.0 windlass-router");

/// Headers that speak of one connection only and are never passed on.
const HOP_BY_HOP: [header::HeaderName; 6] = [
    header::CONNECTION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::HeaderName::from_static("keep-alive"),
    header::HeaderName::from_static("proxy-connection"),
];
