//! Finds a target for a request, reaches it and waits for its answer.

use super::body::{Activity, RequestBody, UploadFailure};
use super::carrier::{Carrier, SendError};
use super::exchange::{Exchange, TimeLimits};
use super::plain::{self, Otherwise};
use super::search::Search;
use super::target_body::TargetBody;
use crate::access_log::ErrorCode;
use crate::http1;
use crate::http2::target::to_h2c;
use crate::http2::websocket::WebSocket;
use crate::policy::{self, Answer};
use crate::target::Target;
use crate::target::pool::{self, ConnectError};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The oldest pooled connection that a request may use which cannot be sent twice. Servers
/// close idle connections after 2 s and more; a request that crosses with that is lost.
pub(crate) const FRESH_ENOUGH: Duration = Duration::from_millis(500);

/// The router has to answer itself.
pub(crate) enum Failure {
    Code(ErrorCode),
    UnknownHost,
    TooLong(StatusCode),
    /// By the app's settings.
    Refused(Answer),
}

/// Sends the request and returns the response, of which the head is there. The exchange is then
/// counted at the target.
pub(super) async fn forward(
    exchange: &mut Exchange,
    mut request: Request<RequestBody>,
    upload: Option<&Activity>,
    upgrade: bool,
) -> Result<Response<TargetBody>, Failure> {
    let replayable = upload.is_none() && !upgrade && is_idempotent(request.method());
    let maximum_age = if replayable { Duration::MAX } else { FRESH_ENOUGH };
    let router = Arc::clone(exchange.router());
    let limits = &router.limits;
    let mut search = Search::preferring(exchange.changes().and_then(|changes| changes.sticky));
    let mut may_reuse = !upgrade;
    let (mut speaks_h2c, mut head, mut websocket) = (None, None, None);
    loop {
        let guard = search.next(exchange).await?;
        let target = Arc::clone(guard.target());
        exchange.assign(guard);
        let started = Instant::now();
        // What it speaks is decided once: the request is then made for it.
        let h2c = *speaks_h2c.get_or_insert_with(|| {
            let h2c = exchange.app().speaks_h2c();
            if h2c {
                websocket = if upgrade { WebSocket::ask(&mut request) } else { None };
                to_h2c(&mut request);
            }
            h2c
        });
        if !h2c && upload.is_none() && !upgrade {
            let head = head.get_or_insert_with(|| http1::write_head(&request));
            let (age, method) = (may_reuse.then_some(maximum_age), request.method());
            match plain::attempt(exchange, &target, head, method, age, replayable).await {
                Ok(response) => return Ok(response),
                Err(Otherwise::Elsewhere(reason)) => search.give_up(exchange, target, reason),
                Err(Otherwise::Again) => may_reuse = false,
                Err(Otherwise::Failed(failure)) => return Err(failure),
            }
            continue;
        }
        let reached = if h2c {
            let after = (!may_reuse && !upgrade).then_some(started.into_std());
            reach_shared(&target, limits, after).await
        } else {
            reach(&target, limits, may_reuse.then_some(maximum_age), upgrade).await
        };
        let (mut carrier, reused) = match reached {
            Ok(reached) => reached,
            Err(error) => {
                search.give_up(exchange, target, connect_failure(&error));
                continue;
            }
        };
        if websocket.is_some() && !carrier.takes_websockets().await {
            exchange.release();
            return Err(Failure::Refused(policy::no_websockets()));
        }
        exchange.sending(if reused { Duration::ZERO } else { started.elapsed() });
        let copy = (reused && replayable).then(|| copy(&request));
        let sending = carrier.send(request);
        let mut error = match response_head(sending, upload, exchange.times()).await {
            Ok(mut response) => {
                if let Some(websocket) = websocket {
                    websocket.begin(&mut response);
                }
                return Ok(response.map(|body| TargetBody::Carried(body, Some(carrier))));
            }
            Err(Unanswered::Limit(code)) => return Err(Failure::Code(code)),
            Err(Unanswered::Lost(error)) => *error,
        };
        if let Some(unsent) = error.take_message() {
            // Not a byte of it left, so any request may try again.
            request = unsent;
            if !reused {
                search.give_up(exchange, target, ErrorCode::ClosedWithoutResponse);
            }
        } else if let Some(copy) = copy.filter(|_| !error.error().is_parse()) {
            // The target closed the connection while it was idle: once more on a new one.
            request = copy;
        } else {
            return Err(lost(error.error(), upload));
        }
        may_reuse = false;
    }
}

