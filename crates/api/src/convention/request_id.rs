//! The `Request-Id` of every answer, its line in the log, and other headers that all answers have.

use super::audit::RequestId;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderValue;
use std::time::Instant;
use tracing::Instrument;
use uuid::Uuid;
use windlass_control::access::UNLIMITED;

/// How many requests the account has left.
pub(crate) const REMAINING: &str = "ratelimit-remaining";

/// Gives a request an identifier, under which everything about it is logged.
pub(crate) async fn identify(mut request: Request, next: Next) -> Response {
    let id = Uuid::new_v4().to_string();
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = tracing::info_span!("request", id = %id);
    let method = request.method().clone();
    let path = loggable(request.uri().path());
    let started = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let status = response.status().as_u16();
    span.in_scope(|| tracing::debug!(%method, path, status, milliseconds, "answered"));
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert("request-id", value);
    }
    // Whoever is not known yet has as many requests left as one can have.
    headers.entry(REMAINING).or_insert_with(|| HeaderValue::from(UNLIMITED));
    response
}

/// Returns the path without what would let a reader of the log use it.
fn loggable(path: &str) -> String {
    let secret = [
        "/invitations/",
        "/teams/invitations/",
        "/logs/",
        "/attach/",
        "/streams/",
        "/sources/",
        "/rendezvous/",
        "/auth/browser/",
        "/auth/cli/",
        "/auth/passkeys/",
    ];
    match secret.into_iter().find(|prefix| path.starts_with(prefix)) {
        Some(prefix) => format!("{prefix}…"),
        None => path.chars().take(200).collect(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn secrets_in_paths_are_not_logged() {
        assert_eq!(super::loggable("/logs/s3cret"), "/logs/…");
        assert_eq!(super::loggable("/attach/s3cret"), "/attach/…");
        assert_eq!(super::loggable("/sources/s3cret"), "/sources/…");
        assert_eq!(super::loggable("/rendezvous/s3cret"), "/rendezvous/…");
        assert_eq!(super::loggable("/auth/browser/s3cret"), "/auth/browser/…");
        assert_eq!(super::loggable("/auth/passkeys/s3cret/challenge"), "/auth/passkeys/…");
        assert_eq!(super::loggable("/apps/logs"), "/apps/logs");
    }
}
