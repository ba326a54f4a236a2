use crate::tests::{app, store};
use crate::{CronJob, NewCronRun, StoreError};
use windlass_core::cron::{Cause, CronSettings, RunStatus};
use windlass_core::ids::{AppId, CronJobId};

fn job(app: AppId, name: &str, next_at: Option<u64>) -> CronJob {
    CronJob {
        id: CronJobId::random(),
        app,
        name: name.parse().unwrap(),
        settings: CronSettings::new("clean", "@daily"),
        from_app_json: false,
        suspended: false,
        next_at,
        created_at: 1,
        updated_at: 1,
    }
}

fn run(job: &CronJob, status: RunStatus) -> NewCronRun {
    NewCronRun {
        app: job.app,
        job: job.name.clone(),
        cause: Cause::Schedule,
        status,
        command: "clean".into(),
        release: Some(2),
        timeout: 60,
        scheduled_at: Some(100),
        reason: None,
    }
}

#[test]
fn jobs_are_due_in_order_and_names_are_unique() {
    let (_directory, store, user) = store();
    let app = app(&store, &user, "due").id;
    let [late, early, new, far] =
        [("late", Some(20)), ("early", Some(10)), ("new", None), ("far", Some(900))]
            .map(|(name, next)| job(app, name, next));
    let suspended = CronJob { suspended: true, ..job(app, "suspended", None) };
    for job in [&late, &early, &new, &far, &suspended] {
        store.save_cron_job(job).unwrap();
    }
    let due = |now| -> Vec<String> {
        let due = store.due_cron_jobs(now, 800).unwrap();
        due.into_iter().map(|job| job.name.to_string()).collect()
    };
    assert_eq!(due(10), ["new", "early", "far"]);
    assert_eq!(due(20), ["new", "early", "late", "far"]);
    let twice = store.save_cron_job(&job(app, "late", None));
    assert!(matches!(twice, Err(StoreError::Taken(_))), "{twice:?}");
}

#[test]
fn the_jobs_of_app_json_are_replaced_as_a_whole() {
    let (_directory, store, user) = store();
    let app = app(&store, &user, "json").id;
    let ours = job(app, "ours", None);
    store.save_cron_job(&ours).unwrap();
    let theirs = |name| CronJob { from_app_json: true, ..job(app, name, None) };
    let (kept, gone) = (theirs("kept"), theirs("gone"));
    store.replace_cron_jobs(app, 2, &[kept.clone(), gone]).unwrap();
    store.replace_cron_jobs(app, 3, &[CronJob { next_at: Some(5), ..kept.clone() }]).unwrap();
    let jobs = store.cron_jobs(app).unwrap();
    assert_eq!(jobs, [CronJob { next_at: Some(5), ..kept }, ours]);
    assert_eq!(store.apps_with_other_cron().unwrap(), [app], "its current release is another");
}

#[test]
fn a_run_is_numbered_ended_once_and_pruned() {
    let (_directory, store, user) = store();
    let app = app(&store, &user, "runs").id;
    let job = job(app, "clean", Some(100));
    store.save_cron_job(&job).unwrap();
    let first = store
        .begin_cron_run(&run(&job, RunStatus::Running), Some((job.id, Some(200))), 101)
        .unwrap();
    assert_eq!((first.number, first.ended_at), (1, None));
    assert_eq!(store.cron_job(job.id).unwrap().unwrap().next_at, Some(200));
    let instance = first.instance.clone().unwrap();
    assert_eq!(store.cron_run_of(&instance).unwrap(), Some(first.clone()));
    let skipped = store.begin_cron_run(&run(&job, RunStatus::Skipped), None, 150).unwrap();
    assert_eq!((skipped.number, skipped.ended_at, &skipped.instance), (2, Some(150), &None));
    assert_eq!(store.cron_runs_under_way().unwrap(), std::slice::from_ref(&first));

    assert!(store.cron_run_is_ending(first.id, RunStatus::TimedOut).unwrap());
    assert!(!store.cron_run_is_ending(first.id, RunStatus::Replaced).unwrap());
    store.end_cron_run(first.id, RunStatus::Failed, Some(143), None, 160).unwrap();
    store.end_cron_run(first.id, RunStatus::Lost, None, Some("again"), 170).unwrap();
    let ended = store.cron_run_of(&instance).unwrap().unwrap();
    assert_eq!(
        (ended.status, ended.ended_at, ended.exit_code),
        (RunStatus::TimedOut, Some(160), Some(143))
    );

    assert_eq!(store.prune_cron_runs(app, &job.name, 2).unwrap(), [0u32; 0]);
    assert_eq!(store.prune_cron_runs(app, &job.name, 1).unwrap(), [1]);
    assert_eq!(store.cron_runs(app, &job.name, 10).unwrap(), [skipped]);
    let third = store.begin_cron_run(&run(&job, RunStatus::Running), None, 180).unwrap();
    assert_eq!(third.number, 3);
    store.delete_app(app).unwrap();
    assert_eq!(store.cron_runs_under_way().unwrap(), []);
}
