//! The life of one request: what it holds and what its log line will say.

use crate::access_log::{ErrorCode, Record};
use crate::listen::Client;
use crate::run::{Phase, Router};
use crate::table::App;
use crate::target::Guard;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, Uri};
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
    uri: Uri,
    host: Box<str>,
    request_id: HeaderValue,
    forwarded_for: HeaderValue,
    guard: Option<Guard>,
    connect: Duration,
    sent: Option<Instant>,
    status: Option<StatusCode>,
    error: Option<ErrorCode>,
    finished: bool,
    bytes: u64,
}

impl Exchange {
    pub fn new(
        router: Arc<Router>,
        client: Arc<Client>,
        app: Arc<App>,
        host: String,
        parts: &Parts,
        request_id: HeaderValue,
        forwarded_for: HeaderValue,
    ) -> Self {
        router.in_flight.fetch_add(1, Ordering::Relaxed);
        Self {
            router,
            client,
            app,
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            host: host.into(),
            request_id,
            forwarded_for,
            guard: None,
            connect: Duration::ZERO,
            sent: None,
            status: None,
            error: None,
            finished: false,
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

    pub fn request_id(&self) -> &HeaderValue {
        &self.request_id
    }

    pub fn forwarded_for(&self) -> &HeaderValue {
        &self.forwarded_for
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

    /// Notes the status that the client gets.
    pub fn answer(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Notes what went wrong; the first error counts.
    pub fn fail(&mut self, error: ErrorCode) {
        self.error.get_or_insert(error);
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

    fn record(&self) -> Record {
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
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Record {
            time: u64::try_from(now.as_micros()).unwrap_or(u64::MAX),
            error,
            method: self.method.clone(),
            uri: self.uri.clone(),
            host: self.host.clone(),
            request_id: self.request_id.clone(),
            forwarded_for: self.forwarded_for.clone(),
            target: self.guard.as_ref().map(|guard| Arc::clone(&guard.target().name)),
            connect_ms: millis(self.connect),
            service_ms: self.sent.map(|sent| millis(sent.elapsed())),
            status,
            bytes: self.guard.as_ref().map(|_| self.bytes),
            protocol: self.client.scheme,
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.router.in_flight.fetch_sub(1, Ordering::Relaxed);
        if let Some(file) = &self.app.log_file {
            self.router.log.write(file, self.record());
        }
    }
}
