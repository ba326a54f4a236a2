//! JSON in request bodies, as leniently as clients need it.

use super::ApiError;
use crate::state::ApiState;
use axum::extract::{FromRequest, Request};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// The largest JSON body, in bytes.
const MAXIMUM_BODY: usize = 1 << 20;
/// How long it may take to come in: who sends a byte a minute holds a connection for ever else.
const BODY_LIMIT: Duration = Duration::from_secs(60);

/// A JSON body. Nothing at all and `null` count as `{}`, and a key whose value is `null` as left out.
pub(crate) struct JsonBody<T>(pub(crate) T);

/// A JSON body in which `null` keeps its meaning.
pub(crate) struct ExactJsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<ApiState> for JsonBody<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, _state: &ApiState) -> Result<Self, ApiError> {
        let mut value = read(request).await?;
        drop_nulls(&mut value);
        shaped(value).map(Self)
    }
}

impl<T: DeserializeOwned> FromRequest<ApiState> for ExactJsonBody<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, _state: &ApiState) -> Result<Self, ApiError> {
        shaped(read(request).await?).map(Self)
    }
}

async fn read(request: Request) -> Result<Value, ApiError> {
    let (parts, body) = request.into_parts();
    let whole = Limited::new(body, MAXIMUM_BODY).collect();
    let Ok(collected) = tokio::time::timeout(BODY_LIMIT, whole).await else {
        let message = format!("The request's body took longer than {} s.", BODY_LIMIT.as_secs());
        return Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message));
    };
    let bytes = match collected {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            let message = format!("The request's body is larger than {MAXIMUM_BODY} bytes.");
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", message));
        }
        Err(error) => return Err(bad_request(&format!("The request's body ended early: {error}"))),
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    if !is_json(&parts.headers) {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "The request's body must be JSON, with `Content-Type: application/json`.",
        ));
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Null) => Ok(Value::Object(serde_json::Map::new())),
        Ok(value) => Ok(value),
        Err(error) => Err(bad_request(&format!("The request's body is not JSON: {error}"))),
    }
}

fn bad_request(message: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "bad_request", message)
}

/// Whether the body claims to be JSON; one that claims nothing is believed.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return true };
    let Ok(text) = value.to_str() else { return false };
    let kind = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.is_empty() || kind == "application/json" || kind.ends_with("+json")
}

fn shaped<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    serde_json::from_value(value)
        .map_err(|error| ApiError::invalid(format!("Invalid parameters: {error}.")))
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(values) => values.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use serde_json::json;

    async fn result(content_type: Option<&str>, body: impl Into<Body>) -> Result<Value, u16> {
        let mut request = Request::builder();
        if let Some(kind) = content_type {
            request = request.header(CONTENT_TYPE, kind);
        }
        read(request.body(body.into()).unwrap()).await.map_err(|error| error.status.as_u16())
    }

    #[tokio::test]
    async fn bodies_are_read_leniently_and_refused_precisely() {
        assert_eq!(result(Some("application/json"), "{\"a\":1}").await, Ok(json!({"a": 1})));
        assert_eq!(
            result(Some("application/vnd.heroku+json; version=3"), "{}").await,
            Ok(json!({}))
        );
        assert_eq!(result(None, "{}").await, Ok(json!({})));
        assert_eq!(
            result(Some("text/plain"), "").await,
            Ok(json!({})),
            "an empty body has no type"
        );
        assert_eq!(result(Some("application/x-www-form-urlencoded"), "a=1").await, Err(415));
        assert_eq!(result(Some("application/json"), "{\"a\":").await, Err(400));
        assert_eq!(result(None, vec![b' '; MAXIMUM_BODY + 1]).await, Err(413));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_end_is_given_up() {
        let silent = futures_util::stream::pending::<Result<&str, std::io::Error>>();
        assert_eq!(result(None, Body::from_stream(silent)).await, Err(408));
    }

    #[test]
    fn nulls_are_dropped_at_every_depth() {
        let mut value = json!({"a": null, "b": [{"c": null, "d": 1}]});
        drop_nulls(&mut value);
        assert_eq!(value, json!({"b": [{"d": 1}]}));
    }

    #[test]
    fn a_wrong_shape_is_unprocessable() {
        let error = shaped::<windlass_wire::DomainCreate>(json!({"hostname": 1})).unwrap_err();
        assert_eq!(error.status.as_u16(), 422);
        assert_eq!(error.body.id, "invalid_params");
    }
}
