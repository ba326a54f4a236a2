//! Cron jobs over the simulated driver; the tests say what time it is.

use super::one_offs::log;
use windlass_control::PlatformError;
use windlass_control::records::{App, CronRun};
use windlass_core::cron::{Cause, CronSettings, Overlap, RunStatus};
use windlass_testkit::platform::TestPlatform;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

fn job(command: &str) -> CronSettings {
    CronSettings::new(command, "@hourly")
}

/// Adds a job named `job` and returns when it is due first.
fn add(test: &TestPlatform, app: &App, settings: CronSettings) -> u64 {
    let added = test.platform();
    let added = test.block_on(added.add_cron_job(&test.user, app, Some("job"), settings)).unwrap();
    added.job.next_at.unwrap()
}

fn round(test: &TestPlatform, now: u64) {
    test.block_on(test.platform().cron_round(now));
}

/// The job's runs, oldest first.
fn runs(test: &TestPlatform, app: &App) -> Vec<CronRun> {
    let mut runs = test.platform().cron_runs(app, "job", 100).unwrap();
    runs.reverse();
    runs
}

fn statuses(test: &TestPlatform, app: &App) -> Vec<RunStatus> {
    runs(test, app).into_iter().map(|run| run.status).collect()
}

fn running(test: &TestPlatform) -> Vec<String> {
    let running = test.driver.running().into_iter();
    let names = running.map(|instance| instance.spec.labels.display_name());
    names.filter(|name| name.starts_with("cron.")).collect()
}

fn deployed(test: &TestPlatform, name: &str) -> App {
    let app = test.create_app(name);
    let _ = test.deploy(&app, &[("web", "serve"), ("report", "crash 3")]).unwrap();
    app
}

#[test]
fn a_job_runs_when_it_is_due_and_its_end_is_noted() {
    let test = TestPlatform::open();
    let app = deployed(&test, "due");
    let due = add(&test, &app, job("serve"));
    round(&test, due - 1);
    assert_eq!(statuses(&test, &app), []);
    round(&test, due);
    round(&test, due + 1);
    assert_eq!(running(&test), ["cron.1"]);
    let run = runs(&test, &app).remove(0);
    assert_eq!(
        (run.status, run.cause, run.scheduled_at),
        (RunStatus::Running, Cause::Schedule, Some(due))
    );
    assert!(test.up(&app).contains(&"cron.1".to_owned()), "it is in ps");
    let next = test.platform().cron_job(&app, "job").unwrap().job.next_at;
    assert_eq!(next, Some(due + HOUR));

    assert!(test.driver.crash(&run.instance.unwrap(), 7));
    test.wait_until("its end", |test| statuses(test, &app) == [RunStatus::Failed]);
    assert_eq!(runs(&test, &app)[0].exit_code, Some(7));
    assert!(log(&test, &app).contains("heroku[cron.1]: Process exited with status 7"));
}

#[test]
fn nothing_runs_while_the_app_is_stopped_new_or_in_maintenance() {
    let test = TestPlatform::open();
    let app = test.create_app("quiet");
    let mut due = add(&test, &app, job("serve"));
    let mut nothing_at = |test: &TestPlatform| {
        round(test, due);
        due += HOUR;
        assert_eq!(statuses(test, &app), []);
    };
    nothing_at(&test);
    let refused = test.block_on(test.platform().run_cron_job(&test.user, &app, "job"));
    assert!(matches!(refused, Err(PlatformError::Invalid(_))), "{refused:?}");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    test.block_on(test.platform().stop_app(&test.user, &app)).unwrap();
    nothing_at(&test);
    let refused = test.block_on(test.platform().run_cron_job(&test.user, &app, "job"));
    assert!(matches!(refused, Err(PlatformError::Conflict(_))), "{refused:?}");
    test.block_on(test.platform().start_app(&test.user, &app)).unwrap();
    let _ = test.block_on(test.platform().set_maintenance(&test.user, &app, true)).unwrap();
    nothing_at(&test);
    let _ = test.block_on(test.platform().set_maintenance(&test.user, &app, false)).unwrap();
    round(&test, due);
    assert_eq!(statuses(&test, &app), [RunStatus::Running]);
}

#[test]
fn runs_overlap_as_the_job_says() {
    use RunStatus::{Replaced, Running, Skipped};
    let table = [
        (Overlap::Allow, vec![Running, Running]),
        (Overlap::Forbid, vec![Running, Skipped]),
        (Overlap::Replace, vec![Replaced, Running]),
    ];
    for (overlap, expected) in table {
        let test = TestPlatform::open();
        let app = deployed(&test, "overlap");
        let due = add(&test, &app, CronSettings { overlap, ..job("serve") });
        round(&test, due);
        round(&test, due + HOUR);
        assert_eq!(statuses(&test, &app), expected, "{overlap:?}");
        let go_on = expected.iter().filter(|status| **status == Running).count();
        assert_eq!(running(&test).len(), go_on);
    }
}

