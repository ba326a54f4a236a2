//! Requests without a body, to targets of HTTP/1.1: most of them. They need neither a task nor a
//! channel of their own.

use super::exchange::Exchange;
use super::forward::{Failure, connect_failure};
use super::target_body::TargetBody;
use crate::access_log::ErrorCode;
use crate::http1::{NoAnswer, ask};
use crate::target::{Target, pool};
use http::{Method, Response};
use std::time::{Duration, Instant};

/// What comes next after an attempt without an answer.
pub(super) enum Otherwise {
    /// The target cannot be reached: another one, for this reason.
    Elsewhere(ErrorCode),
    /// Once more on a new connection.
    Again,
    Failed(Failure),
}

/// Sends a request to the target, on a connection that was unused for at most `maximum_age` if one
/// is given, else on a new one.
pub(super) async fn attempt(
    exchange: &mut Exchange,
    target: &Target,
    head: &[u8],
    method: &Method,
    maximum_age: Option<Duration>,
    replayable: bool,
) -> Result<Response<TargetBody>, Otherwise> {
    let pooled = maximum_age.and_then(|age| target.streams.take(age));
    let reused = pooled.is_some();
    let stream = match pooled {
        Some(stream) => {
            exchange.sending(Duration::ZERO);
            stream
        }
        None => {
            let started = Instant::now();
            match pool::open(target.address, exchange.router().limits.connect).await {
                Ok(stream) => {
                    exchange.sending(started.elapsed());
                    stream
                }
                Err(error) => return Err(Otherwise::Elsewhere(connect_failure(&error))),
            }
        }
    };
    let limit = exchange.times().first_byte;
    match tokio::time::timeout(limit, ask(stream, head, method)).await {
        Ok(Ok(response)) => Ok(response.map(TargetBody::Plain)),
        Err(_) => Err(Otherwise::Failed(Failure::Code(ErrorCode::RequestTimeout))),
        Ok(Err(none)) => Err(match none {
            // Not a byte of it left, so any request may try again.
            NoAnswer::Unsent if reused => Otherwise::Again,
            NoAnswer::Unsent => Otherwise::Elsewhere(ErrorCode::ClosedWithoutResponse),
            // The target closed the connection while it was idle: once more on a new one.
            NoAnswer::Lost if reused && replayable => Otherwise::Again,
            NoAnswer::Lost | NoAnswer::Cut => {
                Otherwise::Failed(Failure::Code(ErrorCode::ClosedWithoutResponse))
            }
            NoAnswer::Poor => Otherwise::Failed(Failure::Code(ErrorCode::PoorResponse)),
        }),
    }
}
