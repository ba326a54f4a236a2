//! Manifests and tags.

use super::{Asked, CONTENT_DIGEST, Result, empty, form_pairs, whole, with_body};
use axum::body::Body;
use axum::response::Response;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};
use serde_json::json;
use windlass_control::distribution::{self, Reference};

/// The largest manifest, in bytes.
const MANIFEST_BYTES: usize = 4 << 20;

pub(super) fn get(asked: &Asked, reference: &Reference) -> Result<Response> {
    let manifest = asked.platform.registry_manifest(
        &asked.repository,
        reference,
        takes_indexes(&asked.headers),
    )?;
    let headers = [
        ("content-type", manifest.media_type),
        ("content-length", manifest.document.len().to_string()),
        (CONTENT_DIGEST, manifest.digest.to_string()),
    ];
    let body = if asked.method == Method::HEAD { Body::empty() } else { manifest.document.into() };
    Ok(with_body(StatusCode::OK, &headers, body))
}

/// Clients may say in several headers what they take.
fn takes_indexes(headers: &HeaderMap) -> bool {
    let mut accepts = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    !headers.contains_key(ACCEPT) || accepts.any(distribution::takes_indexes)
}

pub(super) async fn put(asked: &Asked, reference: &Reference, body: Body) -> Result<Response> {
    let document = whole(body, MANIFEST_BYTES).await?;
    let kind = asked.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.map(str::to_owned);
    let (platform, user) = (asked.platform.clone(), asked.user.clone());
    let (repository, named) = (asked.repository.clone(), reference.clone());
    // A client that goes away meanwhile does not leave half an import.
    let push = tokio::spawn(async move {
        platform.push_manifest(&user, &repository, &named, kind.as_deref(), document).await
    });
    let digest = match push.await {
        Ok(pushed) => pushed?,
        Err(error) => {
            tracing::error!(%error, "a push ended without a result");
            return Err(crate::convention::ApiError::internal().into());
        }
    };
    asked.record("push", reference, Some(&digest));
    let location = format!("{}/manifests/{digest}", asked.path());
    let headers = [("location", location), (CONTENT_DIGEST, digest.to_string())];
    Ok(empty(StatusCode::CREATED, &headers))
}

pub(super) fn delete(asked: &Asked, reference: &Reference) -> Result<Response> {
    asked.platform.delete_manifest(&asked.repository, reference)?;
    asked.record("delete", reference, None);
    Ok(empty(StatusCode::ACCEPTED, &[]))
}

/// Lists tags in order, `n` at a time after `last`.
pub(super) fn tags(asked: &Asked) -> Result<Response> {
    let mut tags = asked.platform.registry_tags(&asked.repository)?;
    let query = form_pairs(&asked.query);
    let value = |key: &str| query.iter().find(|(name, _)| name == key).map(|(_, value)| value);
    if let Some(last) = value("last") {
        tags.retain(|tag| tag > last);
    }
    let mut headers = vec![("content-type", "application/json".to_owned())];
    if let Some(most) = value("n").and_then(|n| n.parse::<usize>().ok())
        && most < tags.len()
    {
        tags.truncate(most);
        if let Some(last) = tags.last() {
            let next = format!("<{}/tags/list?n={most}&last={last}>; rel=\"next\"", asked.path());
            headers.push(("link", next));
        }
    }
    let name = format!("{}/{}", asked.repository.app.name, asked.repository.process);
    let body = json!({"name": name, "tags": tags}).to_string();
    Ok(with_body(StatusCode::OK, &headers, body))
}
