//! A client's socket that knows when the client was last heard of, and gives up writing to one
//! that has not read for too long.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// When the client was last heard of.
pub(super) struct Heard {
    epoch: Instant,
    /// Milliseconds from `epoch`.
    last: AtomicU64,
}

impl Heard {
    pub fn new() -> Self {
        Self { epoch: Instant::now(), last: AtomicU64::new(0) }
    }

    /// The time on the connection's clock.
    pub fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// How long the client has been silent.
    pub fn silence(&self) -> Duration {
        self.now().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }

    fn note(&self) {
        let elapsed = u64::try_from(self.now().as_millis()).unwrap_or(u64::MAX);
        self.last.store(elapsed, Ordering::Relaxed);
    }
}

pub(super) struct ClientIo<S> {
    stream: S,
    heard: Arc<Heard>,
    stall: Option<Pin<Box<Sleep>>>,
    limit: Duration,
    stalled: Arc<AtomicBool>,
}

impl<S> ClientIo<S> {
    /// `stalled` becomes true when a write has made no progress for `limit`.
    pub fn new(stream: S, heard: Arc<Heard>, limit: Duration, stalled: Arc<AtomicBool>) -> Self {
        Self { stream, heard, stall: None, limit, stalled }
    }

    fn watch(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let limit = self.limit;
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if stall.as_mut().poll(cx).is_ready() {
            self.stalled.store(true, Ordering::Relaxed);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            self.heard.note();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ClientIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
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
