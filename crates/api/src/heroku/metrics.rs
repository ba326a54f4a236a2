//! The router's metrics, as Prometheus asks for them. Ours alone.

use crate::convention::{ApiResult, Caller, Control};
use axum::response::{IntoResponse, Response};
use http::header;

/// Says which version of the text format it is.
const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn text(
    Caller { user, .. }: Caller,
    Control(platform): Control,
) -> ApiResult<Response> {
    let text = platform.router_metrics(&user).await?;
    Ok(([(header::CONTENT_TYPE, KIND)], text).into_response())
}