/// Returns a connection for this request alone: one that was unused for less than `maximum_age`,
/// or a new one; and whether it was used before.
async fn reach(
    target: &Target,
    limits: &crate::Limits,
    maximum_age: Option<Duration>,
    upgrade: bool,
) -> Result<(Carrier, bool), ConnectError> {
    if let Some(connection) = maximum_age.and_then(|age| target.pool.take(age)) {
        return Ok((Carrier::Own(connection), true));
    }
    let connection = pool::connect(target.address, limits.connect, upgrade).await?;
    Ok((Carrier::Own(connection), false))
}

/// Returns a place on a shared connection, opened after `after` if that is given, and whether it
/// was used before.
async fn reach_shared(
    target: &Target,
    limits: &crate::Limits,
    after: Option<std::time::Instant>,
) -> Result<(Carrier, bool), ConnectError> {
    let lease = target.shared.lease(target.address, limits, after).await?;
    let reused = lease.reused;
    Ok((Carrier::Shared(lease), reused))
}

pub(crate) fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE].contains(method)
}

/// Copies a request that has no body.
fn copy(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

pub(crate) fn connect_failure(error: &ConnectError) -> ErrorCode {
    match error {
        ConnectError::TimedOut => ErrorCode::ConnectTimeout,
        ConnectError::Refused(error) => {
            tracing::debug!(%error, "target refused the connection");
            ErrorCode::ConnectionRefused
        }
    }
}

/// Says why a request that was sent got no answer.
fn lost(error: &hyper::Error, upload: Option<&Activity>) -> Failure {
    Failure::Code(match upload.and_then(Activity::failure) {
        Some(UploadFailure::Interrupted) => ErrorCode::ClientInterrupted,
        Some(UploadFailure::BadChunk) => ErrorCode::BadChunk,
        Some(UploadFailure::Idle) => ErrorCode::ClientIdle,
        Some(UploadFailure::TooLarge) => return Failure::Refused(policy::too_large()),
        None if error.is_parse() => ErrorCode::PoorResponse,
        None => ErrorCode::ClosedWithoutResponse,
    })
}

/// There is no response head.
enum Unanswered {
    Limit(ErrorCode),
    Lost(Box<SendError>),
}

/// Waits for the head of the response: as long as the client sends its body, then for the
/// limit on the first byte.
async fn response_head(
    sending: impl Future<Output = Result<Response<Incoming>, SendError>>,
    upload: Option<&Activity>,
    limits: TimeLimits,
) -> Result<Response<Incoming>, Unanswered> {
    let lost = |error| Unanswered::Lost(Box::new(error));
    let Some(upload) = upload else {
        return match tokio::time::timeout(limits.first_byte, sending).await {
            Ok(answer) => answer.map_err(lost),
            Err(_) => Err(Unanswered::Limit(ErrorCode::RequestTimeout)),
        };
    };
    let deadline =
        || upload.last() + if upload.is_complete() { limits.first_byte } else { limits.idle };
    let mut sending = pin!(sending);
    loop {
        // While the body flows the limits are looked at anew each time the shorter one is over.
        let look = deadline().min(Instant::now() + limits.first_byte.min(limits.idle));
        if let Ok(answer) = tokio::time::timeout_at(look, sending.as_mut()).await {
            return answer.map_err(lost);
        }
        if deadline() <= Instant::now() {
            let client = !upload.is_complete() && upload.awaits_client();
            return Err(Unanswered::Limit(if client {
                ErrorCode::ClientIdle
            } else {
                ErrorCode::RequestTimeout
            }));
        }
    }
}
