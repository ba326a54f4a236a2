//! The registry's door: the OCI Distribution API (Docker's registry, version 2) below `/v2/`.
//! Repositories are named `APP/TYPE`. Clients send the token as the password of Basic credentials.

mod blobs;
mod error;
mod manifests;
mod path;
mod range;
mod uploads;

use crate::convention::audit::{self, Peer, RequestId};
use crate::convention::auth::{authenticate, secret};
use crate::convention::{ApiError, Endpoints, Needs};
use crate::state::ApiState;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use error::Refusal;
use http::header::HeaderValue;
use http::{Extensions, HeaderMap, Method, StatusCode};
use path::Target;
use std::net::IpAddr;
use windlass_control::distribution::{Reference, Repository};
use windlass_control::records::{Token, User};
use windlass_control::{Platform, PlatformError};
use windlass_core::access::{Permission, Wants};
use windlass_core::ids::Digest;

pub(crate) use blobs::{file_part, pieces};

type Result<T> = std::result::Result<T, Refusal>;

const API_VERSION: &str = "docker-distribution-api-version";
const CONTENT_DIGEST: &str = "docker-content-digest";

pub(crate) fn endpoints() -> Endpoints {
    Endpoints::new()
        .get("/v2", Needs::Itself, version)
        .get("/v2/", Needs::Itself, version)
        .get("/v2/{*rest}", Needs::Itself, answer)
        .post("/v2/{*rest}", Needs::Itself, answer)
        .put("/v2/{*rest}", Needs::Itself, answer)
        .patch("/v2/{*rest}", Needs::Itself, answer)
        .delete("/v2/{*rest}", Needs::Itself, answer)
}

/// A request for a repository that its user may deploy to.
struct Asked {
    platform: Platform,
    user: User,
    token: Token,
    repository: Repository,
    method: Method,
    headers: HeaderMap,
    /// Where it came from, and its number.
    extensions: Extensions,
    query: String,
}

/// Says that the registry is here, and whether the credentials are good.
async fn version(
    State(state): State<ApiState>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Response {
    let from = peer.map(|Extension(peer)| peer.0);
    let answer = match user_of(&state, &headers, from, Wants::FETCH) {
        Ok(_) => axum::Json(serde_json::json!({})).into_response(),
        Err(refusal) => refusal.into_response(),
    };
    with_version(answer)
}

fn user_of(
    state: &ApiState,
    headers: &HeaderMap,
    from: Option<IpAddr>,
    wants: Wants,
) -> Result<(Token, User)> {
    let secret = secret(headers).ok_or_else(ApiError::unauthorized)?;
    let (token, user) = authenticate(&state.platform, &secret, headers, from)?;
    state.platform.require_scope(&token, wants)?;
    Ok((token, user))
}

async fn answer(State(state): State<ApiState>, request: Request) -> Response {
    let answer = answered(&state, request).await;
    with_version(answer.unwrap_or_else(IntoResponse::into_response))
}

fn with_version(mut response: Response) -> Response {
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    response
}

async fn answered(state: &ApiState, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let wants = if parts.method.is_safe() { Wants::FETCH } else { Wants::PUSH };
    let from = parts.extensions.get::<Peer>().map(|peer| peer.0);
    let (token, user) = user_of(state, &parts.headers, from, wants)?;
    let (repository, target) = path::parse(parts.uri.path())?;
    let platform = state.platform.clone();
    let found = platform.app_to(&user, repository.app, Permission::Deploy);
    let app = found.map_err(|error| match error {
        PlatformError::NotFound { .. } => Refusal::name_unknown(repository.app),
        other => Refusal::from(other),
    })?;
    let repository = Repository { app, process: repository.process };
    let (method, headers, extensions) = (parts.method, parts.headers, parts.extensions);
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let asked = Asked { platform, user, token, repository, method, headers, extensions, query };
    dispatch(&asked, target, body).await
}

async fn dispatch(asked: &Asked, target: Target, body: Body) -> Result<Response> {
    match (asked.method.as_str(), target) {
        ("GET" | "HEAD", Target::Manifest(reference)) => manifests::get(asked, &reference),
        ("PUT", Target::Manifest(reference)) => manifests::put(asked, &reference, body).await,
        ("DELETE", Target::Manifest(reference)) => manifests::delete(asked, &reference),
        ("GET", Target::Tags) => manifests::tags(asked),
        ("GET" | "HEAD", Target::Blob(digest)) => blobs::get(asked, &digest).await,
        ("POST", Target::Uploads) => uploads::begin(asked, body).await,
        ("GET", Target::Upload(id)) => uploads::status(asked, &id),
        ("PATCH", Target::Upload(id)) => uploads::add(asked, &id, body).await,
        ("PUT", Target::Upload(id)) => uploads::finish(asked, &id, body).await,
        ("DELETE", Target::Upload(id)) => uploads::cancel(asked, &id),
        (method, _) => Err(Refusal::unsupported(method)),
    }
}

impl Asked {
    /// Returns the path of the repository.
    fn path(&self) -> String {
        format!("/v2/{}/{}", self.repository.app.name, self.repository.process)
    }

    /// Writes down that the repository was changed.
    fn record(&self, what: &str, reference: &Reference, digest: Option<&Digest>) {
        let process = &self.repository.process;
        let mut action = match reference {
            Reference::Tag(tag) => format!("container {what} {process}:{tag}"),
            Reference::Digest(digest) => format!("container {what} {process}@{digest}"),
        };
        if let (Reference::Tag(_), Some(digest)) = (reference, digest) {
            action.push_str(&format!("@{digest}"));
        }
        let (peer, request) = (self.extensions.get::<Peer>(), self.extensions.get::<RequestId>());
        let token = Some(self.token.description.clone());
        let mut entry = audit::of_page(&self.user, token, action, peer.copied(), request.cloned());
        let app = &self.repository.app;
        entry.app = Some((app.id, app.name.to_string()));
        self.platform.record_activity(entry);
    }

    /// Returns the first value of a key in the query.
    fn query(&self, key: &str) -> Option<String> {
        let query = form_pairs(&self.query);
        query.into_iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }
}

/// Returns the keys and values of a query; what cannot be read is left out.
pub(crate) fn form_pairs(query: &str) -> Vec<(String, String)> {
    let uri = format!("/?{query}").parse::<http::Uri>().unwrap_or_default();
    axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri)
        .map(|pairs| pairs.0)
        .unwrap_or_default()
}

/// An answer without a body.
fn empty(status: StatusCode, headers: &[(&'static str, String)]) -> Response {
    with_body(status, headers, Body::empty())
}

fn with_body(
    status: StatusCode,
    headers: &[(&'static str, String)],
    body: impl Into<Body>,
) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    for (name, value) in headers {
        // Digests, numbers and paths of checked names: all of them can stand in a header.
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(*name, value);
        }
    }
    response
}

/// Reads a body as a whole.
async fn whole(body: Body, limit: usize) -> Result<Bytes> {
    axum::body::to_bytes(body, limit).await.map_err(|_| {
        Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "MANIFEST_INVALID",
            format!("a manifest has at most {} KiB, and must come in whole", limit >> 10),
        )
    })
}
