//! Finds the target of a request, and holds the request while there is none.

use super::exchange::Exchange;
use super::forward::Failure;
use crate::access_log::ErrorCode;
use crate::policy::StickyId;
use crate::table::{App, Table};
use crate::target::{Guard, Outcome, Place, Refused, Target};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use windlass_core::route::Availability;

/// The search for a target, which goes on after a failure.
#[derive(Default)]
pub(crate) struct Search {
    /// Targets that could not be reached.
    failed: Vec<Arc<Target>>,
    last_failure: Option<ErrorCode>,
    preferred: Option<StickyId>,
}

impl Search {
    /// A search that prefers an instance, as long as it is fit to take requests.
    pub fn preferring(preferred: Option<StickyId>) -> Self {
        Self { preferred, ..Self::default() }
    }

    /// Notes that the request must go to another target, for `reason`.
    pub fn give_up(&mut self, exchange: &mut Exchange, target: Arc<Target>, reason: ErrorCode) {
        target.report(Outcome::Unreachable);
        exchange.release();
        self.failed.push(target);
        self.last_failure = Some(reason);
    }

    /// Returns the next target, already counted, waiting for one if some are starting or busy.
    pub async fn next(&mut self, exchange: &mut Exchange) -> Result<Guard, Failure> {
        // Those that wait come first.
        while !exchange.app().must_queue() {
            match self.look(exchange.app())? {
                Look::Found(guard) => return Ok(guard),
                Look::Stale => {
                    let table = exchange.router().table.current();
                    let app = table.find_at(exchange.host(), exchange.path()).cloned();
                    exchange.set_app(app.ok_or(Failure::UnknownHost)?);
                }
                Look::Starting | Look::Saturated => break,
            }
        }
        // Seldom, and large: not in the future of every request.
        Box::pin(self.wait(exchange)).await
    }

    fn look(&self, app: &App) -> Result<Look, Failure> {
        if app.availability() == Availability::Maintenance {
            return Err(Failure::Code(ErrorCode::Maintenance));
        }
        let preferred = self.preferred.and_then(|preferred| {
            app.prefer(&self.failed, |target| {
                StickyId::of(target.in_flight.instance()) == preferred
            })
        });
        if let Some(target) = preferred.or_else(|| app.choose(&self.failed)) {
            // Counted first, then used: see `InFlight`. A target that left the table in
            // between refuses, and the newer table is already there.
            return Ok(match Guard::enter(target, app.most_in_flight()) {
                Ok(guard) => Look::Found(guard),
                Err(Refused::Retired) => Look::Stale,
                Err(Refused::Full) => Look::Saturated,
            });
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

    /// Looks again whenever the table changes or a request leaves a target, until a limit.
    async fn wait(&mut self, exchange: &mut Exchange) -> Result<Guard, Failure> {
        let router = Arc::clone(exchange.router());
        let limits = &router.limits;
        let mut waiting = Waiting { changes: router.table.subscribe(), since: Instant::now() };
        let mut place: Option<Place> = None;
        loop {
            let table = Arc::clone(&waiting.changes.borrow_and_update());
            let app = table.find_at(exchange.host(), exchange.path()).cloned();
            let app = app.ok_or(Failure::UnknownHost)?;
            drop(table);
            exchange.set_app(Arc::clone(&app));
            // An app that was removed and made again has another queue.
            let (here, is_last) = match place.take().filter(|place| place.is_in(&app.queue)) {
                Some(place) => (place, false),
                None => {
                    let is_last = app.must_queue();
                    let joined = app.queue.join(app.most_waiting(limits.held_requests_per_app));
                    (joined.ok_or(Failure::Code(ErrorCode::BacklogTooDeep))?, is_last)
                }
            };
            // From here on a call is heard, also one that comes during the look.
            let mut called = pin!(app.queue.called());
            called.as_mut().enable();
            let look = if is_last { Look::Saturated } else { self.look(&app)? };
            let (limit, reason) = match look {
                Look::Found(guard) => return Ok(guard),
                Look::Stale => continue,
                Look::Starting => (limits.held, ErrorCode::BootTimeout),
                Look::Saturated => (limits.first_byte, ErrorCode::BacklogTooDeep),
            };
            waiting.until(called, limit, reason).await?;
            place = Some(here);
        }
    }
}

/// A request that waits.
struct Waiting {
    changes: watch::Receiver<Arc<Table>>,
    since: Instant,
}

impl Waiting {
    /// Waits for a call or another table; fails for `reason` when the limit is over.
    async fn until(
        &mut self,
        called: impl Future<Output = ()>,
        limit: Duration,
        reason: ErrorCode,
    ) -> Result<(), Failure> {
        tokio::select! {
            () = called => Ok(()),
            _ = self.changes.changed() => Ok(()),
            () = tokio::time::sleep_until(self.since + limit) => Err(Failure::Code(reason)),
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
    /// All targets have as much in flight as they may.
    Saturated,
}
