//! What `h3` reads from and writes to: connections and streams of `quinn`. Beside what `h3-quinn`
//! does, it tells when a client takes a request back, refuses requests after the last one that
//! is served, and lets no frame pass that would be collected for ever.

use super::frames::Frames;
use bytes::{Buf, Bytes, BytesMut};
use h3::error::Code;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf};
use quinn::{ConnectionError, ReadError, VarInt, WriteError};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

/// The most that is read at once, and the least for which there must be room.
const READ: usize = 16 * 1024;
const LEAST_ROOM: usize = 1024;

/// What ends when a client wants no answer any more, or has all of it.
pub(super) type Stopped = Pin<Box<dyn Future<Output = ()> + Send>>;
type Pair = (quinn::SendStream, quinn::RecvStream);
type Opening<T> = Option<Pin<Box<dyn Future<Output = Result<T, ConnectionError>> + Send>>>;

/// What a connection knows of its requests beside what `h3` says.
pub(super) struct Requests {
    latest: Mutex<Option<Latest>>,
    /// The first stream that is not served any more.
    refused_from: AtomicU64,
}

/// A request that `h3` has accepted.
pub(super) struct Latest {
    pub number: u64,
    pub stopped: Stopped,
    /// Once its head was read: it asks for a WebSocket.
    pub websocket: Arc<AtomicBool>,
}

impl Requests {
    /// Takes what there is to know of the request that `h3` has accepted last.
    pub fn latest(&self) -> Option<Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Refuses requests on this stream and on later ones, which the client may send elsewhere.
    pub fn refuse_from(&self, stream: u64) {
        self.refused_from.store(stream, Ordering::Relaxed);
    }
}

/// A client's connection.
pub(super) struct Connection {
    accepting: Opening<Pair>,
    accepting_one_way: Opening<quinn::RecvStream>,
    streams: Streams,
    requests: Arc<Requests>,
    /// The longest frame that is collected, in bytes.
    longest: u64,
}

impl Connection {
    pub fn new(connection: quinn::Connection, longest: u64) -> Self {
        let requests =
            Requests { latest: Mutex::default(), refused_from: AtomicU64::new(u64::MAX) };
        Self {
            accepting: None,
            accepting_one_way: None,
            streams: Streams { connection, opening: None },
            requests: Arc::new(requests),
            longest,
        }
    }

    pub fn requests(&self) -> Arc<Requests> {
        Arc::clone(&self.requests)
    }

    fn poll_pair(&mut self, cx: &mut Context<'_>) -> Poll<Result<Pair, ConnectionErrorIncoming>> {
        let connection = &self.streams.connection;
        let accepting = self.accepting.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.accept_bi().await })
        });
        let accepted = ready!(accepting.as_mut().poll(cx));
        self.accepting = None;
        Poll::Ready(accepted.map_err(lost))
    }
}

impl quic::Connection<Bytes> for Connection {
    type RecvStream = RecvStream;
    type OpenStreams = Streams;

    fn poll_accept_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<RecvStream, ConnectionErrorIncoming>> {
        let connection = &self.streams.connection;
        let accepting = self.accepting_one_way.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.accept_uni().await })
        });
        let accepted = ready!(accepting.as_mut().poll(cx));
        self.accepting_one_way = None;
        let frames = Frames::one_way(self.longest);
        Poll::Ready(accepted.map(|stream| RecvStream::new(stream, frames)).map_err(lost))
    }

    fn poll_accept_bidi(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<BidiStream, ConnectionErrorIncoming>> {
        loop {
            let (mut send, mut receive) = ready!(self.poll_pair(cx))?;
            let number = VarInt::from(send.id()).into_inner();
            if number >= self.requests.refused_from.load(Ordering::Relaxed) {
                let rejected = code(Code::H3_REQUEST_REJECTED.value());
                let _ = (receive.stop(rejected), send.reset(rejected));
                continue;
            }
            let stopped = send.stopped();
            let stopped: Stopped = Box::pin(async move { drop(stopped.await) });
            let frames = Frames::of_request(self.longest);
            let websocket = frames.websocket();
            let mut latest = self.requests.latest.lock().unwrap_or_else(PoisonError::into_inner);
            *latest = Some(Latest { number, stopped, websocket });
            let receive = RecvStream::new(receive, frames);
            return Poll::Ready(Ok(BidiStream { send: SendStream::new(send), receive }));
        }
    }

    fn opener(&self) -> Streams {
        Streams { connection: self.streams.connection.clone(), opening: None }
    }
}

impl quic::OpenStreams<Bytes> for Connection {
    type BidiStream = BidiStream;
    type SendStream = SendStream;

    fn poll_open_bidi(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<BidiStream, StreamErrorIncoming>> {
        self.streams.poll_open_bidi(cx)
    }

    fn poll_open_send(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<SendStream, StreamErrorIncoming>> {
        self.streams.poll_open_send(cx)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.streams.close(code, reason);
    }
}

/// Opens the router's own streams.
pub(super) struct Streams {
    connection: quinn::Connection,
    opening: Opening<quinn::SendStream>,
}

impl quic::OpenStreams<Bytes> for Streams {
    type BidiStream = BidiStream;
    type SendStream = SendStream;

    fn poll_open_bidi(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<Result<BidiStream, StreamErrorIncoming>> {
        // Only clients begin requests.
        let connection_error =
            ConnectionErrorIncoming::InternalError("a server opens no request".to_owned());
        Poll::Ready(Err(StreamErrorIncoming::ConnectionErrorIncoming { connection_error }))
    }

    fn poll_open_send(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<SendStream, StreamErrorIncoming>> {
        let connection = &self.connection;
        let opening = self.opening.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.open_uni().await })
        });
        let opened = ready!(opening.as_mut().poll(cx));
        self.opening = None;
        Poll::Ready(opened.map(SendStream::new).map_err(with_connection))
    }

