//! The reconciler of cron: takes no input but the store and the present, so it can end at any point
//! and begin again.

use crate::records::{CronJob, CronRun, NewCronRun};
use crate::{Platform, PlatformError, Result};
use futures_util::StreamExt;
use windlass_core::cron::{
    Act, AppState, Cause, CronSettings, JobState, RunStatus, decide, name_for,
};
use windlass_core::ids::{AppId, CronJobId};
use windlass_core::names::CronName;

/// How many runs are started at the same time.
const STARTS_AT_ONCE: usize = 4;
/// A job whose next time is further away than this is looked at again, in milliseconds: the clock
/// may have been put back.
const FAR_MS: u64 = 4 * 60 * 60 * 1_000;

impl Platform {
    /// Does what is due now, in milliseconds since the Unix epoch: takes over the jobs of new
    /// releases, stops runs whose time is up, starts jobs. What fails is logged and tried again.
    pub async fn cron_round(&self, now: u64) {
        let _turn = self.app_tasks().cron_turn().lock().await;
        if let Err(error) = self.cron_round_in_turn(now).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cron could not do its round");
        }
    }

    async fn cron_round_in_turn(&self, now: u64) -> Result<()> {
        for app in self.store().apps_with_other_cron()? {
            self.take_cron_from_release(app, now)?;
        }
        let running = self.store().cron_runs_under_way()?;
        for run in &running {
            if now >= run.started_at.saturating_add(run.timeout.saturating_mul(1_000)) {
                self.stop_cron_run_in_time(run)?;
            }
        }
        // All are looked at once a minute, else those that are due.
        let far = if (now / 1_000).is_multiple_of(60) { now + FAR_MS } else { u64::MAX };
        let due = self.store().due_cron_jobs(now, far)?;
        let starts = futures_util::stream::iter(due).map(|job| {
            let running = running.iter().filter(|run| run.app == job.app && run.job == job.name);
            let running = running.count();
            async move {
                if let Err(error) = self.look_at_cron_job(&job, running, now).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(job = %job.name, error, "a cron job could not be run");
                }
            }
        });
        starts.buffer_unordered(STARTS_AT_ONCE).collect::<()>().await;
        Ok(())
    }

    async fn look_at_cron_job(&self, job: &CronJob, running: usize, now: u64) -> Result<()> {
        let Some(app) = self.store().app(job.app)? else { return Ok(()) };
        let (schedule, zone) = job.settings.check()?;
        let state = JobState {
            schedule: &schedule,
            zone: &zone,
            overlap: job.settings.overlap,
            catch_up: job.settings.catch_up,
            maintenance: job.settings.maintenance,
            next_at: job.next_at,
            running,
        };
        let release = self.store().release(app.id, app.current_release)?;
        let app_state = AppState {
            deployed: release.is_some_and(|release| release.image.is_some()),
            stopped: app.deploys.stopped,
            maintenance: app.maintenance,
        };
        let Some(decision) = decide(&state, app_state, now) else { return Ok(()) };
        let next = Some((job.id, decision.next_at));
        match decision.act {
            None => self.store().set_cron_next(job.id, decision.next_at)?,
            Some(Act::Run { cause, scheduled_at }) => {
                self.begin_cron_run(&app, job, cause, Some(scheduled_at), next, now).await?;
            }
            Some(Act::LeaveOut { status, scheduled_at }) => {
                let reason = match status {
                    RunStatus::Missed => "the server was not running".to_owned(),
                    _ => format!("{running} run(s) of it went on"),
                };
                let left_out = NewCronRun {
                    app: app.id,
                    job: job.name.clone(),
                    cause: Cause::Schedule,
                    status,
                    command: job.settings.command.clone(),
                    release: None,
                    timeout: job.settings.timeout,
                    scheduled_at: Some(scheduled_at),
                    reason: Some(reason),
                };
                self.store().begin_cron_run(&left_out, next, now)?;
                self.prune_cron_runs(app.id, &job.name);
            }
        }
        Ok(())
    }

    /// Stops a run whose time is up, beside the round.
    fn stop_cron_run_in_time(&self, run: &CronRun) -> Result<()> {
        if self.store().cron_run_is_ending(run.id, RunStatus::TimedOut)? {
            let message =
                format!("Stopping process: it reached its time limit of {} s", run.timeout);
            self.logs().append(run.app, &format!("heroku[cron.{}]", run.number), &message);
            self.stop_cron_run_later(run);
        }
        Ok(())
    }

    /// Makes the jobs of the app's current release those of the app. Jobs that are the same keep
    /// when they run next, and whether they are suspended.
    pub(super) fn take_cron_from_release(&self, app: AppId, now: u64) -> Result<()> {
        let missing = || PlatformError::NotFound { resource: "app" };
        let app = self.store().app(app)?.ok_or_else(missing)?;
        let release = self.store().release(app.id, app.current_release)?;
        let wanted = release.map(|release| release.manifest.cron).unwrap_or_default();
        let (known, ours): (Vec<CronJob>, Vec<CronJob>) =
            self.store().cron_jobs(app.id)?.into_iter().partition(|job| job.from_app_json);
        let mut taken: Vec<String> = ours.iter().map(|job| job.name.to_string()).collect();
        taken.extend(wanted.iter().filter_map(|job| job.name.as_ref().map(ToString::to_string)));
        let mut jobs = Vec::new();
        for wanted in wanted {
            let is_taken = |name: &str| taken.iter().any(|taken| taken == name);
            let name: CronName = match wanted.name {
                Some(name) if !ours.iter().any(|job| job.name == name) => name,
                Some(name) => name_for(name.as_str(), is_taken).parse()?,
                None => name_for(&wanted.settings.command, is_taken).parse()?,
            };
            taken.push(name.to_string());
            let before = known.iter().find(|job| job.name == name);
            jobs.push(renewed(app.id, name, wanted.settings, before, now)?);
        }
        Ok(self.store().replace_cron_jobs(app.id, app.current_release, &jobs)?)
    }
}

fn renewed(
    app: AppId,
    name: CronName,
    settings: CronSettings,
    before: Option<&CronJob>,
    now: u64,
) -> Result<CronJob> {
    let suspended = before.is_some_and(|job| job.suspended);
    let same_times = |old: &CronSettings| {
        (&old.schedule, &old.timezone) == (&settings.schedule, &settings.timezone)
    };
    let next_at = match before {
        Some(job) if same_times(&job.settings) => job.next_at,
        _ if suspended => None,
        _ => {
            let (schedule, zone) = settings.check()?;
            schedule.next_after(&zone, now)
        }
    };
    Ok(CronJob {
        id: before.map_or_else(CronJobId::random, |job| job.id),
        app,
        name,
        settings,
        from_app_json: true,
        suspended,
        next_at,
        created_at: before.map_or(now, |job| job.created_at),
        updated_at: now,
    })
}
