//! One client connection: its requests one after the other.

use super::alarm::Alarm;
use super::head::{BadHead, Ending};
use super::io::{Sink, poll_read_with};
use super::request::Refusal;
use crate::listen::{Client, ClientStream};
use crate::run::{Phase, Router};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// What a client may send ahead of its turn, in bytes.
const AHEAD: usize = 64 * 1024;
/// How long what a client still sends is read after the last answer, so that it gets that answer:
/// a connection that is closed with something unread is reset.
const LINGER: Duration = Duration::from_secs(2);

/// A client connection.
pub(super) struct Connection<S> {
    pub io: S,
    pub side: Side,
}

/// All of a client connection but its stream.
pub(super) struct Side {
    pub client: Arc<Client>,
    pub router: Arc<Router>,
    /// What the client has sent: the head of the request under way, and what nobody has taken yet.
    pub input: Vec<u8>,
    pub sink: Sink,
    pub alarm: Alarm,
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Request,
    /// Once everything has been written.
    Close,
    /// At once.
    Gone,
    /// The general path serves it from the request on that `input` begins with.
    General,
}

/// What was found where a request should begin.
enum Beginning {
    /// A head of this length.
    Head(usize),
    Refused(Refusal),
    TooSlow,
    Ended,
}

impl<S: ClientStream> Connection<S> {
    pub fn new(io: S, client: Arc<Client>, router: Arc<Router>) -> Self {
        let alarm = Alarm::new(Arc::clone(&router.alarms));
        let side = Side { client, router, input: Vec::new(), sink: Sink::default(), alarm };
        Self { io, side }
    }

    /// Waits for a request and answers it.
    pub async fn serve_next(&mut self) -> Next {
        match self.beginning().await {
            // Large, and only there while a request is under way.
            Beginning::Head(length) => Box::pin(self.answer(length)).await,
            Beginning::Refused(refusal) => Box::pin(self.refuse(refusal)).await,
            Beginning::TooSlow => Box::pin(self.refuse(Refusal::TooSlow)).await,
            Beginning::Ended => Next::Gone,
        }
    }

    async fn beginning(&mut self) -> Beginning {
        let Self { io, side } = self;
        let limits = &side.router.limits;
        let (limit, longest) = (limits.client_idle, limits.request_head);
        let mut ending = Ending::default();
        let mut begun = false;
        side.alarm.set(Instant::now(), limit);
        loop {
            if !begun {
                skip_empty_lines(&mut side.input);
                ending = Ending::default();
            }
            match ending.find(&side.input) {
                Ok(Some(length)) if length <= longest => return Beginning::Head(length),
                Ok(None) if side.input.len() <= longest => {}
                Ok(_) => return Beginning::Refused(Refusal::HeadTooLong),
                Err(bad) => return Beginning::Refused(Refusal::Head(bad)),
            }
            // What is no method at all, a TLS handshake for one, has no end to wait for.
            if side.input.first().is_some_and(|byte| !byte.is_ascii_graphic() && *byte != b'\r') {
                return Beginning::Refused(Refusal::Head(BadHead::Malformed));
            }
            if !begun && side.input.len() > 1 {
                begun = true;
                side.alarm.set(Instant::now(), limit);
            }
            match poll_fn(|cx| side.poll_more(io, cx)).await {
                More::Bytes => {}
                More::TooSlow if begun => return Beginning::TooSlow,
                More::TooSlow | More::Ended => return Beginning::Ended,
            }
        }
    }

    /// Ends the connection once everything has been written.
    pub async fn close(mut self) {
        let Self { io, side } = &mut self;
        side.alarm.set(Instant::now(), side.router.limits.idle);
        let written = poll_fn(|cx| side.poll_written(io, cx)).await;
        if !written {
            return;
        }
        side.alarm.set(Instant::now(), LINGER.min(side.router.limits.idle));
        let mut shut = false;
        poll_fn(|cx| {
            if side.alarm.poll(cx) || side.is_closing() {
                return Poll::Ready(());
            }
            while !shut {
                match Pin::new(&mut *io).poll_shutdown(cx) {
                    Poll::Ready(Ok(())) => shut = true,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
            loop {
                match poll_read_with(io, cx, |bytes, _, _| bytes.len()) {
                    Poll::Ready(Ok(length)) if length > 0 => {}
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
    }

    /// Waits for `future`, but not longer than the client does.
    pub async fn unless_gone<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let Self { io, side } = self;
        let mut future = std::pin::pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(value));
            }
            // Wakes when the phase changes; its limit is not that of `future`.
            side.alarm.poll(cx);
            if side.is_closing() || side.poll_gone(io, cx).is_ready() {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }
}

/// What came of waiting for bytes.
enum More {
    Bytes,
    TooSlow,
    Ended,
}

impl Side {
    pub fn into_parts(self) -> (Vec<u8>, Arc<Client>, Arc<Router>) {
        (self.input, self.client, self.router)
    }

    pub fn phase(&self) -> Phase {
        *self.router.phase.borrow()
    }

    pub fn is_closing(&self) -> bool {
        self.phase() == Phase::Closing
    }

    fn poll_more<S: ClientStream>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<More> {
        if self.alarm.poll(cx) {
            return Poll::Ready(More::TooSlow);
        }
        let idle = self.input.is_empty();
        match self.phase() {
            Phase::Closing => return Poll::Ready(More::Ended),
            Phase::Draining if idle => return Poll::Ready(More::Ended),
            _ => {}
        }
        // The rest of an answer that was too much for the client may still be on its way.
        if let Poll::Ready(Err(_)) = self.sink.poll_drain(io, cx) {
            return Poll::Ready(More::Ended);
        }
        let input = &mut self.input;
        let read = poll_read_with(io, cx, |bytes, _, _| {
            input.extend_from_slice(bytes);
            bytes.len()
        });
        read.map(|read| if read.is_ok_and(|length| length > 0) { More::Bytes } else { More::Ended })
    }

    /// Writes what is kept; returns whether that went well.
    fn poll_written<S: ClientStream>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<bool> {
        if self.alarm.poll(cx) || self.is_closing() {
            return Poll::Ready(false);
        }
        self.sink.poll_drain(io, cx).map(|drained| drained.is_ok())
    }

    /// Is ready when the client has closed its side. What it sends meanwhile is kept.
    pub fn poll_gone<S: ClientStream>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<()> {
        while self.input.len() < self.router.limits.request_head + AHEAD {
            let input = &mut self.input;
            let read = poll_read_with(io, cx, |bytes, _, _| {
                input.extend_from_slice(bytes);
                bytes.len()
            });
            match read {
                Poll::Ready(Ok(length)) if length > 0 => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Pending
    }

    /// Forgets the first bytes that the client has sent.
    pub fn consume(&mut self, length: usize) {
        if length >= self.input.len() {
            self.input = Vec::new();
        } else {
            self.input.drain(..length);
        }
    }
}

/// Takes away the empty lines that some clients send after a body.
fn skip_empty_lines(input: &mut Vec<u8>) {
    let skipped = input.chunks_exact(2).take_while(|pair| pair == b"\r\n").count() * 2;
    if skipped > 0 {
        input.drain(..skipped);
    }
}