    fn close(&mut self, reason: Code, text: &[u8]) {
        self.connection.close(code(reason.value()), text);
    }
}

/// Both directions of a request.
pub(super) struct BidiStream {
    send: SendStream,
    receive: RecvStream,
}

impl quic::BidiStream<Bytes> for BidiStream {
    type SendStream = SendStream;
    type RecvStream = RecvStream;

    fn split(self) -> (SendStream, RecvStream) {
        (self.send, self.receive)
    }
}

impl quic::RecvStream for BidiStream {
    type Buf = Bytes;

    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.receive.poll_data(cx)
    }

    fn stop_sending(&mut self, error_code: u64) {
        self.receive.stop_sending(error_code);
    }

    fn recv_id(&self) -> StreamId {
        self.receive.recv_id()
    }
}

impl quic::SendStream<Bytes> for BidiStream {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(cx)
    }

    fn reset(&mut self, reset_code: u64) {
        self.send.reset(reset_code);
    }

    fn send_id(&self) -> StreamId {
        self.send.send_id()
    }
}

/// What a client sends on one stream. Dropped before its end, it tells the client to stop.
pub(super) struct RecvStream {
    stream: quinn::RecvStream,
    frames: Frames,
    room: BytesMut,
}

impl RecvStream {
    fn new(stream: quinn::RecvStream, frames: Frames) -> Self {
        Self { stream, frames, room: BytesMut::new() }
    }
}

impl quic::RecvStream for RecvStream {
    type Buf = Bytes;

    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        let broken =
            |code: Code| StreamErrorIncoming::StreamTerminated { error_code: code.value() };
        loop {
            if self.room.len() < LEAST_ROOM {
                self.room = BytesMut::zeroed(READ);
            }
            let read = ready!(self.stream.poll_read(cx, &mut self.room)).map_err(unread)?;
            if read == 0 {
                let ended = self.frames.may_end().then_some(None);
                return Poll::Ready(ended.ok_or_else(|| broken(Code::H3_FRAME_ERROR)));
            }
            let chunk = self.room.split_to(read).freeze();
            let Ok(passed) = self.frames.pass(chunk) else {
                self.stop_sending(Code::H3_EXCESSIVE_LOAD.value());
                return Poll::Ready(Err(broken(Code::H3_EXCESSIVE_LOAD)));
            };
            if !passed.is_empty() {
                return Poll::Ready(Ok(Some(passed)));
            }
        }
    }

    fn stop_sending(&mut self, error_code: u64) {
        // Fails for what has come to its end anyway.
        let _ = self.stream.stop(code(error_code));
    }

    fn recv_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        let _ = self.stream.stop(code(Code::H3_NO_ERROR.value()));
    }
}

/// What a client gets on one stream.
pub(super) struct SendStream {
    stream: quinn::SendStream,
    writing: Option<WriteBuf<Bytes>>,
}

impl SendStream {
    fn new(stream: quinn::SendStream) -> Self {
        Self { stream, writing: None }
    }
}

impl quic::SendStream<Bytes> for SendStream {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        if let Some(data) = &mut self.writing {
            while data.has_remaining() {
                let stream = Pin::new(&mut self.stream);
                let written = ready!(stream.poll_write(cx, data.chunk())).map_err(unwritten)?;
                data.advance(written);
            }
        }
        self.writing = None;
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        if self.writing.is_some() {
            return Err(StreamErrorIncoming::Unknown("the last write has not ended".into()));
        }
        self.writing = Some(data.into());
        Ok(())
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        let finished = self.stream.finish();
        Poll::Ready(finished.map_err(|error| StreamErrorIncoming::Unknown(Box::new(error))))
    }

    fn reset(&mut self, reset_code: u64) {
        let _ = self.stream.reset(code(reset_code));
    }

    fn send_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}

fn code(number: u64) -> VarInt {
    VarInt::from_u64(number).unwrap_or(VarInt::MAX)
}

fn stream_id(id: quinn::StreamId) -> StreamId {
    StreamId::try_from(VarInt::from(id).into_inner()).expect("both count to the same number")
}

fn lost(error: ConnectionError) -> ConnectionErrorIncoming {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            ConnectionErrorIncoming::ApplicationClose { error_code: close.error_code.into() }
        }
        ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        error => ConnectionErrorIncoming::Undefined(Arc::new(error)),
    }
}

fn with_connection(error: ConnectionError) -> StreamErrorIncoming {
    StreamErrorIncoming::ConnectionErrorIncoming { connection_error: lost(error) }
}

fn unread(error: ReadError) -> StreamErrorIncoming {
    match error {
        ReadError::Reset(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into() },
        ReadError::ConnectionLost(error) => with_connection(error),
        error => StreamErrorIncoming::Unknown(Box::new(error)),
    }
}

fn unwritten(error: WriteError) -> StreamErrorIncoming {
    match error {
        WriteError::Stopped(code) => {
            StreamErrorIncoming::StreamTerminated { error_code: code.into() }
        }
        WriteError::ConnectionLost(error) => with_connection(error),
        error => StreamErrorIncoming::Unknown(Box::new(error)),
    }
}
