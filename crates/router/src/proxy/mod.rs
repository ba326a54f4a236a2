//! One request from the client to a target and back.

pub(crate) mod body;
mod exchange;
mod forward;
mod headers;
mod pages;
mod tunnel;

use crate::access_log::ErrorCode;
use crate::listen::Client;
use crate::run::Router;
use body::{Activity, AnswerBody, RequestBody, ResponseBody};
use exchange::Exchange;
use forward::Failure;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use pages::Reader;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The exchange cannot go on: the client's connection is closed without another word.
#[derive(Debug, thiserror::Error)]
#[error("the exchange was broken off")]
pub(crate) struct BrokenOff;

/// Answers one request: with a target's response, a page of the router, or a tunnel.
pub(crate) async fn handle(
    router: Arc<Router>,
    client: Arc<Client>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, BrokenOff> {
    router.requests.fetch_add(1, Ordering::Relaxed);
    let (mut parts, body) = request.into_parts();
    let request_id = headers::request_id(&parts.headers);
    let reader = Reader::new(&parts.headers, request_id.clone());
    if parts.method == Method::CONNECT {
        return Ok(reader.refusal(StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not served here."));
    }
    let Some(host) = headers::take_host(&mut parts) else {
        return Ok(reader
            .refusal(StatusCode::BAD_REQUEST, "The request needs exactly one valid Host header."));
    };
    let Some(app) = router.table.current().find(&host).cloned() else {
        return Ok(reader.unknown_host(&host));
    };
    let forwarded_for = headers::forwarded_for(&parts.headers, &client.address);
    let mut exchange = Exchange::new(router, client, app, host, &parts, request_id, forwarded_for);
    match carry(&mut exchange, parts, body).await {
        Ok(Reply::Stream(response, connection, activity)) => Ok(response.map(|body| {
            AnswerBody::Stream(Box::new(ResponseBody::new(body, connection, exchange, activity)))
        })),
        Ok(Reply::Tunnel(response, client_side, target_side)) => {
            tunnel::start(exchange, client_side, target_side);
            Ok(response.map(|_| AnswerBody::empty()))
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
        Err(Failure::Code(code)) => {
            exchange.fail(code);
            Ok(reader.failure(code))
        }
    }
}

/// How a target answered.
enum Reply {
    Stream(Response<Incoming>, crate::target::pool::Connection, Option<Arc<Activity>>),
    Tunnel(Response<Incoming>, OnUpgrade, OnUpgrade),
}

/// Sends the request to a target and returns its response, ready for the client.
async fn carry(
    exchange: &mut Exchange,
    mut parts: Parts,
    body: Incoming,
) -> Result<Reply, Failure> {
    let limits = &exchange.router().limits;
    headers::check_sizes(&parts, limits.request_line, limits.header_line)?;
    headers::check_expect(&mut parts.headers)?;
    let idle = limits.idle;
    let upgrade = headers::prepare_request(&mut parts, exchange, &body);
    let client_side = if upgrade { parts.extensions.remove::<OnUpgrade>() } else { None };
    // A client of HTTP/1.0 speaks 1.1 from here on: hyper translates its side.
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    let has_body = !body.is_end_stream();
    let activity = has_body.then(|| Arc::new(Activity::new()));
    let body = activity.as_ref().map_or(RequestBody::empty(), |activity| {
        RequestBody::new(body, Arc::clone(activity), idle)
    });
    let request = Request::from_parts(parts, body);
    let (mut response, connection) =
        forward::forward(exchange, request, activity.as_deref(), client_side.is_some()).await?;
    exchange.answer(response.status());
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let target_side = response.extensions_mut().remove::<OnUpgrade>();
        let (Some(client_side), Some(target_side)) = (client_side, target_side) else {
            return Err(Failure::Code(ErrorCode::PoorResponse));
        };
        headers::prepare_response(response.headers_mut(), true);
        return Ok(Reply::Tunnel(response, client_side, target_side));
    }
    headers::prepare_response(response.headers_mut(), false);
    *response.version_mut() = Version::HTTP_11;
    Ok(Reply::Stream(response, connection, activity))
}

/// Tells HTTP/1.1 clients and targets who stood between them.
const VIA: HeaderValue = HeaderValue::from_static("1.1 windlass-router");

/// Headers that speak of one connection only and are never passed on.
const HOP_BY_HOP: [header::HeaderName; 7] = [
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::HeaderName::from_static("keep-alive"),
    header::HeaderName::from_static("proxy-connection"),
];
