//! Blobs on their way in: in one piece or in several.

use super::error::Refusal;
use super::{Asked, CONTENT_DIGEST, Result, empty, path, range};
use crate::heroku::next_piece;
use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use windlass_control::distribution::{BlobUpload, DistributionError, Repository};
use windlass_core::ids::Digest;

/// Begins an upload; with `digest` it is all there is, with `mount` it may not be needed.
pub(super) async fn begin(asked: &Asked, body: Body) -> Result<Response> {
    if let (Some(digest), Some(from)) = (asked.query("mount"), asked.query("from")) {
        let digest = path::read_digest(&digest)?;
        if let Some(from) = other_repository(asked, &from)
            && asked.platform.mount_blob(&asked.user, &asked.repository, &from, &digest).await?
        {
            return Ok(created(asked, &digest));
        }
    }
    let id = asked.platform.begin_blob_upload(&asked.repository).await?;
    match asked.query("digest") {
        // There is no second request that could go on with it.
        Some(_) => {
            finish(asked, &id, body).await.inspect_err(|_| asked.platform.abandon_blob_upload(&id))
        }
        None => Ok(under_way(asked, &id, 0, StatusCode::ACCEPTED)),
    }
}

/// Finds the repository that a blob is to be taken from; `None` if it is none that the user may see.
fn other_repository(asked: &Asked, name: &str) -> Option<Repository> {
    let (app, process) = name.split_once('/')?;
    let process = process.parse().ok()?;
    Some(Repository { app: asked.platform.app(&asked.user, app).ok()?, process })
}

pub(super) fn status(asked: &Asked, id: &str) -> Result<Response> {
    let bytes = asked.platform.blob_upload(&asked.repository, id)?.bytes();
    Ok(under_way(asked, id, bytes, StatusCode::NO_CONTENT))
}

pub(super) async fn add(asked: &Asked, id: &str, body: Body) -> Result<Response> {
    let mut upload = asked.platform.blob_upload(&asked.repository, id)?;
    check_place(asked, &upload)?;
    receive(asked, id, &mut upload, body).await?;
    Ok(under_way(asked, id, upload.bytes(), StatusCode::ACCEPTED))
}

pub(super) async fn finish(asked: &Asked, id: &str, body: Body) -> Result<Response> {
    let digest = asked.query("digest").ok_or_else(|| {
        let message = "the digest of the blob is missing: ?digest=sha256:…";
        Refusal::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message)
    })?;
    let digest = path::read_digest(&digest)?;
    let mut upload = asked.platform.blob_upload(&asked.repository, id)?;
    check_place(asked, &upload)?;
    receive(asked, id, &mut upload, body).await?;
    asked.platform.finish_blob_upload(&asked.repository, id, upload, &digest).await?;
    Ok(created(asked, &digest))
}

pub(super) fn cancel(asked: &Asked, id: &str) -> Result<Response> {
    asked.platform.cancel_blob_upload(&asked.repository, id)?;
    Ok(empty(StatusCode::NO_CONTENT, &[]))
}

/// Refuses a chunk that does not begin where the last one ended, or is not as long as it says.
fn check_place(asked: &Asked, upload: &BlobUpload) -> Result<()> {
    let Some(header) = asked.headers.get(CONTENT_RANGE) else { return Ok(()) };
    let at = upload.bytes();
    let Some((first, last)) = header.to_str().ok().and_then(range::chunk).filter(|c| c.0 == at)
    else {
        return Err(DistributionError::RangeInvalid { at }.into());
    };
    let length = asked.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length: Option<u64> = length.and_then(|length| length.parse().ok());
    if length.is_some_and(|length| length != 0 && length - 1 != last - first) {
        let message = "the chunk is not as long as its Content-Range says";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "SIZE_INVALID", message));
    }
    Ok(())
}

/// Takes what comes. A client whose connection breaks may go on; one whose bytes are refused may not.
async fn receive(asked: &Asked, id: &str, upload: &mut BlobUpload, mut body: Body) -> Result<()> {
    while let Some(bytes) = next_piece(&mut body).await? {
        if let Err(refused) = upload.write(&bytes).await {
            asked.platform.abandon_blob_upload(id);
            return Err(refused.into());
        }
    }
    Ok(())
}

fn under_way(asked: &Asked, id: &str, bytes: u64, status: StatusCode) -> Response {
    let headers = [
        ("location", format!("{}/blobs/uploads/{id}", asked.path())),
        ("docker-upload-uuid", id.to_owned()),
        ("range", format!("0-{}", bytes.saturating_sub(1))),
    ];
    empty(status, &headers)
}

fn created(asked: &Asked, digest: &Digest) -> Response {
    let location = format!("{}/blobs/{digest}", asked.path());
    empty(StatusCode::CREATED, &[("location", location), (CONTENT_DIGEST, digest.to_string())])
}
