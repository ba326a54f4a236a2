//! What to do about a job now.

use super::{Cause, Overlap, RunStatus, Schedule};
use jiff::tz::TimeZone;

/// A run that begins later than this was missed, in milliseconds.
const LATE_MS: u64 = 60_000;
/// A missed run is made up for within a day, in milliseconds.
const CATCH_UP_MS: u64 = 24 * 60 * 60 * 1_000;
/// A job that may overlap does so at most this often.
pub const MOST_AT_ONCE: usize = 10;
/// A clock that was put back by more than this makes the next time be found anew, in milliseconds.
const SET_BACK_MS: u64 = 3 * 60 * 60 * 1_000;

/// What is known of a job.
#[derive(Clone, Debug)]
pub struct JobState<'a> {
    pub schedule: &'a Schedule,
    pub zone: &'a TimeZone,
    pub overlap: Overlap,
    pub catch_up: bool,
    /// Whether it runs in maintenance mode too.
    pub maintenance: bool,
    /// When it is to run next; milliseconds since the Unix epoch.
    pub next_at: Option<u64>,
    /// How many runs of it go on.
    pub running: usize,
}

/// What is known of its app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppState {
    pub deployed: bool,
    pub stopped: bool,
    pub maintenance: bool,
}

impl AppState {
    fn allows(self, job: &JobState<'_>) -> bool {
        self.deployed && !self.stopped && (!self.maintenance || job.maintenance)
    }
}

/// What is to be written and done about a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    pub next_at: Option<u64>,
    pub act: Option<Act>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Run {
        cause: Cause,
        scheduled_at: u64,
    },
    /// Only a line of history: [`RunStatus::Skipped`] or [`RunStatus::Missed`].
    LeaveOut {
        status: RunStatus,
        scheduled_at: u64,
    },
}

/// Returns what to do about a job that is not suspended; `None` for nothing at all.
///
/// What was due while its app was stopped, in maintenance or not deployed passes without a trace.
/// What was due while the server was away is done once, if the last time of it is within a day:
/// as systemd's `Persistent=` and Kubernetes' `startingDeadlineSeconds` do.
#[must_use]
pub fn decide(job: &JobState<'_>, app: AppState, now: u64) -> Option<Decision> {
    let next = || job.schedule.next_after(job.zone, now);
    let Some(due) = job.next_at else { return Some(Decision { next_at: next(), act: None }) };
    if due > now {
        // Nothing to do, unless the clock was put back.
        let anew = (due > now + SET_BACK_MS).then(next).flatten()?;
        let was_put_back = due > anew + SET_BACK_MS;
        return was_put_back.then_some(Decision { next_at: Some(anew), act: None });
    }
    let act = app.allows(job).then(|| act(job, due, now));
    Some(Decision { next_at: next(), act })
}

fn act(job: &JobState<'_>, due: u64, now: u64) -> Act {
    let leave_out = |status| Act::LeaveOut { status, scheduled_at: due };
    let cause = if now - due <= LATE_MS { Cause::Schedule } else { Cause::CatchUp };
    if cause == Cause::CatchUp {
        let recent = now - due <= CATCH_UP_MS
            || job.schedule.next_after(job.zone, now - CATCH_UP_MS).is_some_and(|at| at <= now);
        if !job.catch_up || !recent {
            return leave_out(RunStatus::Missed);
        }
    }
    if may_start(job.overlap, job.running) {
        Act::Run { cause, scheduled_at: due }
    } else {
        leave_out(RunStatus::Skipped)
    }
}

