//! Cron: what people ask of jobs and their history. The store is the truth; [`round`] looks into it
//! every second and starts what is due.

mod ends;
mod output;
mod round;
mod start;

pub(crate) use output::cron_output_directory;

use crate::platform::now_ms;
use crate::records::{App, CronJob, CronRun, Release, User};
use crate::{Platform, PlatformError, Result};
use windlass_core::cron::{Cause, CronSettings, InvalidCron, name_for};
use windlass_core::ids::CronJobId;
use windlass_core::limits::CRON_JOBS_PER_APP;
use windlass_core::names::CronName;

/// How many runs of a job are kept.
const RUNS_KEPT: u32 = 100;

/// A job and the newest line of its history.
#[derive(Clone, Debug)]
pub struct CronJobView {
    pub job: CronJob,
    pub last_run: Option<CronRun>,
}

impl From<InvalidCron> for PlatformError {
    fn from(error: InvalidCron) -> Self {
        Self::Invalid(format!("The job's {} does not work: {}.", error.field, error.problem))
    }
}

impl Platform {
    /// Returns the jobs of an app by name, those of its current release included.
    pub async fn cron_jobs(&self, app: &App) -> Result<Vec<CronJobView>> {
        if self.store().apps_with_other_cron()?.contains(&app.id) {
            let _turn = self.app_tasks().cron_turn().lock().await;
            self.renew_cron(app)?;
        }
        self.store().cron_jobs(app.id)?.into_iter().map(|job| self.cron_view(job)).collect()
    }

    /// Takes over the jobs of a release that has just come into force. Called in the turn of cron.
    fn renew_cron(&self, app: &App) -> Result<()> {
        if self.store().apps_with_other_cron()?.contains(&app.id) {
            self.take_cron_from_release(app.id, now_ms())?;
        }
        Ok(())
    }

    fn cron_view(&self, job: CronJob) -> Result<CronJobView> {
        let last_run = self.store().cron_runs(job.app, &job.name, 1)?.pop();
        Ok(CronJobView { job, last_run })
    }

    /// Returns a job by its name or id.
    pub fn cron_job(&self, app: &App, name_or_id: &str) -> Result<CronJobView> {
        let is_it =
            |job: &CronJob| job.name.as_str() == name_or_id || job.id.to_string() == name_or_id;
        let found = self.store().cron_jobs(app.id)?.into_iter().find(is_it);
        self.cron_view(found.ok_or(PlatformError::NotFound { resource: "cron job" })?)
    }

    /// Adds a job; without a name it gets one from its command.
    pub async fn add_cron_job(
        &self,
        user: &User,
        app: &App,
        name: Option<&str>,
        settings: CronSettings,
    ) -> Result<CronJobView> {
        let (schedule, zone) = settings.check()?;
        let _turn = self.app_tasks().cron_turn().lock().await;
        self.renew_cron(app)?;
        let jobs = self.store().cron_jobs(app.id)?;
        if jobs.len() >= CRON_JOBS_PER_APP {
            return Err(PlatformError::Invalid(format!(
                "An app has at most {CRON_JOBS_PER_APP} cron jobs: remove one first."
            )));
        }
        let is_taken = |name: &str| jobs.iter().any(|job| job.name.as_str() == name);
        let name: CronName = match name {
            Some(name) => name.parse()?,
            None => name_for(&settings.command, is_taken).parse()?,
        };
        let now = now_ms();
        let job = CronJob {
            id: CronJobId::random(),
            app: app.id,
            name,
            next_at: schedule.next_after(&zone, now),
            settings,
            from_app_json: false,
            suspended: false,
            created_at: now,
            updated_at: now,
        };
        self.store().save_cron_job(&job)?;
        self.log_cron(app, user, "Add", &job);
        self.cron_view(job)
    }

    /// Suspends a job or lets it run again. What was due meanwhile is not made up for.
    pub async fn suspend_cron_job(
        &self,
        user: &User,
        app: &App,
        job: &str,
        suspended: bool,
    ) -> Result<CronJobView> {
        let _turn = self.app_tasks().cron_turn().lock().await;
        self.renew_cron(app)?;
        let mut job = self.cron_job(app, job)?.job;
        if job.suspended != suspended {
            let (schedule, zone) = job.settings.check()?;
            let now = now_ms();
            job.suspended = suspended;
            job.next_at = if suspended { None } else { schedule.next_after(&zone, now) };
            job.updated_at = now;
            self.store().save_cron_job(&job)?;
            self.log_cron(app, user, if suspended { "Suspend" } else { "Resume" }, &job);
        }
        self.cron_view(job)
    }

