//! After 101: bytes both ways until both sides have closed.

use super::exchange::Exchange;
use super::target_body::TargetBody;
use crate::access_log::ErrorCode;
use crate::last_time::LastTime;
use crate::run::Phase;
use crate::{http2, http3};
use http::Extensions;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// The client's side of a tunnel that may begin.
pub(super) enum ClientSide {
    Http1(OnUpgrade),
    Http2(http2::StreamUpgrade),
    Http3(http3::StreamUpgrade),
}

impl ClientSide {
    /// Whether a success says to the client that its tunnel has begun.
    pub fn is_stream(&self) -> bool {
        matches!(self, Self::Http2(_) | Self::Http3(_))
    }

    /// Takes it from what came with the request.
    pub fn take(extensions: &mut Extensions) -> Option<Self> {
        if let Some(stream) = extensions.remove::<http2::StreamUpgrade>() {
            return Some(Self::Http2(stream));
        }
        if let Some(stream) = extensions.remove::<http3::StreamUpgrade>() {
            return Some(Self::Http3(stream));
        }
        extensions.remove::<OnUpgrade>().map(Self::Http1)
    }
}

/// Joins both sides once they have switched protocols. The exchange, and with it its count at
/// the target, ends with the tunnel; so does `carrying`, which has the connection to it.
pub(super) fn start(
    mut exchange: Exchange,
    client: ClientSide,
    target: OnUpgrade,
    carrying: TargetBody,
) {
    tokio::spawn(async move {
        let _carrying = carrying;
        let mut phase = exchange.router().phase.subscribe();
        tokio::select! {
            () = run(&mut exchange, client, target) => {}
            _ = phase.wait_for(|phase| *phase == Phase::Closing) => {}
        }
    });
}

async fn run(exchange: &mut Exchange, client: ClientSide, target: OnUpgrade) {
    // If one side goes away before the switch, the exchange ends as interrupted.
    match client {
        ClientSide::Http1(client) => {
            let Ok((client, target)) = tokio::try_join!(client, target) else { return };
            join(exchange, TokioIo::new(client), TokioIo::new(target)).await;
        }
        ClientSide::Http2(client) => {
            let (Some(client), Ok(target)) = tokio::join!(client.stream(), target) else { return };
            join(exchange, client, TokioIo::new(target)).await;
        }
        ClientSide::Http3(client) => {
            let (Some(client), Ok(target)) = tokio::join!(client.stream(), target) else { return };
            join(exchange, client, TokioIo::new(target)).await;
        }
    }
}

async fn join<C, T>(exchange: &mut Exchange, client: C, target: T)
where
    C: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let idle = exchange.times().idle;
    let meter = Arc::<LastTime>::default();
    let mut client = Side { io: client, meter: Arc::clone(&meter), written: 0 };
    let mut target = Side { io: target, meter: Arc::clone(&meter), written: 0 };
    let silent = tokio::select! {
        // An error is one side's way to close, and none of ours.
        _ = tokio::io::copy_bidirectional(&mut client, &mut target) => false,
        () = silence(&meter, idle) => true,
    };
    exchange.count_bytes(client.written);
    if silent {
        exchange.fail(ErrorCode::IdleConnection);
    }
    exchange.finish();
}

/// Waits until nothing has gone through for `limit`.
async fn silence(meter: &LastTime, limit: Duration) {
    loop {
        let deadline = meter.last() + limit;
        if deadline <= Instant::now() {
            return;
        }
        tokio::time::sleep_until(deadline).await;
    }
}

/// One side of a tunnel.
struct Side<I> {
    io: I,
    /// When the last byte went through, in whichever direction.
    meter: Arc<LastTime>,
    written: u64,
}

impl<I: AsyncRead + Unpin> AsyncRead for Side<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_ready() {
            self.meter.note();
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Side<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        if let Poll::Ready(Ok(length)) = written {
            self.meter.note();
            self.written += length as u64;
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
