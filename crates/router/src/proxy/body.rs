//! Bodies on their way: streamed, never collected, with the limit on silence.

use super::BrokenOff;
use super::client_body::ClientBody;
use super::exchange::Exchange;
use super::gzip::GzipBody;
use super::target_body::TargetBody;
use crate::access_log::ErrorCode;
use crate::http1;
use crate::last_time::LastTime;
use crate::policy::Changes;
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use hyper::body::{Body, Frame, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// What both directions of an exchange with a request body know of each other.
pub(crate) struct Activity {
    /// When the last byte came by in either direction.
    last: LastTime,
    /// The request has been read to its end.
    complete: AtomicBool,
    /// The client is the one that is waited for.
    awaiting_client: AtomicBool,
    /// Nobody needs the rest of the request.
    cancelled: AtomicBool,
    /// Who waits for the client's next piece.
    reader: AtomicWaker,
    failure: AtomicU8,
}

/// Why reading the request failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum UploadFailure {
    Interrupted = 1,
    BadChunk = 2,
    Idle = 3,
    /// It is larger than the app's settings allow.
    TooLarge = 4,
}

impl Activity {
    pub fn new() -> Self {
        Self {
            last: LastTime::default(),
            complete: AtomicBool::new(false),
            awaiting_client: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            failure: AtomicU8::new(0),
        }
    }

    fn touch(&self) {
        self.last.note();
    }

    /// When the last byte came by.
    pub fn last(&self) -> Instant {
        self.last.last()
    }

    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    pub fn awaits_client(&self) -> bool {
        self.awaiting_client.load(Ordering::Relaxed)
    }

    /// Says that nobody needs the rest of the request, also to whoever waits for it.
    fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.reader.wake();
    }

    pub fn failure(&self) -> Option<UploadFailure> {
        match self.failure.load(Ordering::Acquire) {
            1 => Some(UploadFailure::Interrupted),
            2 => Some(UploadFailure::BadChunk),
            3 => Some(UploadFailure::Idle),
            4 => Some(UploadFailure::TooLarge),
            _ => None,
        }
    }
}

/// The body of a request on its way to the target.
pub(crate) struct RequestBody {
    upload: Option<Upload>,
}

struct Upload {
    body: ClientBody,
    activity: Arc<Activity>,
    silence: Silence,
    /// Bytes that may still come, if there is a limit.
    left: Option<u64>,
}

impl RequestBody {
    pub fn empty() -> Self {
        Self { upload: None }
    }

