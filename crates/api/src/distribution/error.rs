//! Refusals in the registry's own form: `{"errors": [{"code": …, "message": …}]}`.

use crate::convention::ApiError;
use crate::convention::error::chain;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderValue, RANGE, WWW_AUTHENTICATE};
use serde_json::json;
use windlass_control::PlatformError;
use windlass_control::distribution::DistributionError;

/// Why the registry refuses a request.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    /// One of the specification's.
    pub(super) code: &'static str,
    message: String,
    /// Where an upload is to go on.
    at: Option<u64>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), at: None }
    }

    pub(super) fn name_unknown(app: &str) -> Self {
        let message = format!("there is no app {app} here, or it is not yours");
        Self::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", message)
    }

    pub(super) fn unsupported(method: &str) -> Self {
        let message = format!("{method} is not possible here");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body =
            json!({"errors": [{"code": self.code, "message": self.message, "detail": null}]});
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Windlass\""));
        }
        if let Some(at) = self.at
            && let Ok(value) = HeaderValue::from_str(&format!("0-{}", at.saturating_sub(1)))
        {
            headers.insert(RANGE, value);
        }
        response
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let code = match error.status {
            StatusCode::UNAUTHORIZED => "UNAUTHORIZED",
            StatusCode::TOO_MANY_REQUESTS => "TOOMANYREQUESTS",
            StatusCode::NOT_FOUND => "NAME_UNKNOWN",
            _ => "DENIED",
        };
        Self::new(error.status, code, error.body.message)
    }
}

impl From<PlatformError> for Refusal {
    fn from(error: PlatformError) -> Self {
        match error {
            // Clients send again what they think is our passing trouble; this is to be read.
            PlatformError::Conflict(message) => Self::new(StatusCode::FORBIDDEN, "DENIED", message),
            other => ApiError::from(other).into(),
        }
    }
}

impl From<DistributionError> for Refusal {
    fn from(error: DistributionError) -> Self {
        use DistributionError as E;
        let (not_found, bad) = (StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST);
        let (status, code) = match &error {
            E::BlobUnknown(_) => (not_found, "BLOB_UNKNOWN"),
            E::BlobUploadUnknown => (not_found, "BLOB_UPLOAD_UNKNOWN"),
            E::BlobUploadInvalid(_) => (StatusCode::CONFLICT, "BLOB_UPLOAD_INVALID"),
            E::RangeInvalid { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
            E::DigestInvalid(_) => (bad, "DIGEST_INVALID"),
            E::SizeInvalid(_) => (StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID"),
            E::ManifestUnknown => (not_found, "MANIFEST_UNKNOWN"),
            E::ManifestInvalid(_) => (bad, "MANIFEST_INVALID"),
            E::ManifestBlobUnknown(_) => (bad, "MANIFEST_BLOB_UNKNOWN"),
            E::TooManyRequests(_) => (StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS"),
            E::Platform(_) => (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN"),
        };
        let at = if let E::RangeInvalid { at } = &error { Some(*at) } else { None };
        match error {
            E::Platform(error) => error.into(),
            other => Self { status, code, message: chain(&other), at },
        }
    }
}