#[test]
fn a_suspended_job_runs_only_when_it_is_told_to() {
    let test = TestPlatform::open();
    let app = deployed(&test, "suspend");
    let due = add(&test, &app, job("report"));
    let platform = test.platform();
    let suspend = |on| platform.suspend_cron_job(&test.user, &app, "job", on);
    assert_eq!(test.block_on(suspend(true)).unwrap().job.next_at, None);
    round(&test, due);
    assert_eq!(statuses(&test, &app), []);
    let run = test.block_on(platform.run_cron_job(&test.user, &app, "job")).unwrap();
    assert_eq!((run.number, run.cause), (1, Cause::Manual));
    // `report` is a process type, whose command ends with 3.
    test.wait_until("its end", |test| runs(test, &app)[0].exit_code == Some(3));
    assert_eq!(test.block_on(suspend(false)).unwrap().job.next_at, Some(due));
}

#[test]
fn a_run_is_stopped_at_its_time_limit() {
    let test = TestPlatform::open();
    let app = deployed(&test, "limit");
    let due = add(&test, &app, CronSettings { timeout: 60, ..job("serve") });
    round(&test, due);
    round(&test, due + MINUTE - 1);
    assert_eq!(statuses(&test, &app), [RunStatus::Running]);
    round(&test, due + MINUTE);
    test.wait_until("its end", |test| statuses(test, &app) == [RunStatus::TimedOut]);
    assert_eq!(running(&test), [""; 0]);
}

#[test]
fn what_was_missed_while_the_server_was_away_is_made_up_for_once() {
    let mut test = TestPlatform::open();
    let app = deployed(&test, "missed");
    let due = add(&test, &app, job("serve"));
    test.crash_and_open();
    let now = due + 100 * HOUR + 5 * MINUTE;
    round(&test, now);
    round(&test, now + 1);
    let runs = runs(&test, &app);
    assert_eq!(runs.len(), 1);
    assert_eq!((runs[0].cause, runs[0].scheduled_at), (Cause::CatchUp, Some(due)));
    let strict = deployed(&test, "strict");
    let due = add(&test, &strict, CronSettings { catch_up: false, ..job("serve") });
    round(&test, due + 2 * MINUTE);
    assert_eq!(statuses(&test, &strict), [RunStatus::Missed]);
}

#[test]
fn a_run_goes_on_without_the_server_and_is_never_started_twice() {
    let mut test = TestPlatform::open();
    let app = deployed(&test, "crash");
    let due = add(&test, &app, job("serve"));
    round(&test, due);
    let id = runs(&test, &app)[0].instance.clone().unwrap();
    let started = test.driver.counts().started;
    test.crash_and_open();
    round(&test, due);
    round(&test, due + 30_000);
    assert_eq!((running(&test).len(), test.driver.counts().started), (1, started));
    assert_eq!(statuses(&test, &app), [RunStatus::Running]);
    // It ends while the server is away.
    test.crash_and_open_after(|driver| assert!(driver.crash(&id, 9)));
    let run = runs(&test, &app).remove(0);
    assert_eq!((run.status, run.exit_code), (RunStatus::Failed, Some(9)));
    // A machine that was switched off knows nothing of the second.
    round(&test, due + HOUR);
    let id = runs(&test, &app)[1].instance.clone().unwrap();
    test.crash_and_open_after(|driver| {
        assert!(driver.crash(&id, 137));
        let forgotten = windlass_core::driver::Driver::forget(driver, &id);
        futures_util::FutureExt::now_or_never(forgotten).unwrap().unwrap();
    });
    round(&test, due + HOUR + 1);
    assert_eq!(statuses(&test, &app), [RunStatus::Failed, RunStatus::Lost]);
    assert_eq!(test.driver.counts().started, started + 1, "the second run and nothing else");
}

#[test]
fn a_job_that_is_removed_keeps_its_history_and_an_app_that_goes_takes_all() {
    let test = TestPlatform::open();
    let app = deployed(&test, "gone");
    let due = add(&test, &app, job("serve"));
    round(&test, due);
    let platform = test.platform();
    test.block_on(platform.remove_cron_job(&test.user, &app, "job")).unwrap();
    round(&test, due + HOUR);
    assert_eq!(statuses(&test, &app), [RunStatus::Running]);
    let _ = add(&test, &app, job("serve"));
    test.block_on(platform.destroy_app(&test.user, &app, false)).unwrap();
    round(&test, due + 2 * HOUR);
    test.wait_until("no run", |test| running(test).is_empty());
    assert!(!test.data_directory().join("cron").join(app.id.to_string()).exists());
}

#[test]
fn a_job_that_cannot_be_is_refused() {
    let test = TestPlatform::open();
    let app = deployed(&test, "wrong");
    let platform = test.platform();
    let refused = |settings, name| {
        let added = test.block_on(platform.add_cron_job(&test.user, &app, name, settings));
        added.unwrap_err().to_string()
    };
    let said = refused(CronSettings::new("serve", "61 * * * *"), None);
    assert!(said.contains("schedule does not work: \"61\" is no minute"), "{said}");
    let said = refused(job("serve"), Some("Not a name"));
    assert!(said.contains("is not a cron job's name"), "{said}");
    let _ = add(&test, &app, job("serve"));
    let said = refused(job("serve"), Some("job"));
    assert!(said.contains("already taken"), "{said}");
}
