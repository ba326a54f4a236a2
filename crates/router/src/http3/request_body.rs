//! The body of a client's request over HTTP/3.

use super::stream::Receive;
use crate::proxy::body::UploadFailure;
use bytes::{Buf, Bytes};
use http::Method;
use hyper::body::{Body, Frame, SizeHint};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a request that has no body by its nature may take to say that it has none: the end of
/// its stream can come after its head.
const LATE_END: Duration = Duration::from_millis(200);

/// What a client sends after the head of its request. The client may send on as far as this was
/// read.
pub(crate) struct RequestStream {
    stream: Receive,
    /// Read already.
    first: Option<Bytes>,
    /// What is still to come, if the client said how much.
    left: Option<u64>,
    /// The client waits to be told that somebody reads.
    expecting: Option<oneshot::Sender<()>>,
    part: Part,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Data,
    Trailers,
    End,
}

/// How a request goes on after its head.
pub(super) enum Start {
    Empty,
    Body(Box<RequestStream>),
    /// It is cut off, or not what its head says.
    Broken,
}

impl RequestStream {
    /// Looks whether there is a body at all.
    pub(super) async fn begin(
        stream: Receive,
        method: &Method,
        length: Option<u64>,
        expecting: Option<oneshot::Sender<()>>,
    ) -> Start {
        let body = Self { stream, first: None, left: length, expecting, part: Part::Data };
        let mut body = Box::new(body);
        if body.expecting.is_some() {
            return Start::Body(body);
        }
        let usually_none = [Method::GET, Method::HEAD, Method::OPTIONS, Method::DELETE];
        let may_wait = length == Some(0) || (length.is_none() && usually_none.contains(method));
        let wait = if may_wait { LATE_END } else { Duration::ZERO };
        match tokio::time::timeout(wait, poll_fn(|cx| body.poll_data(cx))).await {
            Err(_) => Start::Body(body),
            Ok(Some(Ok(data))) => {
                body.first = Some(data);
                Start::Body(body)
            }
            Ok(Some(Err(_))) => Start::Broken,
            Ok(None) => match tokio::time::timeout(wait, poll_fn(|cx| body.poll_end(cx))).await {
                Ok(None) => Start::Empty,
                Ok(Some(Err(_))) => Start::Broken,
                // Trailers alone say nothing to anybody.
                Ok(Some(Ok(_))) => Start::Empty,
                Err(_) => Start::Body(body),
            },
        }
    }

    /// Reads the next piece of data; `None` at its end.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UploadFailure>>> {
        let broken = Poll::Ready(Some(Err(UploadFailure::Interrupted)));
        while self.part == Part::Data {
            let Ok(data) = ready!(self.stream.poll_recv_data(cx)) else { return broken };
            let data = data.map(|mut data| data.copy_to_bytes(data.remaining()));
            let Some(data) = data else {
                // Less than was said: nobody may take it for all.
                if self.left.is_some_and(|left| left > 0) {
                    return broken;
                }
                self.part = Part::Trailers;
                break;
            };
            match self.left.map(|left| left.checked_sub(data.len() as u64)) {
                Some(None) => return broken,
                Some(left) => self.left = left,
                None => {}
            }
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(data)));
            }
        }
        Poll::Ready(None)
    }

    /// Reads what comes after the data.
    fn poll_end(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http::HeaderMap, UploadFailure>>> {
        if self.part == Part::End {
            return Poll::Ready(None);
        }
        let trailers = ready!(self.stream.poll_recv_trailers(cx));
        self.part = Part::End;
        Poll::Ready(match trailers {
            Ok(trailers) => trailers.map(Ok),
            Err(_) => Some(Err(UploadFailure::Interrupted)),
        })
    }
}

impl Body for RequestStream {
    type Data = Bytes;
    type Error = UploadFailure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadFailure>>> {
        let this = &mut *self;
        if let Some(expecting) = this.expecting.take() {
            let _ = expecting.send(());
        }
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if let Some(data) = ready!(this.poll_data(cx)) {
            return Poll::Ready(Some(data.map(Frame::data)));
        }
        this.poll_end(cx).map(|end| end.map(|trailers| trailers.map(Frame::trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.part == Part::End
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().map_or(0, |first| first.len() as u64);
        self.left.map_or_else(SizeHint::default, |left| SizeHint::with_exact(left + first))
    }
}
