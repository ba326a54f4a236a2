//! Reading and writing without buffers of one's own: bytes stay where they came in for as long as
//! they can be passed on at once.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What one read takes at most, in bytes.
const SCRATCH: usize = 128 * 1024;
/// A buffer larger than this is given back once it is empty.
const KEEP: usize = 16 * 1024;

thread_local! {
    static BYTES: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// Reads into the bytes that all connections of this thread share, and gives what came to `with`:
/// empty when the other side has ended. So a connection that waits has no buffer.
pub(super) fn poll_read_with<I, R>(
    io: &mut I,
    cx: &mut Context<'_>,
    with: impl FnOnce(&mut [u8], &mut Context<'_>, &mut I) -> R,
) -> Poll<io::Result<R>>
where
    I: AsyncRead + Unpin,
{
    BYTES.with_borrow_mut(|bytes| {
        let mut buffer = ReadBuf::new(bytes);
        ready!(Pin::new(&mut *io).poll_read(cx, &mut buffer))?;
        let length = buffer.filled().len();
        Poll::Ready(Ok(with(&mut bytes[..length], cx, io)))
    })
}

/// The writing side of a connection: what could not be written yet.
#[derive(Default)]
pub(super) struct Sink {
    pending: Vec<u8>,
    at: usize,
    /// Bytes that the other side's kernel or ours has taken.
    pub written: u64,
    /// Something has been written since the last flush.
    unflushed: bool,
}

impl Sink {
    /// Writes the parts, and keeps what cannot be written at once.
    pub fn send<W>(&mut self, io: &mut W, cx: &mut Context<'_>, parts: [&[u8]; 4]) -> io::Result<()>
    where
        W: AsyncWrite + Unpin,
    {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let mut done = 0;
        while self.pending.is_empty() && done < length {
            match poll_write_some(io, cx, after(&parts, done)) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    done += written;
                    self.written += written as u64;
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        if done < length {
            for part in after(&parts, done) {
                self.pending.extend_from_slice(part);
            }
        }
        Ok(())
    }

    /// Writes what is kept; ready once everything has been taken.
    pub fn poll_drain<W>(&mut self, io: &mut W, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin,
    {
        while self.at < self.pending.len() {
            let written = ready!(Pin::new(&mut *io).poll_write(cx, &self.pending[self.at..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.at += written;
            self.written += written as u64;
            self.unflushed = true;
        }
        self.at = 0;
        if self.pending.capacity() > KEEP {
            self.pending = Vec::new();
        } else {
            self.pending.clear();
        }
        if self.unflushed {
            ready!(Pin::new(&mut *io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Returns whether something waits to be written.
    pub fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Returns how many bytes wait to be written.
    pub fn waiting(&self) -> u64 {
        (self.pending.len() - self.at) as u64
    }
}

/// Writes as one: a single part without the cost of several.
fn poll_write_some<W>(
    io: &mut W,
    cx: &mut Context<'_>,
    parts: [&[u8]; 4],
) -> Poll<io::Result<usize>>
where
    W: AsyncWrite + Unpin,
{
    let mut some = parts.iter().filter(|part| !part.is_empty());
    if let (Some(part), None) = (some.next(), some.next()) {
        return Pin::new(io).poll_write(cx, part);
    }
    Pin::new(io).poll_write_vectored(cx, &parts.map(IoSlice::new))
}

/// Returns the parts without their first `done` bytes.
fn after<'a>(parts: &[&'a [u8]; 4], mut done: usize) -> [&'a [u8]; 4] {
    parts.map(|part| {
        let skipped = done.min(part.len());
        done -= skipped;
        &part[skipped..]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn parts_are_written_in_order_however_little_is_taken() {
        for room in 1..12 {
            let (mut ours, theirs) = tokio::io::duplex(room);
            let mut cx = Context::from_waker(Waker::noop());
            let mut sink = Sink::default();
            sink.send(&mut ours, &mut cx, [b"one", b"", b"two", b"three"]).unwrap();
            sink.send(&mut ours, &mut cx, [b"four", b"", b"", b""]).unwrap();
            let mut seen = Vec::new();
            let mut theirs = theirs;
            for _ in 0..40 {
                let _ = sink.poll_drain(&mut ours, &mut cx).map(Result::unwrap);
                let _ = poll_read_with(&mut theirs, &mut cx, |bytes, _, _| {
                    seen.extend_from_slice(bytes);
                });
            }
            assert_eq!(seen, b"onetwothreefour", "room for {room}");
            assert!(!sink.is_waiting() && sink.written == 15);
        }
    }
}
