//! The body of a target's answer, however it comes.

use super::carrier::Carrier;
use crate::http1::{AnswerStream, Interrupted};
use crate::target::Target;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

pub(crate) enum TargetBody {
    /// Of a request that was sent with hyper, and on which connection.
    Carried(Incoming, Option<Carrier>),
    /// Of one that was sent without.
    Plain(AnswerStream),
}

impl TargetBody {
    /// Keeps the connection for other requests, if the target takes any. At most `limit` are kept.
    pub fn give_back(&mut self, target: &Target, limit: usize) {
        match self {
            Self::Carried(_, carrier) => {
                if let Some(Carrier::Own(connection)) = carrier.take() {
                    target.pool.put(connection, limit);
                }
            }
            Self::Plain(answer) => {
                if let Some(stream) = answer.take_reusable() {
                    target.streams.put(stream, limit);
                }
            }
        }
    }

    /// Gives the connection up.
    pub fn cut(&mut self) {
        if let Self::Carried(_, carrier) = self {
            *carrier = None;
        }
    }
}

impl Body for TargetBody {
    type Data = Bytes;
    type Error = Interrupted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        match &mut *self {
            Self::Carried(body, _) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|_| Interrupted))),
            Self::Plain(answer) => Pin::new(answer).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Carried(body, _) => body.is_end_stream(),
            Self::Plain(answer) => answer.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Carried(body, _) => body.size_hint(),
            Self::Plain(answer) => answer.size_hint(),
        }
    }
}
