//! The body of a request as the client sends it, over whichever protocol.

use super::body::UploadFailure;
use crate::http2::RequestStream;
use crate::http3;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

pub(crate) enum ClientBody {
    Empty,
    Http1(Incoming),
    Http2(RequestStream),
    Http3(Box<http3::RequestStream>),
}

impl From<Incoming> for ClientBody {
    fn from(body: Incoming) -> Self {
        Self::Http1(body)
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = UploadFailure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadFailure>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Http1(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|error| failure(&error)))),
            Self::Http2(body) => Pin::new(body).poll_frame(cx),
            Self::Http3(body) => Pin::new(body.as_mut()).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
            Self::Http3(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
            Self::Http3(body) => body.size_hint(),
        }
    }
}

/// hyper says "parse" of a chunk it cannot read, and else that the bytes ended.
fn failure(error: &hyper::Error) -> UploadFailure {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let ended = error.is_incomplete_message()
        || source.is_some_and(|error| {
            !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
        });
    if ended { UploadFailure::Interrupted } else { UploadFailure::BadChunk }
}
