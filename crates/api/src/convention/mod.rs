//! The conventions that all resources share.

pub(crate) mod accept;
pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod base_url;
pub(crate) mod body;
pub(crate) mod conditional;
pub(crate) mod endpoints;
pub(crate) mod error;
pub(crate) mod range;
pub(crate) mod request_id;

pub(crate) use auth::{AppOfCaller, Caller};
pub(crate) use base_url::BaseUrl;
pub(crate) use body::{ExactJsonBody, JsonBody};
pub(crate) use endpoints::{DEPLOY, Endpoints, MANAGE, Needs, OPERATE, VIEW};
pub(crate) use error::{ApiError, ApiResult};
pub(crate) use range::RangeHeader;

use crate::state::ApiState;
use axum::extract::FromRequestParts;
use http::request::Parts;
use std::convert::Infallible;
use std::future::Future;
use uuid::Uuid;
use windlass_control::Platform;

/// The platform, as a handler asks for it.
pub(crate) struct Control(pub(crate) Platform);

impl FromRequestParts<ApiState> for Control {
    type Rejection = Infallible;
    async fn from_request_parts(_parts: &mut Parts, state: &ApiState) -> Result<Self, Infallible> {
        Ok(Self(state.platform.clone()))
    }
}

/// Runs a change to its end even when the client goes away meanwhile: a handler is dropped with
/// its connection, and half a change must not be.
pub(crate) async fn to_the_end<T, F>(change: F) -> ApiResult<T>
where
    T: Send + 'static,
    F: Future<Output = windlass_control::Result<T>> + Send + 'static,
{
    match tokio::spawn(change).await {
        Ok(result) => Ok(result?),
        Err(error) => {
            tracing::error!(%error, "a change ended without a result");
            Err(ApiError::internal())
        }
    }
}

/// Returns milliseconds since the Unix epoch as `2026-01-02T03:04:05Z`.
pub(crate) fn time(milliseconds: u64) -> String {
    let milliseconds = i64::try_from(milliseconds).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or(jiff::Timestamp::MAX);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(crate) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Returns the identifier of something that exists only because `owner` does, always the same.
pub(crate) fn derived_id(owner: Uuid, what: &str) -> Uuid {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(owner.as_bytes());
    context.update(what.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&context.finish().as_ref()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_seconds_and_utc() {
        assert_eq!(time(1_767_323_045_678), "2026-01-02T03:04:05Z");
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
    }

    #[tokio::test]
    async fn a_change_goes_on_when_nobody_waits_for_it() {
        let (done, is_done) = tokio::sync::oneshot::channel();
        let change = async move {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            let _ = done.send(());
            Ok(())
        };
        let waited =
            tokio::time::timeout(std::time::Duration::from_millis(5), to_the_end(change)).await;
        assert!(waited.is_err(), "the client went away first");
        is_done.await.expect("the change came to its end");
    }

    #[test]
    fn derived_ids_are_stable_and_apart() {
        let app = Uuid::from_u128(7);
        assert_eq!(derived_id(app, "domain"), derived_id(app, "domain"));
        assert_ne!(derived_id(app, "domain"), derived_id(app, "collaborator"));
        assert_ne!(derived_id(app, "domain"), derived_id(Uuid::from_u128(8), "domain"));
    }
}
