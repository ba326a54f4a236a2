//! Finds a target for a request, reaches it and waits for its answer.

use super::body::{Activity, RequestBody, UploadFailure};
use super::exchange::Exchange;
use crate::access_log::ErrorCode;
use crate::table::{App, Table};
use crate::target::pool::{self, ConnectError, Connection};
use crate::target::{Guard, Target};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use windlass_core::route::Availability;

/// The oldest pooled connection that a request may use which cannot be sent twice. Servers
/// close idle connections after 2 s and more; a request that crosses with that is lost.
const FRESH_ENOUGH: Duration = Duration::from_millis(500);

/// The router has to answer itself.
pub(super) enum Failure {
    Code(ErrorCode),
    UnknownHost,
    TooLong(StatusCode),
}

/// Sends the request and returns the head of the response with the connection it came on. The
/// exchange is then counted at the target.
pub(super) async fn forward(
    exchange: &mut Exchange,
    mut request: Request<RequestBody>,
    upload: Option<&Activity>,
    upgrade: bool,
) -> Result<(Response<Incoming>, Connection), Failure> {
    let replayable = upload.is_none() && !upgrade && is_idempotent(request.method());
    let maximum_age = if replayable { Duration::MAX } else { FRESH_ENOUGH };
    let router = Arc::clone(exchange.router());
    let limits = &router.limits;
    let mut search = Search::default();
    let mut may_reuse = !upgrade;
    loop {
        let guard = search.next(exchange).await?;
        let target = Arc::clone(guard.target());
        exchange.assign(guard);
        let started = Instant::now();
        let pooled = if may_reuse { target.pool.take(maximum_age) } else { None };
        let reused = pooled.is_some();
        let mut connection = match pooled {
            Some(connection) => connection,
            None => match pool::connect(target.address, limits.connect, upgrade).await {
                Ok(connection) => connection,
                Err(error) => {
                    search.give_up(exchange, target, connect_failure(&error));
                    continue;
                }
            },
        };
        exchange.sending(if reused { Duration::ZERO } else { started.elapsed() });
        let copy = (reused && replayable).then(|| copy(&request));
        let sending = connection.try_send_request(request);
        let mut error = match response_head(sending, upload, limits).await {
            Ok(response) => return Ok((response, connection)),
            Err(Unanswered::Limit(code)) => return Err(Failure::Code(code)),
            Err(Unanswered::Lost(error)) => *error,
        };
        if let Some(unsent) = error.take_message() {
            // Not a byte of it left, so any request may try again.
            request = unsent;
            if !reused {
                search.give_up(exchange, target, ErrorCode::ClosedWithoutResponse);
            }
        } else if let Some(copy) = copy.filter(|_| !error.error().is_parse()) {
            // The target closed the connection while it was idle: once more on a new one.
            request = copy;
        } else {
            return Err(Failure::Code(lost(error.error(), upload)));
        }
        may_reuse = false;
    }
}

fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE].contains(method)
}

