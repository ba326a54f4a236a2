//! After 101: bytes both ways until both sides have closed.

use super::connection::Side;
use super::io::{Sink, poll_read_with};
use crate::access_log::ErrorCode;
use crate::listen::ClientStream;
use crate::proxy::exchange::Exchange;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// How a tunnel ended.
enum End {
    /// Both sides have closed, or one in its own way: with an error.
    Closed,
    Silent,
    CutOff,
}

/// One direction.
#[derive(Default)]
struct Way {
    sink: Sink,
    /// Its sender has closed.
    ended: bool,
    /// Its receiver knows.
    shut: bool,
    moved: bool,
}

impl Way {
    /// Passes bytes on until nothing moves; ready once its end has been passed on too.
    fn poll<R, W>(&mut self, from: &mut R, to: &mut W, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            let before = self.sink.written;
            let drained = self.sink.poll_drain(to, cx);
            self.moved |= self.sink.written > before;
            ready!(drained)?;
            if self.ended {
                if !self.shut {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.shut = true;
                }
                return Poll::Ready(Ok(()));
            }
            ready!(poll_read_with(from, cx, |bytes, cx, _| {
                self.moved = true;
                self.ended = bytes.is_empty();
                self.sink.send(to, cx, [bytes, b"", b"", b""])
            }))??;
        }
    }
}

/// Joins both sides, which have switched protocols, until the tunnel has ended.
pub(super) async fn run<S: ClientStream>(
    io: &mut S,
    mut target: TcpStream,
    side: &mut Side,
    exchange: &mut Exchange,
) {
    let idle = exchange.times().idle;
    // What waits for the client, the head of the answer first, goes before what comes now.
    let sink = std::mem::take(&mut side.sink);
    let before = sink.written + sink.waiting();
    let mut down = Way { sink, moved: true, ..Way::default() };
    let mut up = Way::default();
    let ahead = std::mem::take(&mut side.input);
    let mut begun = false;
    let end = poll_fn(|cx| {
        let over = side.alarm.poll(cx);
        if side.is_closing() {
            return Poll::Ready(End::CutOff);
        }
        if !begun {
            begun = true;
            if up.sink.send(&mut target, cx, [&ahead, b"", b"", b""]).is_err() {
                return Poll::Ready(End::Closed);
            }
        }
        let (up_ended, down_ended) = (up.poll(io, &mut target, cx), down.poll(&mut target, io, cx));
        match (up_ended, down_ended) {
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => return Poll::Ready(End::Closed),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(End::Closed),
            _ => {}
        }
        if up.moved || down.moved {
            (up.moved, down.moved) = (false, false);
            side.alarm.set(Instant::now(), idle);
        } else if over {
            return Poll::Ready(End::Silent);
        }
        Poll::Pending
    })
    .await;
    exchange.count_bytes(down.sink.written.saturating_sub(before));
    match end {
        End::Closed => exchange.finish(),
        End::Silent => {
            exchange.fail(ErrorCode::IdleConnection);
            exchange.finish();
        }
        // It was not finished.
        End::CutOff => {}
    }
}