/// Whether another run may begin beside those that go on; with [`Overlap::Replace`] they go first.
#[must_use]
pub fn may_start(overlap: Overlap, running: usize) -> bool {
    match overlap {
        Overlap::Allow => running < MOST_AT_ONCE,
        Overlap::Forbid => running == 0,
        Overlap::Replace => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    /// Noon of some day, UTC.
    const NOON: u64 = 1_767_355_200_000;

    struct Case {
        schedule: &'static str,
        next_at: Option<u64>,
        overlap: Overlap,
        catch_up: bool,
        maintenance: bool,
        running: usize,
        app: AppState,
    }

    const SERVED: AppState = AppState { deployed: true, stopped: false, maintenance: false };

    fn hourly() -> Case {
        Case {
            schedule: "@hourly",
            next_at: Some(NOON),
            overlap: Overlap::Allow,
            catch_up: true,
            maintenance: false,
            running: 0,
            app: SERVED,
        }
    }

    fn at(case: &Case, now: u64) -> Option<Decision> {
        let job = JobState {
            schedule: &case.schedule.parse().unwrap(),
            zone: &TimeZone::UTC,
            overlap: case.overlap,
            catch_up: case.catch_up,
            maintenance: case.maintenance,
            next_at: case.next_at,
            running: case.running,
        };
        decide(&job, case.app, now)
    }

    fn run(cause: Cause) -> Option<Act> {
        Some(Act::Run { cause, scheduled_at: NOON })
    }

    fn left_out(status: RunStatus) -> Option<Act> {
        Some(Act::LeaveOut { status, scheduled_at: NOON })
    }

    #[track_caller]
    fn does(case: &Case, now: u64, act: Option<Act>) {
        assert_eq!(at(case, now).unwrap().act, act);
    }

    #[test]
    fn runs_when_it_is_due_and_not_before() {
        let case = hourly();
        assert_eq!(at(&case, NOON - 1), None);
        let next_at = Some(NOON + HOUR);
        assert_eq!(at(&case, NOON), Some(Decision { next_at, act: run(Cause::Schedule) }));
        does(&case, NOON + LATE_MS, run(Cause::Schedule));
        let fresh = Case { next_at: None, ..hourly() };
        assert_eq!(at(&fresh, NOON), Some(Decision { next_at, act: None }));
    }

    #[test]
    fn what_was_missed_is_made_up_for_once_within_a_day() {
        let case = hourly();
        does(&case, NOON + LATE_MS + 1, run(Cause::CatchUp));
        let decided = at(&case, NOON + 5 * DAY + MINUTE).unwrap();
        assert_eq!(decided.act, run(Cause::CatchUp), "the last one was a minute ago");
        assert_eq!(decided.next_at, Some(NOON + 5 * DAY + HOUR));
        let yearly = Case { schedule: "0 12 2 1 *", ..hourly() };
        does(&yearly, NOON + DAY, run(Cause::CatchUp));
        does(&yearly, NOON + DAY + MINUTE, left_out(RunStatus::Missed));
        let strict = Case { catch_up: false, ..hourly() };
        does(&strict, NOON + LATE_MS + 1, left_out(RunStatus::Missed));
    }

    #[test]
    fn overlaps_as_it_is_told() {
        let with = |overlap, running| Case { overlap, running, ..hourly() };
        does(&with(Overlap::Allow, 3), NOON, run(Cause::Schedule));
        does(&with(Overlap::Allow, MOST_AT_ONCE), NOON, left_out(RunStatus::Skipped));
        does(&with(Overlap::Forbid, 0), NOON, run(Cause::Schedule));
        does(&with(Overlap::Forbid, 1), NOON, left_out(RunStatus::Skipped));
        does(&with(Overlap::Replace, 1), NOON, run(Cause::Schedule));
    }

    #[test]
    fn an_app_that_is_stopped_new_or_in_maintenance_runs_nothing() {
        let with = |app| Case { app, ..hourly() };
        for app in [
            AppState { stopped: true, ..SERVED },
            AppState { deployed: false, ..SERVED },
            AppState { maintenance: true, ..SERVED },
        ] {
            let decided = at(&with(app), NOON).unwrap();
            assert_eq!(decided, Decision { next_at: Some(NOON + HOUR), act: None });
        }
        let maintenance = AppState { maintenance: true, ..SERVED };
        let told = Case { maintenance: true, app: maintenance, ..hourly() };
        does(&told, NOON, run(Cause::Schedule));
    }

    #[test]
    fn a_clock_that_was_put_back_does_not_stop_a_job() {
        let case = hourly();
        assert_eq!(at(&case, NOON - 2 * HOUR), None);
        let next_at = Some(NOON - 99 * HOUR);
        assert_eq!(at(&case, NOON - 100 * HOUR), Some(Decision { next_at, act: None }));
        let daily = Case { schedule: "0 12 * * *", ..hourly() };
        assert_eq!(at(&daily, NOON - 23 * HOUR), None);
    }
}
