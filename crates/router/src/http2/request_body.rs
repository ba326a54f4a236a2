//! The body of a client's request over HTTP/2.

use crate::proxy::body::UploadFailure;
use bytes::Bytes;
use h2::RecvStream;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;

/// What a client sends after the head of its request. The client may send on as far as this was
/// read.
pub(crate) struct RequestStream {
    stream: RecvStream,
    /// What is still to come, if the client said how much.
    length: Option<u64>,
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

impl RequestStream {
    pub fn new(
        stream: RecvStream,
        length: Option<u64>,
        expecting: Option<oneshot::Sender<()>>,
    ) -> Self {
        Self { stream, length, expecting, part: Part::Data }
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
        while this.part == Part::Data {
            match ready!(this.stream.poll_data(cx)) {
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => {
                    // Fails only for a stream that has ended, which needs no window.
                    let _ = this.stream.flow_control().release_capacity(data.len());
                    if let Some(length) = &mut this.length {
                        *length = length.saturating_sub(data.len() as u64);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(_)) => return Poll::Ready(Some(Err(UploadFailure::Interrupted))),
                None => this.part = Part::Trailers,
            }
        }
        if this.part == Part::End {
            return Poll::Ready(None);
        }
        let trailers = ready!(this.stream.poll_trailers(cx));
        this.part = Part::End;
        Poll::Ready(match trailers {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(_) => Some(Err(UploadFailure::Interrupted)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.part == Part::End || self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