    pub fn new(body: ClientBody, activity: Arc<Activity>, exchange: &Exchange) -> Self {
        let silence = Silence::new(exchange.times().idle);
        let left = exchange.changes().and_then(Changes::max_body);
        Self { upload: Some(Upload { body, activity, silence, left }) }
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
        if upload.activity.cancelled.load(Ordering::Acquire) {
            return upload.fail(UploadFailure::Interrupted);
        }
        match Pin::new(&mut upload.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                upload.activity.awaiting_client.store(false, Ordering::Relaxed);
                upload.activity.touch();
                let frame = match frame.is_trailers() {
                    true => without_what_may_not_trail(frame),
                    false => frame,
                };
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                match upload.left.map(|left| left.checked_sub(length)) {
                    Some(None) => return upload.fail(UploadFailure::TooLarge),
                    Some(left) => upload.left = left,
                    None => {}
                }
                if upload.body.is_end_stream() {
                    upload.activity.complete.store(true, Ordering::Release);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(failure))) => upload.fail(failure),
            Poll::Ready(None) => {
                upload.activity.touch();
                upload.activity.complete.store(true, Ordering::Release);
                Poll::Ready(None)
            }
            Poll::Pending => {
                upload.activity.awaiting_client.store(true, Ordering::Relaxed);
                upload.activity.reader.register(cx.waker());
                if upload.activity.cancelled.load(Ordering::Acquire) {
                    return upload.fail(UploadFailure::Interrupted);
                }
                ready!(upload.silence.poll(cx, upload.activity.last()));
                upload.fail(UploadFailure::Idle)
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

/// Leaves of trailers only those that nobody takes for headers.
fn without_what_may_not_trail(frame: Frame<Bytes>) -> Frame<Bytes> {
    let mut trailers = match frame.into_trailers() {
        Ok(trailers) => trailers,
        Err(frame) => return frame,
    };
    let may_not: Vec<_> =
        trailers.keys().filter(|name| !http1::may_trail(name.as_str())).cloned().collect();
    may_not.iter().for_each(|name| drop(trailers.remove(name)));
    Frame::trailers(trailers)
}

/// The body of a target's response on its way to the client. Its end ends the exchange.
pub(crate) struct ResponseBody {
    body: TargetBody,
    exchange: Exchange,
    activity: Option<Arc<Activity>>,
    silence: Silence,
    last: Instant,
    ended: bool,
}

impl ResponseBody {
    pub fn new(body: TargetBody, exchange: Exchange, activity: Option<Arc<Activity>>) -> Self {
        let silence = Silence::new(exchange.times().idle);
        let last = Instant::now();
        Self { body, exchange, activity, silence, last, ended: false }
    }

    fn last_activity(&self) -> Instant {
        self.activity.as_ref().map_or(self.last, |activity| activity.last().max(self.last))
    }

    fn fail(&mut self, error: ErrorCode) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.exchange.fail(error);
        self.body.cut();
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
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                match frame.data_ref() {
                    Some(data) => this.exchange.count_bytes(data.len() as u64),
                    // Nothing comes after trailers.
                    None => this.ended = true,
                }
                this.last = Instant::now();
                if let Some(activity) = &this.activity {
                    activity.touch();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => {
                let idle = this.activity.as_ref().and_then(|activity| activity.failure());
                this.fail(match idle {
                    Some(UploadFailure::Idle) => ErrorCode::ClientIdle,
                    Some(UploadFailure::Interrupted) => ErrorCode::ClientInterrupted,
                    Some(UploadFailure::BadChunk) => ErrorCode::BadChunk,
                    Some(UploadFailure::TooLarge) => ErrorCode::BodyTooLarge,
                    None => ErrorCode::ServerInterrupted,
                })
            }
            Poll::Ready(None) => {
                this.ended = true;
                Poll::Ready(None)
            }
            Poll::Pending => {
                let last = this.last_activity();
                ready!(this.silence.poll(cx, last));
                let client =
                    this.activity.as_ref().is_some_and(|a| !a.is_complete() && a.awaits_client());
                this.fail(if client { ErrorCode::ClientIdle } else { ErrorCode::IdleConnection })
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
            activity.cancel();
        }
        // Whoever drops it earlier does so because the client has gone.
        if !self.ended && !self.body.is_end_stream() {
            return;
        }
        self.exchange.finish();
        if let (true, Some(guard)) = (uploaded, self.exchange.guard()) {
            let limit = self.exchange.router().limits.idle_connections_per_target;
            self.body.give_back(guard.target(), limit);
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
    Gzip(Box<GzipBody>),
}

impl AnswerBody {
    pub fn empty() -> Self {
        Self::Page(None)
    }

    /// Notes that the client has not read for too long.
    pub fn client_is_idle(&mut self) {
        if let Some(body) = self.stream() {
            body.exchange.fail(ErrorCode::ClientIdle);
        }
    }

    /// How long that is, for an answer of a target.
    pub fn idle_limit(&mut self) -> Option<Duration> {
        self.stream().map(|body| body.exchange.times().idle)
    }

    fn stream(&mut self) -> Option<&mut ResponseBody> {
        match self {
            Self::Page(_) => None,
            Self::Stream(body) => Some(body),
            Self::Gzip(body) => Some(body.inner()),
        }
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
            Self::Gzip(body) => Pin::new(body.as_mut()).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Page(page) => page.is_none(),
            Self::Stream(body) => body.is_end_stream(),
            Self::Gzip(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Page(page) => {
                SizeHint::with_exact(page.as_ref().map_or(0, |page| page.len() as u64))
            }
            Self::Stream(body) => body.size_hint(),
            Self::Gzip(body) => body.size_hint(),
        }
    }
}
