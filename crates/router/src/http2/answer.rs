//! The body of an answer on its way to a client of HTTP/2.

use crate::proxy::body::AnswerBody;
use crate::streams::{self, Ending, Next, head};
use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;
use hyper::body::Body;
use std::future::poll_fn;
use std::task::Poll;

/// Sends what the target answers as far as the client's windows let it, and its trailers. A client
/// that opens no window for too long is given up.
pub(super) async fn send(mut body: AnswerBody, stream: &mut SendStream<Bytes>) -> Ending {
    // A page is one piece, for which nobody waits.
    let idle = body.idle_limit().unwrap_or_default();
    let mut is_first = true;
    loop {
        // The first piece goes as it is: it is at most what a target is read at once.
        if !is_first && !has_room(stream) {
            match tokio::time::timeout(idle, room(stream)).await {
                Ok(true) => {}
                Ok(false) => return Ending::TakenBack,
                Err(_) => {
                    body.client_is_idle();
                    stream.send_reset(Reason::CANCEL);
                    return Ending::Served;
                }
            }
        }
        is_first = false;
        let frame = match streams::next(&mut body, |cx| stream.poll_reset(cx).map(drop)).await {
            Next::Frame(frame) => frame,
            Next::End => {
                let _ = stream.send_data(Bytes::new(), true);
                return Ending::Served;
            }
            Next::BrokenOff => {
                stream.send_reset(Reason::INTERNAL_ERROR);
                return Ending::Served;
            }
            Next::Gone => return Ending::TakenBack,
        };
        let frame = match frame.into_data() {
            Ok(data) => {
                let is_last = body.is_end_stream();
                if stream.send_data(data, is_last).is_err() {
                    return Ending::TakenBack;
                }
                if is_last {
                    return Ending::Served;
                }
                continue;
            }
            Err(frame) => frame,
        };
        if let Ok(mut trailers) = frame.into_trailers() {
            head::to_stream(&mut trailers);
            send_trailers(stream, trailers);
            return Ending::Served;
        }
    }
}

/// Without trailers left, an empty piece ends the stream as well.
fn send_trailers(stream: &mut SendStream<Bytes>, trailers: HeaderMap) {
    let _ = if trailers.is_empty() {
        stream.send_data(Bytes::new(), true)
    } else {
        stream.send_trailers(trailers)
    };
}

/// Whether the client can take more now, all that was sent before taken off.
fn has_room(stream: &mut SendStream<Bytes>) -> bool {
    stream.reserve_capacity(1);
    stream.capacity() > 0
}

/// Waits until the client can take more; false when it has gone.
async fn room(stream: &mut SendStream<Bytes>) -> bool {
    poll_fn(|cx| {
        loop {
            match stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(0))) => {}
                Poll::Ready(Some(Ok(_))) => return Poll::Ready(true),
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(false),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}
