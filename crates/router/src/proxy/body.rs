//! Bodies on their way: streamed, never collected, with the limit on silence.

use super::BrokenOff;
use super::exchange::Exchange;
use crate::access_log::ErrorCode;
use crate::target::pool::Connection;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// What both directions of an exchange with a request body know of each other.
pub(crate) struct Activity {
    epoch: Instant,
    /// Milliseconds from `epoch` to the last byte in either direction.
    last: AtomicU64,
    /// The request has been read to its end.
    complete: AtomicBool,
    /// The client is the one that is waited for.
    awaiting_client: AtomicBool,
    /// Nobody needs the rest of the request.
    cancelled: AtomicBool,
    failure: AtomicU8,
}

/// Why reading the request failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum UploadFailure {
    Interrupted = 1,
    BadChunk = 2,
    Idle = 3,
}

impl Activity {
    pub fn new() -> Self {
        Self {
            epoch: Instant::now(),
            last: AtomicU64::new(0),
            complete: AtomicBool::new(false),
            awaiting_client: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            failure: AtomicU8::new(0),
        }
    }

    fn touch(&self) {
        let elapsed = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(elapsed, Ordering::Relaxed);
    }

    /// When the last byte came by.
    pub fn last(&self) -> Instant {
        self.epoch + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    pub fn awaits_client(&self) -> bool {
        self.awaiting_client.load(Ordering::Relaxed)
    }

    pub fn failure(&self) -> Option<UploadFailure> {
        match self.failure.load(Ordering::Acquire) {
            1 => Some(UploadFailure::Interrupted),
            2 => Some(UploadFailure::BadChunk),
            3 => Some(UploadFailure::Idle),
            _ => None,
        }
    }
}

/// The body of a request on its way to the target. Trailers are not passed on.
pub(crate) struct RequestBody {
    upload: Option<Upload>,
}

struct Upload {
    body: Incoming,
    activity: Arc<Activity>,
    silence: Silence,
}

impl RequestBody {
    pub fn empty() -> Self {
        Self { upload: None }
    }

