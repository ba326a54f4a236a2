//! Connections whose requests need what only the general path can do: compression, apps that speak
//! HTTP/2. It begins at a request, and serves the connection to its end.

use crate::listen::{Client, ClientIo, ClientStream};
use crate::proxy;
use crate::run::{Phase, Router};
use http::header::{ALT_SVC, CONNECTION};
use http::{HeaderValue, StatusCode};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Serves one connection to its end. `begun` are the bytes of the client that were read already.
pub(super) async fn serve<S: ClientStream>(
    stream: S,
    begun: Vec<u8>,
    client: Arc<Client>,
    router: Arc<Router>,
) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(router.limits.client_idle)
        .max_header_size(router.limits.request_head)
        .max_buf_size(router.limits.request_head.max(begun.len()));
    let (stream, stalled) = (Begun { stream, begun, at: 0 }, Arc::clone(&client.stalled));
    let io = ClientIo::new(stream, Arc::default(), router.limits.idle, stalled);
    let mut phase = router.phase.subscribe();
    let service = service_fn(move |request| {
        let (router, client) = (Arc::clone(&router), Arc::clone(&client));
        async move {
            let alt_svc = client.alt_svc.clone();
            let mut answer = proxy::handle(Arc::clone(&router), client, request).await?;
            if let Some(alt_svc) = alt_svc {
                answer.headers_mut().insert(ALT_SVC, alt_svc);
            }
            // The client's next connection is the next router's. One without a request stays: it
            // could be sending one just now.
            if *router.phase.borrow() == Phase::HandedOver
                && answer.status() != StatusCode::SWITCHING_PROTOCOLS
            {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, proxy::BrokenOff>(answer)
        }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service).with_upgrades());
    loop {
        let changed = tokio::select! {
            biased;
            // Errors are the client's doing, and known to the exchange that they end.
            _ = connection.as_mut() => return,
            changed = phase.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
        match *phase.borrow_and_update() {
            Phase::Serving | Phase::HandedOver => {}
            Phase::Draining => connection.as_mut().graceful_shutdown(),
            Phase::Closing => return,
        }
    }
}

/// A client's stream of which some bytes were read already.
struct Begun<S> {
    stream: S,
    begun: Vec<u8>,
    at: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.at == self.begun.len() {
            self.begun = Vec::new();
            self.at = 0;
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let rest = &self.begun[self.at..];
        let length = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..length]);
        self.at += length;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
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