    /// Removes a job; runs of it go on, and its history stays.
    pub async fn remove_cron_job(&self, user: &User, app: &App, job: &str) -> Result<CronJobView> {
        let _turn = self.app_tasks().cron_turn().lock().await;
        self.renew_cron(app)?;
        let view = self.cron_job(app, job)?;
        if view.job.from_app_json {
            return Err(PlatformError::Invalid(format!(
                "The job {} is in app.json: remove it there and deploy, or suspend it.",
                view.job.name
            )));
        }
        self.store().delete_cron_job(view.job.id)?;
        self.log_cron(app, user, "Remove", &view.job);
        Ok(view)
    }

    /// Starts a job now, suspended or not, and returns once it has started.
    ///
    /// # Errors
    /// `Conflict` when its overlap policy forbids it or the app is stopped.
    pub async fn run_cron_job(&self, user: &User, app: &App, job: &str) -> Result<CronRun> {
        let _turn = self.app_tasks().cron_turn().lock().await;
        self.renew_cron(app)?;
        let job = self.cron_job(app, job)?.job;
        let app = self.store().app(app.id)?.ok_or(PlatformError::NotFound { resource: "app" })?;
        if self.current_release(&app)?.image.is_none() {
            return Err(PlatformError::Invalid(format!(
                "Nothing has been deployed to {} yet: push it first.",
                app.name
            )));
        }
        if app.deploys.stopped {
            return Err(PlatformError::Conflict(format!(
                "{} is stopped, and its cron jobs with it: start it with windlass ps:start.",
                app.name
            )));
        }
        let running = self.cron_runs_of(&job)?;
        if !windlass_core::cron::may_start(job.settings.overlap, running.len()) {
            return Err(PlatformError::Conflict(format!(
                "{} run(s) of {} go on, and its overlap policy is {}.",
                running.len(),
                job.name,
                job.settings.overlap.as_str()
            )));
        }
        self.log_cron(&app, user, "Run", &job);
        self.begin_cron_run(&app, &job, Cause::Manual, None, None, now_ms()).await
    }

    /// Returns the last runs of a job, newest first; also of one that was removed.
    pub fn cron_runs(&self, app: &App, job: &str, limit: u32) -> Result<Vec<CronRun>> {
        let missing = PlatformError::NotFound { resource: "cron job" };
        let Ok(name) = self.cron_name(app, job) else { return Err(missing) };
        let runs = self.store().cron_runs(app.id, &name, limit.min(RUNS_KEPT))?;
        if runs.is_empty() {
            let _ = self.cron_job(app, job)?;
        }
        Ok(runs)
    }

    fn cron_name(&self, app: &App, job: &str) -> Result<CronName> {
        match self.cron_job(app, job) {
            Ok(view) => Ok(view.job.name),
            Err(PlatformError::NotFound { .. }) => Ok(job.parse()?),
            Err(error) => Err(error),
        }
    }

    /// Returns a run by its number, its name (`cron.7`) or its id; `last` is the last that started.
    pub fn cron_run(&self, app: &App, job: &str, run: &str) -> Result<CronRun> {
        let runs = self.cron_runs(app, job, RUNS_KEPT)?;
        let number = run.strip_prefix("cron.").unwrap_or(run);
        let is_it = |one: &CronRun| match run {
            "last" => one.instance.is_some(),
            _ => one.number.to_string() == number || one.id.to_string() == run,
        };
        let found = runs.into_iter().find(is_it);
        found.ok_or(PlatformError::NotFound { resource: "cron run" })
    }

    /// Ends all that cron does for an app that is being destroyed.
    pub(crate) async fn end_cron_of(&self, app: &App) -> Result<()> {
        let _turn = self.app_tasks().cron_turn().lock().await;
        Ok(self.store().delete_cron_jobs(app.id)?)
    }

    /// Returns the runs of a job that go on.
    fn cron_runs_of(&self, job: &CronJob) -> Result<Vec<CronRun>> {
        let mut runs = self.store().cron_runs_under_way()?;
        runs.retain(|run| run.app == job.app && run.job == job.name);
        Ok(runs)
    }

    fn log_cron(&self, app: &App, user: &User, what: &str, job: &CronJob) {
        let message = format!("{what} cron job {} by user {}", job.name, user.email);
        self.logs().append(app.id, "app[api]", &message);
    }
}

/// A command that is the name of a process type runs that type's command, as with `run`.
fn command_of(release: &Release, text: &str) -> String {
    let process = text.parse().ok().and_then(|process| release.processes.get(&process));
    process.cloned().unwrap_or_else(|| text.to_owned())
}
