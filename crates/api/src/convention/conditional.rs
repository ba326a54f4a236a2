//! `ETag`, `If-None-Match` and `If-Match`: what has not changed is not sent again, and what has
//! changed meanwhile is not overwritten.

use super::ApiError;
use super::audit::Peer;
use super::base_url::OverTls;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, RANGE, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::RwLock;
use tower_service::Service;

/// Larger answers have no ETag, in bytes.
const MAXIMUM_BODY: u64 = 4 << 20;
/// The types of answers that have one.
const JSON: [&[u8]; 2] = [b"application/json", b"application/schema+json"];

/// What conditions are checked with.
#[derive(Clone)]
pub(crate) struct Conditions {
    /// Answers what a resource is now.
    router: Router,
    /// A conditional change has its path for itself from the check to its end; all other changes
    /// share it.
    turns: Arc<Mutex<HashMap<String, Turn>>>,
}

type Turn = Arc<RwLock<()>>;

impl Conditions {
    pub(crate) fn new(router: Router) -> Self {
        Self { router, turns: Arc::default() }
    }

    /// Returns what changes of this path wait for.
    fn turn(&self, path: &str) -> Turn {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody holds or waits for a turn that only the table knows.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        turns.entry(path.to_owned()).or_default().clone()
    }

    /// Sends a request as if a client had.
    async fn ask(&self, asked: Request) -> Response {
        match self.router.clone().call(asked).await {
            Ok(response) => with_etag(response).await,
            Err(never) => match never {},
        }
    }
}

/// Returns the request for the resource that this one would change.
fn read_of(request: &Request) -> Request {
    let mut read = Request::new(Body::empty());
    *read.uri_mut() = request.uri().clone();
    *read.headers_mut() = request.headers().clone();
    for header in [IF_MATCH, IF_NONE_MATCH, RANGE, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING]
    {
        read.headers_mut().remove(header);
    }
    if request.extensions().get::<OverTls>().is_some() {
        read.extensions_mut().insert(OverTls);
    }
    // Else wrong credentials would not be counted.
    if let Some(peer) = request.extensions().get::<Peer>() {
        read.extensions_mut().insert(*peer);
    }
    read
}

/// Answers 304 or 412 where a condition says so.
pub(crate) async fn check(
    State(conditions): State<Conditions>,
    request: Request,
    next: Next,
) -> Response {
    if *request.method() == Method::GET {
        let known = tags(request.headers(), IF_NONE_MATCH);
        let response = with_etag(next.run(request).await).await;
        return if known.iter().any(|tag| is_tag_of(tag, &response)) {
            not_modified(response)
        } else {
            response
        };
    }
    if !matches!(*request.method(), Method::PUT | Method::PATCH | Method::DELETE) {
        return next.run(request).await;
    }
    let wanted = tags(request.headers(), IF_MATCH);
    let turn = conditions.turn(request.uri().path());
    if wanted.is_empty() {
        let _shared = turn.read_owned().await;
        return next.run(request).await;
    }
    let _alone = turn.write_owned().await;
    let read = read_of(&request);
    let current = conditions.ask(read).await;
    let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS];
    if refused.contains(&current.status()) {
        return current;
    }
    if wanted.iter().any(|tag| is_tag_of(tag, &current)) {
        return next.run(request).await;
    }
    ApiError::new(
        StatusCode::PRECONDITION_FAILED,
        "precondition_failed",
        "It has changed since you read it: its ETag is not the one of If-Match. Read it again.",
    )
    .into_response()
}

/// Returns the tags that a header lists, without the sign that one is weak.
fn tags(headers: &HeaderMap, name: HeaderName) -> Vec<String> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.filter(|tag| !tag.is_empty()).map(|tag| tag.trim_start_matches("W/").to_owned()).collect()
}

fn is_tag_of(tag: &str, response: &Response) -> bool {
    let etag = response.headers().get(ETAG).and_then(|value| value.to_str().ok());
    etag.is_some_and(|etag| tag == "*" || tag == etag)
}

/// Gives a whole JSON answer its ETag, the hash of its bytes.
async fn with_etag(response: Response) -> Response {
    let size = response.body().size_hint().exact();
    let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_ours = kind.is_some_and(|kind| JSON.contains(&kind));
    let has_own = response.headers().contains_key(ETAG);
    let is_small = size.is_some_and(|size| size <= MAXIMUM_BODY);
    if response.status() != StatusCode::OK || !is_ours || has_own || !is_small {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = match body.collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) => {
            tracing::error!(%error, "an answer was lost");
            return ApiError::internal().into_response();
        }
    };
    let hash = ring::digest::digest(&ring::digest::SHA256, &bytes);
    let digits: String = hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{digits}\"")) {
        parts.headers.insert(ETAG, etag);
    }
    Response::from_parts(parts, Body::from(bytes))
}

fn not_modified(response: Response) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(CONTENT_TYPE);
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_from_lists() {
        let mut headers = HeaderMap::new();
        assert!(tags(&headers, IF_MATCH).is_empty());
        headers.append(IF_MATCH, HeaderValue::from_static("\"a\", W/\"b\""));
        headers.append(IF_MATCH, HeaderValue::from_static("*"));
        assert_eq!(tags(&headers, IF_MATCH), ["\"a\"", "\"b\"", "*"]);
    }

    #[tokio::test]
    async fn only_whole_json_answers_have_a_tag() {
        let json = || ([(CONTENT_TYPE, "application/json")], "{}").into_response();
        let tagged = with_etag(json()).await;
        assert_eq!(tagged.headers()[ETAG], "\"44136fa355b3678a1146ad16f7e8649e\"");
        let text = with_etag("{}".into_response()).await;
        assert!(!text.headers().contains_key(ETAG));
        let mut part = json();
        *part.status_mut() = StatusCode::PARTIAL_CONTENT;
        assert!(!with_etag(part).await.headers().contains_key(ETAG));
    }
}
