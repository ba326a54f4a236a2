//! Blobs as they are fetched.

use super::error::Refusal;
use super::{Asked, CONTENT_DIGEST, Result, range, with_body};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::header::RANGE;
use http::{Method, StatusCode};
use std::io::{self, SeekFrom};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use windlass_control::distribution::BlobContent;
use windlass_core::ids::Digest;

/// Pieces of a file that goes out, in bytes.
const PIECE: usize = 256 * 1024;

pub(super) async fn get(asked: &Asked, digest: &Digest) -> Result<Response> {
    let content = asked.platform.registry_blob(&asked.repository, digest)?;
    let size = content.size();
    let mut headers = vec![
        ("content-type", "application/octet-stream".to_owned()),
        ("content-length", size.to_string()),
        (CONTENT_DIGEST, digest.to_string()),
    ];
    if asked.method == Method::HEAD {
        return Ok(with_body(StatusCode::OK, &headers, Body::empty()));
    }
    let body = match content {
        BlobContent::Bytes(bytes) => bytes.into(),
        BlobContent::Layer { digest, .. } => pieces(asked.platform.layer_pieces(digest)),
        BlobContent::File { path, size } => {
            headers.push(("accept-ranges", "bytes".to_owned()));
            let header = asked.headers.get(RANGE).and_then(|range| range.to_str().ok());
            let wanted = range::wanted(header, size).map_err(|()| {
                let message = format!("the blob has {size} bytes");
                Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", message)
            })?;
            let file = File::open(&path).await;
            let file = file.map_err(|error| {
                tracing::error!(path = %path.display(), %error, "a pushed blob cannot be read");
                Refusal::from(crate::convention::ApiError::internal())
            })?;
            let Some((first, count)) = wanted else {
                return Ok(with_body(StatusCode::OK, &headers, file_part(file, 0, size)));
            };
            headers.retain(|(name, _)| *name != "content-length");
            headers.push(("content-length", count.to_string()));
            headers.push(("content-range", format!("bytes {first}-{}/{size}", first + count - 1)));
            let body = file_part(file, first, count);
            return Ok(with_body(StatusCode::PARTIAL_CONTENT, &headers, body));
        }
    };
    Ok(with_body(StatusCode::OK, &headers, body))
}

/// Sends what is packed meanwhile. If that fails on the way the connection is cut.
pub(crate) fn pieces(receiver: tokio::sync::mpsc::Receiver<io::Result<Bytes>>) -> Body {
    Body::from_stream(stream::unfold(receiver, |mut receiver| async {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    }))
}

/// Sends a part of a file.
pub(crate) fn file_part(file: File, first: u64, count: u64) -> Body {
    let begin = Reading { file, first: Some(first), left: count };
    Body::from_stream(stream::unfold(begin, |mut reading| async {
        match reading.next().await {
            Ok(None) => None,
            Ok(Some(piece)) => Some((Ok(piece), reading)),
            Err(error) => {
                reading.left = 0;
                Some((Err(error), reading))
            }
        }
    }))
}

struct Reading {
    file: File,
    /// Where to begin, until that was done.
    first: Option<u64>,
    left: u64,
}

impl Reading {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(first) = self.first.take() {
            self.file.seek(SeekFrom::Start(first)).await?;
        }
        if self.left == 0 {
            return Ok(None);
        }
        let most = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
        let mut buffer = vec![0; most];
        let count = self.file.read(&mut buffer).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.truncate(count);
        self.left -= count as u64;
        Ok(Some(buffer.into()))
    }
}
