//! What hyper reads of a client: it takes more than can be read in one way only, so everything is
//! looked at before it, as strictly as on the other path.

use super::body::Framing;
use super::chunked::{Chunked, Piece};
use super::head::Ending;
use super::io::poll_read_with;
use super::request;
use bytes::{Buf, BytesMut};
use futures_util::task::AtomicWaker;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is kept of what a client sends while it waits for another protocol, in bytes.
const AHEAD: usize = 64 * 1024;
/// What hyper gets in the place of a head that is refused. It answers it with 400.
const REFUSED: &[u8] = b"\0\r\n\r\n";

/// How requests were answered, as far as that decides what comes next: written by who answers, read
/// by who reads.
#[derive(Default)]
pub(super) struct Answers {
    /// How many there were, and in the last bit whether the last one switched protocols.
    state: AtomicU64,
    reader: AtomicWaker,
}

impl Answers {
    /// Notes the next answer.
    pub fn note(&self, switched: bool) {
        let count = (self.state.load(Ordering::Relaxed) >> 1) + 1;
        self.state.store(count << 1 | u64::from(switched), Ordering::Release);
        self.reader.wake();
    }

    /// Returns whether the answer of this number switched protocols, once it is there.
    fn poll_switched(&self, number: u64, cx: &Context<'_>) -> Poll<bool> {
        self.reader.register(cx.waker());
        let state = self.state.load(Ordering::Acquire);
        if state >> 1 < number { Poll::Pending } else { Poll::Ready(state & 1 == 1) }
    }
}

/// A client's stream of which some bytes were read already.
pub(super) struct Strict<S> {
    stream: S,
    /// Came in, and not read by hyper.
    input: BytesMut,
    /// How many of these were looked at, and how many hyper may have.
    looked: usize,
    admitted: usize,
    state: State,
    /// Heads so far.
    requests: u64,
    longest: usize,
    answers: Arc<Answers>,
}

enum State {
    Head(Ending),
    Length(u64),
    Chunked(Box<Chunked>),
    /// The answer says whether HTTP goes on.
    Undecided,
    Tunnel,
    /// Nothing more is read; what was wrong with a body is said to hyper.
    Over(Option<io::ErrorKind>),
}

impl<S> Strict<S> {
    /// Reads heads of up to `longest` bytes.
    pub fn new(stream: S, begun: Vec<u8>, longest: usize, answers: Arc<Answers>) -> Self {
        let state = State::Head(Ending::default());
        let input = BytesMut::from(begun.as_slice());
        Self { stream, input, looked: 0, admitted: 0, state, requests: 0, longest, answers }
    }

    /// Looks at what has come, as far as that goes. Returns whether more is needed to say more.
    fn look(&mut self, cx: &Context<'_>) -> bool {
        while self.admitted == 0 {
            let new = &self.input[self.looked..];
            match &mut self.state {
                State::Head(ending) => match ending.find(&self.input) {
                    Ok(Some(length)) if length <= self.longest => self.head(length),
                    // What is no method at all has no end to wait for.
                    Ok(None) if is_no_head(&self.input) => self.refuse(),
                    Ok(None) if self.input.len() <= self.longest => return true,
                    Ok(length) => self.leave_to_hyper(length),
                    Err(_) => self.refuse(),
                },
                State::Length(left) => {
                    if new.is_empty() {
                        return true;
                    }
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(new.len());
                    *left -= length as u64;
                    let is_over = *left == 0;
                    self.admit(length, is_over);
                }
                State::Chunked(chunked) => match chunked.next(new) {
                    Ok(Some(piece)) => {
                        let is_over = chunked.is_done();
                        if is_over && chunked.trailers().is_err() {
                            self.state = State::Over(Some(io::ErrorKind::InvalidData));
                            continue;
                        }
                        self.looked += piece.len();
                        // Trailers are looked at as a whole.
                        if is_over || !matches!(piece, Piece::Trailers(_)) {
                            self.admit(0, is_over);
                        }
                    }
                    Ok(None) => return true,
                    Err(_) => self.state = State::Over(Some(io::ErrorKind::InvalidData)),
                },
                State::Undecided => match self.answers.poll_switched(self.requests, cx) {
                    Poll::Ready(true) => self.state = State::Tunnel,
                    Poll::Ready(false) => self.state = State::Head(Ending::default()),
                    Poll::Pending => return self.input.len() < AHEAD,
                },
                State::Tunnel => {
                    self.admitted = self.input.len();
                    return true;
                }
                State::Over(_) => return false,
            }
        }
        false
    }

    /// Admits all that was looked at and `more`.
    fn admit(&mut self, more: usize, is_over: bool) {
        self.looked += more;
        self.admitted = self.looked;
        if is_over {
            self.state = State::Head(Ending::default());
        }
    }

    /// Looks at a head of this length, with which the input begins.
    fn head(&mut self, length: usize) {
        let bytes = &self.input[..length];
        if bytes == b"\r\n" {
            // Empty lines before a request are no part of it.
            self.input.advance(length);
            self.state = State::Head(Ending::default());
            return;
        }
        let request = request::read(bytes).and_then(|head| head.host(bytes).map(|_| head));
        let Ok(request) = request else { return self.refuse() };
        self.requests += 1;
        self.admit(length, false);
        self.state = match request.framing {
            Framing::Chunked => State::Chunked(Box::new(Chunked::new())),
            Framing::Length(length) if length > 0 => State::Length(length),
            _ if request.upgrade.is_some() => State::Undecided,
            _ => State::Head(Ending::default()),
        };
    }

    /// Shows a head that is too long without its end: that is how hyper finds the answer to it.
    fn leave_to_hyper(&mut self, length: Option<usize>) {
        let shown = length.map_or(self.input.len(), |length| length - 2);
        self.input.truncate(shown);
        self.admitted = shown;
        self.state = State::Over(None);
    }

    fn refuse(&mut self) {
        self.input = BytesMut::from(REFUSED);
        self.admitted = REFUSED.len();
        self.state = State::Over(None);
    }
}

fn is_no_head(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|byte| !byte.is_ascii_graphic() && *byte != b'\r')
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            let wants_more = this.look(cx);
            if this.admitted > 0 {
                let length = this.admitted.min(buf.remaining());
                buf.put_slice(&this.input[..length]);
                this.input.advance(length);
                this.admitted -= length;
                this.looked = this.looked.saturating_sub(length);
                return Poll::Ready(Ok(()));
            }
            match this.state {
                State::Tunnel => return Pin::new(&mut this.stream).poll_read(cx, buf),
                State::Over(Some(kind)) => return Poll::Ready(Err(kind.into())),
                State::Over(None) => return Poll::Ready(Ok(())),
                // Only an answer changes that.
                _ if !wants_more => return Poll::Pending,
                _ => {}
            }
            let input = &mut this.input;
            let read = poll_read_with(&mut this.stream, cx, |bytes, _, _| {
                input.extend_from_slice(bytes);
                bytes.len()
            });
            if ready!(read)? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