    pub fn new(body: Incoming, activity: Arc<Activity>, idle: Duration) -> Self {
        Self { upload: Some(Upload { body, activity, silence: Silence::new(idle) }) }
    }
}

impl Upload {
    fn fail(&self, failure: UploadFailure) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.activity.failure.store(failure as u8, Ordering::Release);
        Poll::Ready(Some(Err(BrokenOff)))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let Some(upload) = &mut self.upload else { return Poll::Ready(None) };
        if upload.activity.cancelled.load(Ordering::Relaxed) {
            return upload.fail(UploadFailure::Interrupted);
        }
        loop {
            match Pin::new(&mut upload.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                    upload.activity.awaiting_client.store(false, Ordering::Relaxed);
                    upload.activity.touch();
                    if upload.body.is_end_stream() {
                        upload.activity.complete.store(true, Ordering::Release);
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Poll::Ready(Some(Ok(_trailers))) => {}
                Poll::Ready(Some(Err(error))) => {
                    // hyper says "parse" of a chunk it cannot read, and else that the bytes ended.
                    let source = std::error::Error::source(&error);
                    let ended = error.is_incomplete_message()
                        || source.and_then(|s| s.downcast_ref::<std::io::Error>()).is_some_and(
                            |e| {
                                e.kind() != std::io::ErrorKind::InvalidInput
                                    && e.kind() != std::io::ErrorKind::InvalidData
                            },
                        );
                    return upload.fail(if ended {
                        UploadFailure::Interrupted
                    } else {
                        UploadFailure::BadChunk
                    });
                }
                Poll::Ready(None) => {
                    upload.activity.touch();
                    upload.activity.complete.store(true, Ordering::Release);
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    upload.activity.awaiting_client.store(true, Ordering::Relaxed);
                    ready!(upload.silence.poll(cx, upload.activity.last()));
                    return upload.fail(UploadFailure::Idle);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.upload.as_ref().is_none_or(|upload| upload.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.upload.as_ref().map_or(SizeHint::with_exact(0), |upload| upload.body.size_hint())
    }
}

/// The body of a target's response on its way to the client. Its end ends the exchange.
pub(crate) struct ResponseBody {
    body: Incoming,
    connection: Option<Connection>,
    exchange: Exchange,
    activity: Option<Arc<Activity>>,
    silence: Silence,
    last: Instant,
    ended: bool,
}

impl ResponseBody {
    pub fn new(
        body: Incoming,
        connection: Connection,
        exchange: Exchange,
        activity: Option<Arc<Activity>>,
    ) -> Self {
        let silence = Silence::new(exchange.router().limits.idle);
        let last = Instant::now();
        Self { body, connection: Some(connection), exchange, activity, silence, last, ended: false }
    }

    fn last_activity(&self) -> Instant {
        self.activity.as_ref().map_or(self.last, |activity| activity.last().max(self.last))
    }

    fn fail(&mut self, error: ErrorCode) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.exchange.fail(error);
        self.connection = None;
        Poll::Ready(Some(Err(BrokenOff)))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = &mut *self;
        loop {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are not passed on.
                    let Some(data) = frame.data_ref() else { continue };
                    this.exchange.count_bytes(data.len() as u64);
                    this.last = Instant::now();
                    if let Some(activity) = &this.activity {
                        activity.touch();
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Poll::Ready(Some(Err(_))) => {
                    let idle = this.activity.as_ref().and_then(|activity| activity.failure());
                    return this.fail(match idle {
                        Some(UploadFailure::Idle) => ErrorCode::ClientIdle,
                        Some(UploadFailure::Interrupted) => ErrorCode::ClientInterrupted,
                        Some(UploadFailure::BadChunk) => ErrorCode::BadChunk,
                        None => ErrorCode::ServerInterrupted,
                    });
                }
                Poll::Ready(None) => {
                    this.ended = true;
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    let last = this.last_activity();
                    ready!(this.silence.poll(cx, last));
                    let client = this
                        .activity
                        .as_ref()
                        .is_some_and(|a| !a.is_complete() && a.awaits_client());
                    return this.fail(if client {
                        ErrorCode::ClientIdle
                    } else {
                        ErrorCode::IdleConnection
                    });
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let uploaded = self.activity.as_ref().is_none_or(|activity| activity.is_complete());
        if !uploaded && let Some(activity) = &self.activity {
            activity.cancelled.store(true, Ordering::Relaxed);
        }
        // Whoever drops it earlier does so because the client has gone.
        if !self.ended && !self.body.is_end_stream() {
            return;
        }
        self.exchange.finish();
        if let (true, Some(connection), Some(guard)) =
            (uploaded, self.connection.take(), self.exchange.guard())
        {
            let limit = self.exchange.router().limits.idle_connections_per_target;
            guard.target().pool.put(connection, limit);
        }
    }
}

/// The limit on silence; its timer is made only when somebody has to wait.
struct Silence {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Silence {
    fn new(limit: Duration) -> Self {
        Self { limit, timer: None }
    }

    /// Is ready once the limit has passed since `last`, which may grow between calls.
    fn poll(&mut self, cx: &mut Context<'_>, last: Instant) -> Poll<()> {
        let limit = self.limit;
        let timer =
            self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(last + limit)));
        loop {
            ready!(timer.as_mut().poll(cx));
            let deadline = last + limit;
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }
}

/// The body of what the router answers.
pub(crate) enum AnswerBody {
    Page(Option<Bytes>),
    Stream(Box<ResponseBody>),
}

impl AnswerBody {
    pub fn empty() -> Self {
        Self::Page(None)
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut *self {
            Self::Page(page) => Poll::Ready(page.take().map(|page| Ok(Frame::data(page)))),
            Self::Stream(body) => Pin::new(body.as_mut()).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Page(page) => page.is_none(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Page(page) => {
                SizeHint::with_exact(page.as_ref().map_or(0, |page| page.len() as u64))
            }
            Self::Stream(body) => body.size_hint(),
        }
    }
}
