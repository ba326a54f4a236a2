//! Errors as clients read them: `{"id": …, "message": …}` with the matching status.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use std::error::Error;
use std::time::Duration;
use windlass_control::PlatformError;
use windlass_wire::ErrorBody;

pub(crate) type ApiResult<T> = Result<T, ApiError>;

/// Longer messages of others are dropped, in bytes.
const MAXIMUM_TEXT: usize = 4 << 10;

/// Why a request failed.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) body: Box<ErrorBody>,
    /// It may go better after that.
    pub(crate) retry_after: Option<Duration>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, id: &str, message: impl Into<String>) -> Self {
        let body =
            ErrorBody { id: id.to_owned(), message: message.into(), resource: None, url: None };
        Self { status, body: Box::new(body), retry_after: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_params", message)
    }

    pub(crate) fn not_found(resource: &str) -> Self {
        let mut error = Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("Couldn't find that {}.", resource.replace('_', " ")),
        );
        error.body.resource = Some(resource.to_owned());
        error
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Invalid credentials provided.")
    }

    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_server_error",
            "The platform failed. Its log says why, under this answer's Request-Id.",
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(*self.body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Windlass\""));
        }
        if let Some(after) = self.retry_after {
            let seconds = HeaderValue::from(after.as_secs() + 1);
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}

impl From<PlatformError> for ApiError {
    /// Logs an internal error with all its causes: this is the one place that sees each once.
    fn from(error: PlatformError) -> Self {
        let message = error.to_string();
        match &error {
            PlatformError::NotFound { resource } => Self::not_found(resource),
            PlatformError::Missing { resource, .. } => {
                let mut answer = Self::not_found(resource);
                answer.body.message = message;
                answer
            }
            PlatformError::Invalid(_) => Self::invalid(message),
            PlatformError::Conflict(_) => Self::new(StatusCode::CONFLICT, "conflict", message),
            PlatformError::Unauthorized => Self::unauthorized(),
            PlatformError::TwoFactor(_) => Self::new(StatusCode::FORBIDDEN, "two_factor", message),
            PlatformError::TooMany { after, .. } => {
                let mut answer = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit", message);
                answer.retry_after = Some(*after);
                answer
            }
            PlatformError::Forbidden(_) => Self::new(StatusCode::FORBIDDEN, "forbidden", message),
            PlatformError::ReleaseFailed(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "release_failed", message)
            }
            PlatformError::Internal(..) => {
                tracing::error!(error = %chain(&error), "a request failed");
                Self::internal()
            }
        }
    }
}

/// Returns an error and its causes in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Gives an error that does not come from us (a path that is not UTF-8, a query that cannot be
/// read) the form that all have.
pub(crate) async fn in_our_form(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !is_error || kind.is_some_and(|kind| kind.starts_with("application/json")) {
        return response;
    }
    let text = axum::body::to_bytes(response.into_body(), MAXIMUM_TEXT).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    let reason = status.canonical_reason().unwrap_or("error");
    let message = if text.is_empty() { reason.to_owned() } else { text };
    ApiError::new(status, &reason.to_lowercase().replace([' ', '-'], "_"), message).into_response()
}

/// Answers what no route matches.
pub(crate) async fn no_such_endpoint() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "The requested API endpoint was not found. Are you using the right HTTP verb (i.e. `GET` vs. `POST`), \
         and did you specify your intended version with the `Accept` header?",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platform_errors_have_herokus_statuses() {
        let cases = [
            (PlatformError::NotFound { resource: "app" }, 404, "not_found"),
            (PlatformError::Missing { resource: "x", message: "x".into() }, 404, "not_found"),
            (PlatformError::Invalid("x".into()), 422, "invalid_params"),
            (PlatformError::Conflict("x".into()), 409, "conflict"),
            (PlatformError::Unauthorized, 401, "unauthorized"),
            (PlatformError::Forbidden("x".into()), 403, "forbidden"),
            (PlatformError::TwoFactor("x"), 403, "two_factor"),
            (
                PlatformError::TooMany { message: "x".into(), after: Duration::ZERO },
                429,
                "rate_limit",
            ),
            (PlatformError::ReleaseFailed("x".into()), 422, "release_failed"),
            (PlatformError::Internal("x".into(), None), 500, "internal_server_error"),
        ];
        for (error, status, id) in cases {
            let answer = ApiError::from(error);
            assert_eq!((answer.status.as_u16(), answer.body.id.as_str()), (status, id));
        }
    }

    #[test]
    fn internal_errors_do_not_leak() {
        let secret = PlatformError::Internal("/srv/secret".into(), None);
        assert!(!ApiError::from(secret).body.message.contains("secret"));
    }
}