/// Copies a request that has no body.
fn copy(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

fn connect_failure(error: &ConnectError) -> ErrorCode {
    match error {
        ConnectError::TimedOut => ErrorCode::ConnectTimeout,
        ConnectError::Refused(error) => {
            tracing::debug!(%error, "target refused the connection");
            ErrorCode::ConnectionRefused
        }
    }
}

/// Says why a request that was sent got no answer.
fn lost(error: &hyper::Error, upload: Option<&Activity>) -> ErrorCode {
    match upload.and_then(Activity::failure) {
        Some(UploadFailure::Interrupted) => ErrorCode::ClientInterrupted,
        Some(UploadFailure::BadChunk) => ErrorCode::BadChunk,
        Some(UploadFailure::Idle) => ErrorCode::ClientIdle,
        None if error.is_parse() => ErrorCode::PoorResponse,
        None => ErrorCode::ClosedWithoutResponse,
    }
}

type SendError = hyper::client::conn::TrySendError<Request<RequestBody>>;

/// There is no response head.
enum Unanswered {
    Limit(ErrorCode),
    Lost(Box<SendError>),
}

/// Waits for the head of the response: as long as the client sends its body, then for the
/// limit on the first byte.
async fn response_head(
    sending: impl Future<Output = Result<Response<Incoming>, SendError>>,
    upload: Option<&Activity>,
    limits: &crate::Limits,
) -> Result<Response<Incoming>, Unanswered> {
    let lost = |error| Unanswered::Lost(Box::new(error));
    let Some(upload) = upload else {
        return match tokio::time::timeout(limits.first_byte, sending).await {
            Ok(answer) => answer.map_err(lost),
            Err(_) => Err(Unanswered::Limit(ErrorCode::RequestTimeout)),
        };
    };
    let deadline =
        || upload.last() + if upload.is_complete() { limits.first_byte } else { limits.idle };
    let mut sending = pin!(sending);
    loop {
        // While the body flows the limits are looked at anew each time the shorter one is over.
        let look = deadline().min(Instant::now() + limits.first_byte.min(limits.idle));
        if let Ok(answer) = tokio::time::timeout_at(look, sending.as_mut()).await {
            return answer.map_err(lost);
        }
        if deadline() <= Instant::now() {
            let client = !upload.is_complete() && upload.awaits_client();
            return Err(Unanswered::Limit(if client {
                ErrorCode::ClientIdle
            } else {
                ErrorCode::RequestTimeout
            }));
        }
    }
}

/// The search for a target, which goes on after a failure.
#[derive(Default)]
struct Search {
    /// Targets that could not be reached.
    failed: Vec<Arc<Target>>,
    last_failure: Option<ErrorCode>,
}

impl Search {
    /// Notes that the request must go to another target, for `reason`.
    fn give_up(&mut self, exchange: &mut Exchange, target: Arc<Target>, reason: ErrorCode) {
        target.quarantine();
        exchange.release();
        self.failed.push(target);
        self.last_failure = Some(reason);
    }

    /// Returns the next target, already counted, waiting for one if some are starting.
    async fn next(&mut self, exchange: &mut Exchange) -> Result<Guard, Failure> {
        let mut waiting: Option<Waiting> = None;
        loop {
            match self.look(exchange.app())? {
                Look::Found(guard) => return Ok(guard),
                Look::Stale => {}
                Look::Starting => match &mut waiting {
                    Some(waiting) => waiting.changed().await?,
                    None => waiting = Some(Waiting::begin(exchange)?),
                },
            }
            let router = Arc::clone(exchange.router());
            let table = waiting.as_mut().map_or_else(|| router.table.current(), Waiting::table);
            let app = table.find(exchange.host()).cloned().ok_or(Failure::UnknownHost)?;
            exchange.set_app(app);
        }
    }

    fn look(&self, app: &App) -> Result<Look, Failure> {
        if app.availability() == Availability::Maintenance {
            return Err(Failure::Code(ErrorCode::Maintenance));
        }
        if let Some(target) = app.choose(&self.failed) {
            // Counted first, then used: see `InFlight`. A target that left the table in
            // between refuses, and the newer table is already there.
            return Ok(Guard::enter(target).map_or(Look::Stale, Look::Found));
        }
        // All of them failed, unless the table has changed since.
        if let (Some(failure), false) = (self.last_failure, !app.has_targets()) {
            return Err(Failure::Code(failure));
        }
        match app.availability() {
            Availability::Blank => Err(Failure::Code(ErrorCode::BlankApp)),
            Availability::NoWebProcesses => Err(Failure::Code(ErrorCode::NoWebProcesses)),
            Availability::Crashed => Err(Failure::Code(ErrorCode::AppCrashed)),
            Availability::Starting | Availability::Serving | Availability::Maintenance => {
                Ok(Look::Starting)
            }
        }
    }
}

/// What a look at an app's targets finds.
enum Look {
    Found(Guard),
    /// The table is not the newest.
    Stale,
    /// There is no target, but there will be.
    Starting,
}

/// A request that waits for the table to change.
struct Waiting {
    changes: watch::Receiver<Arc<Table>>,
    deadline: Instant,
    held: Arc<AtomicUsize>,
}

impl Waiting {
    fn begin(exchange: &Exchange) -> Result<Self, Failure> {
        let router = exchange.router();
        let held = Arc::clone(&exchange.app().held);
        let before = held.fetch_add(1, Ordering::Relaxed);
        let changes = router.table.subscribe();
        let waiting = Self { changes, deadline: Instant::now() + router.limits.held, held };
        if before >= router.limits.held_requests_per_app {
            return Err(Failure::Code(ErrorCode::BacklogTooDeep));
        }
        Ok(waiting)
    }

    /// Returns the newest table; later changes wake `changed`.
    fn table(&mut self) -> Arc<Table> {
        Arc::clone(&self.changes.borrow_and_update())
    }

    async fn changed(&mut self) -> Result<(), Failure> {
        match tokio::time::timeout_at(self.deadline, self.changes.changed()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Failure::Code(ErrorCode::BootTimeout)),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.held.fetch_sub(1, Ordering::Relaxed);
    }
}
