//! The life of one request: what it holds and what its log line will say.

use crate::access_log::{ErrorCode, Record};
use crate::listen::Client;
use crate::metrics::Sample;
use crate::policy::Changes;
use crate::run::{Phase, Router};
use crate::table::App;
use crate::target::{Guard, Outcome};
use http::{HeaderValue, Method, StatusCode};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One request of an app. Counted at its target and in the router until it is dropped, which
/// also writes its log line.
pub(crate) struct Exchange {
    router: Arc<Router>,
    client: Arc<Client>,
    app: Arc<App>,
    method: Method,
    /// With its query, as the client sent it.
    path: Box<str>,
    host: Box<str>,
    request_id: HeaderValue,
    forwarded_for: HeaderValue,
    /// What the app's settings change; none for an app without any.
    changes: Option<Box<Changes>>,
    guard: Option<Guard>,
    connect: Duration,
    sent: Option<Instant>,
    status: Option<StatusCode>,
    error: Option<ErrorCode>,
    finished: bool,
    concluded: bool,
    bytes: u64,
}

/// What a request asks for.
pub(crate) struct Asked<'a> {
    /// In lower case, without port.
    pub host: String,
    pub method: Method,
    /// With its query, as the client sent it.
    pub path: &'a str,
    pub request_id: HeaderValue,
    /// The whole X-Forwarded-For for the target.
    pub forwarded_for: HeaderValue,
}

/// The limits on time that hold for one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeLimits {
    /// From the whole request to the first byte of the response (H12).
    pub first_byte: Duration,
    /// Silence in both directions (H15, H28).
    pub idle: Duration,
}

impl Exchange {
    pub fn new(router: Arc<Router>, client: Arc<Client>, app: Arc<App>, asked: Asked<'_>) -> Self {
        router.in_flight.fetch_add(1, Ordering::Relaxed);
        Self {
            router,
            client,
            app,
            method: asked.method,
            path: asked.path.into(),
            host: asked.host.into(),
            request_id: asked.request_id,
            forwarded_for: asked.forwarded_for,
            changes: None,
            guard: None,
            connect: Duration::ZERO,
            sent: None,
            status: None,
            error: None,
            finished: false,
            concluded: false,
            bytes: 0,
        }
    }

    pub fn router(&self) -> &Arc<Router> {
        &self.router
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Goes on with a newer state of the app.
    pub fn set_app(&mut self, app: Arc<App>) {
        self.app = app;
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path without its query.
    pub fn path(&self) -> &str {
        self.path.split_once('?').map_or(&self.path, |(path, _)| path)
    }

    pub fn request_id(&self) -> &HeaderValue {
        &self.request_id
    }

    pub fn forwarded_for(&self) -> &HeaderValue {
        &self.forwarded_for
    }

    pub fn changes(&self) -> Option<&Changes> {
        self.changes.as_deref()
    }

    pub fn set_changes(&mut self, changes: Changes) {
        self.changes = Some(Box::new(changes));
    }

    /// Returns the limits on time: the app's own, else the router's.
    pub fn times(&self) -> TimeLimits {
        let (limits, policy) = (&self.router.limits, self.app.policy.as_ref());
        TimeLimits {
            first_byte: policy.and_then(|p| p.first_byte()).unwrap_or(limits.first_byte),
            idle: policy.and_then(|p| p.idle()).unwrap_or(limits.idle),
        }
    }

    /// Counts the request at another target instead of the one before.
    pub fn assign(&mut self, guard: Guard) {
        self.guard = Some(guard);
    }

    /// Gives up the target: the request goes elsewhere or nowhere.
    pub fn release(&mut self) {
        self.guard = None;
    }

    pub fn guard(&self) -> Option<&Guard> {
        self.guard.as_ref()
    }

    /// Notes that the request goes out now, on a connection that took `connect` to open.
    pub fn sending(&mut self, connect: Duration) {
        self.connect = connect;
        self.sent = Some(Instant::now());
    }

    /// Notes the status that the client gets. From a target it shows that this one is well.
    pub fn answer(&mut self, status: StatusCode) {
        self.status = Some(status);
        if let Some(guard) = &self.guard {
            let is_error = status.is_server_error();
            let outcome = if is_error { Outcome::ServerError } else { Outcome::Answered };
            guard.target().report(outcome);
        }
    }

    /// Notes what went wrong; the first error counts.
    pub fn fail(&mut self, error: ErrorCode) {
        self.error.get_or_insert(error);
        if let (Some(guard), true) = (&self.guard, error.is_of_target()) {
            guard.target().report(Outcome::NoAnswer);
        }
    }

    pub fn count_bytes(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Notes that the response or the tunnel has come to its proper end.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// Why the exchange ended, for one that nobody finished.
    fn interruption(&self) -> ErrorCode {
        if *self.router.phase.borrow() == Phase::Closing {
            ErrorCode::ForcedClose
        } else if self.client.stalled.load(Ordering::Relaxed) {
            ErrorCode::ClientIdle
        } else {
            ErrorCode::ClientInterrupted
        }
    }

    /// Returns the error and the status that the log shows.
    fn end(&self) -> (Option<ErrorCode>, u16) {
        let error = self.error.or_else(|| (!self.finished).then(|| self.interruption()));
        let status = self.status.map(|status| status.as_u16());
        let status = match error {
            None => status.unwrap_or_default(),
            // The client has already seen another status.
            Some(
                error @ (ErrorCode::ServerInterrupted
                | ErrorCode::ForcedClose
                | ErrorCode::BadHeader),
            ) => status.unwrap_or(error.status()),
            Some(error) => error.status(),
        };
        (error, status)
    }

    fn record(&self, error: Option<ErrorCode>, status: u16, service: Option<Duration>) -> Record {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Record {
            time: u64::try_from(now.as_micros()).unwrap_or(u64::MAX),
            error,
            method: self.method.clone(),
            path: self.path.clone(),
            host: self.host.clone(),
            request_id: self.request_id.clone(),
            forwarded_for: self.forwarded_for.clone(),
            target: self.guard.as_ref().map(|guard| Arc::clone(&guard.target().name)),
            connect_ms: millis(self.connect),
            service_ms: service.map(millis),
            status,
            bytes: self.guard.as_ref().map(|_| self.bytes),
            protocol: self.client.scheme,
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.conclude();
    }
}

impl Exchange {
    /// Ends it before it is dropped: it is not in flight any more, and its log line is on its way.
    pub fn conclude(&mut self) {
        if std::mem::replace(&mut self.concluded, true) {
            return;
        }
        self.router.in_flight.fetch_sub(1, Ordering::Relaxed);
        let ((error, status), service) = (self.end(), self.sent.map(|sent| sent.elapsed()));
        let target = self.guard.as_ref().map(|guard| guard.target().metrics.as_ref());
        let sample = Sample { status, bytes: self.bytes, service };
        self.app.metrics.record(target, error, &sample);
        if let Some(file) = &self.app.log_file {
            self.router.log.write(file, self.record(error, status, service));
        }
    }
}
