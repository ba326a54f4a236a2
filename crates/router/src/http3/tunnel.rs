//! A stream of HTTP/3 as a stream of bytes, for a WebSocket over it.
//!
//! `h3` sends with futures and lends them the stream, so a pipe is between: one end is the tunnel's,
//! the other is served here, in the task of the connection.

use super::quic::Stopped;
use super::stream::{Receive, Send};
use crate::proxy::body::AnswerBody;
use crate::streams::{Ending, Upgrade, head};
use bytes::{Buf, BytesMut};
use h3::error::Code;
use http::{Response, StatusCode, Version};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, ReadHalf, WriteHalf,
};
use tokio::sync::oneshot;

/// What the pipe holds in each direction, and what goes into one frame, in bytes.
const PIPE: usize = 64 * 1024;
const MOST_AT_ONCE: usize = 16 * 1024;

/// How both ends of the pipe were closed.
#[derive(Default)]
struct Ends {
    /// The client has broken the stream off.
    broken_off: AtomicBool,
    /// The tunnel has said all.
    finished: AtomicBool,
}

/// The tunnel's end. Dropped before it was shut down, it breaks the stream off.
pub(crate) struct StreamIo {
    pipe: DuplexStream,
    ends: Arc<Ends>,
}

/// Goes with a request that may become a tunnel.
pub(crate) type StreamUpgrade = Upgrade<StreamIo>;

impl AsyncRead for StreamIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.pipe).poll_read(cx, buf))?;
        let is_end = buf.filled().len() == before && buf.remaining() > 0;
        if is_end && self.ends.broken_off.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for StreamIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ends.finished.store(true, Ordering::Release);
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

/// The stream does not go on: one side has broken it off.
struct BrokenOff;

/// Says the client has broken the stream off, unless that is not so.
struct Guard(Option<Arc<Ends>>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(ends) = &self.0 {
            ends.broken_off.store(true, Ordering::Release);
        }
    }
}

/// A stream that becomes a tunnel once it is answered.
pub(super) struct Tunnel {
    pub give: oneshot::Sender<StreamIo>,
    pub receive: Receive,
}

impl Tunnel {
    /// Says that the WebSocket has begun, and carries it to its end.
    pub async fn open(
        self,
        answer: Response<AnswerBody>,
        send: &mut Send,
        stopped: Stopped,
        patience: Duration,
    ) -> Ending {
        let (mut parts, _) = answer.into_parts();
        parts.status = StatusCode::OK;
        parts.version = Version::HTTP_3;
        head::to_tunnel(&mut parts.headers);
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let ends = Arc::<Ends>::default();
        let io = StreamIo { pipe: theirs, ends: Arc::clone(&ends) };
        let begun = send.send_response(Response::from_parts(parts, ())).await;
        if begun.is_err() || self.give.send(io).is_err() {
            send.stop_stream(Code::H3_REQUEST_CANCELLED);
            return Ending::TakenBack;
        }
        let carried = carry(ours, ends, send, self.receive, stopped, patience).await;
        if carried.is_err() {
            send.stop_stream(Code::H3_CONNECT_ERROR);
        }
        Ending::Served
    }
}

async fn carry(
    pipe: DuplexStream,
    ends: Arc<Ends>,
    send: &mut Send,
    receive: Receive,
    mut stopped: Stopped,
    patience: Duration,
) -> Result<(), BrokenOff> {
    let (mut from, mut to) = tokio::io::split(pipe);
    // Dropped before the pipe, also when the connection ends meanwhile.
    let mut guard = Guard(Some(Arc::clone(&ends)));
    tokio::try_join!(up(receive, &mut to), down(&mut from, &ends, send, &mut stopped))?;
    guard.0 = None;
    // The connection may close only once the client has it all.
    let _ = tokio::time::timeout(patience, stopped).await;
    Ok(())
}

/// Passes on what the client sends, for as long as the tunnel takes it. Whether the stream goes on
/// then, `down` says: there may be more for the client.
async fn up(mut receive: Receive, to: &mut WriteHalf<DuplexStream>) -> Result<(), BrokenOff> {
    while let Some(mut data) =
        poll_fn(|cx| receive.poll_recv_data(cx)).await.map_err(|_| BrokenOff)?
    {
        let data = data.copy_to_bytes(data.remaining());
        if to.write_all(&data).await.is_err() {
            return Ok(());
        }
    }
    let _ = to.shutdown().await;
    Ok(())
}

/// Passes on what the tunnel sends.
async fn down(
    from: &mut ReadHalf<DuplexStream>,
    ends: &Ends,
    send: &mut Send,
    stopped: &mut Stopped,
) -> Result<(), BrokenOff> {
    loop {
        let mut data = BytesMut::with_capacity(MOST_AT_ONCE);
        let read = tokio::select! {
            biased;
            () = &mut *stopped => return Err(BrokenOff),
            read = from.read_buf(&mut data) => read,
        };
        if read.map_err(|_| BrokenOff)? == 0 {
            break;
        }
        send.send_data(data.freeze()).await.map_err(|_| BrokenOff)?;
    }
    if !ends.finished.load(Ordering::Acquire) {
        return Err(BrokenOff);
    }
    send.finish().await.map_err(|_| BrokenOff)
}
