//! After 101: bytes both ways until both sides have closed.

use super::exchange::Exchange;
use crate::access_log::ErrorCode;
use crate::run::Phase;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Joins both sides once they have switched protocols. The exchange, and with it its count at
/// the target, ends with the tunnel.
pub(super) fn start(mut exchange: Exchange, client: OnUpgrade, target: OnUpgrade) {
    tokio::spawn(async move {
        let mut phase = exchange.router().phase.subscribe();
        tokio::select! {
            () = run(&mut exchange, client, target) => {}
            _ = phase.wait_for(|phase| *phase == Phase::Closing) => {}
        }
    });
}

async fn run(exchange: &mut Exchange, client: OnUpgrade, target: OnUpgrade) {
    // If one side goes away before the switch, the exchange ends as interrupted.
    let Ok((client, target)) = tokio::try_join!(client, target) else { return };
    let idle = exchange.router().limits.idle;
    let meter = Arc::new(Meter { epoch: Instant::now(), last: AtomicU64::new(0) });
    let mut client = Side { io: TokioIo::new(client), meter: Arc::clone(&meter), written: 0 };
    let mut target = Side { io: TokioIo::new(target), meter: Arc::clone(&meter), written: 0 };
    let silent = tokio::select! {
        // An error is one side's way to close, and none of ours.
        _ = tokio::io::copy_bidirectional(&mut client, &mut target) => false,
        () = meter.silence(idle) => true,
    };
    exchange.count_bytes(client.written);
    if silent {
        exchange.fail(ErrorCode::IdleConnection);
    }
    exchange.finish();
}

/// When the last byte went through, in whichever direction.
struct Meter {
    epoch: Instant,
    /// Milliseconds after `epoch`.
    last: AtomicU64,
}

impl Meter {
    fn touch(&self) {
        let elapsed = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(elapsed, Ordering::Relaxed);
    }

    /// Waits until nothing has gone through for `limit`.
    async fn silence(&self, limit: Duration) {
        loop {
            let deadline =
                self.epoch + Duration::from_millis(self.last.load(Ordering::Relaxed)) + limit;
            if deadline <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }
}

/// One side of a tunnel.
struct Side {
    io: TokioIo<Upgraded>,
    meter: Arc<Meter>,
    written: u64,
}

impl AsyncRead for Side {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_ready() {
            self.meter.touch();
        }
        read
    }
}

impl AsyncWrite for Side {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        if let Poll::Ready(Ok(length)) = written {
            self.meter.touch();
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
