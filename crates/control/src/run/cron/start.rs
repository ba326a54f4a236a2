//! Starting a run: written down first, started once.

use super::super::views::{InstanceDisplayState, InstanceView, instance_uuid};
use super::command_of;
use crate::records::{App, CronJob, CronRun, NewCronRun};
use crate::{Platform, PlatformError, Result};
use windlass_core::cron::{Cause, Overlap, RunStatus};
use windlass_core::ids::CronJobId;
use windlass_core::names::ProcessType;

impl Platform {
    /// Writes a run down, with when its job runs next, and starts it as `cron.<number>` on the
    /// current release. Called in the turn of cron. A run that cannot be started has failed.
    pub(super) async fn begin_cron_run(
        &self,
        app: &App,
        job: &CronJob,
        cause: Cause,
        scheduled_at: Option<u64>,
        next: Option<(CronJobId, Option<u64>)>,
        now: u64,
    ) -> Result<CronRun> {
        let earlier = match job.settings.overlap {
            Overlap::Replace => self.cron_runs_of(job)?,
            Overlap::Allow | Overlap::Forbid => Vec::new(),
        };
        let release = self.current_release(app)?;
        let new = NewCronRun {
            app: app.id,
            job: job.name.clone(),
            cause,
            status: RunStatus::Running,
            command: job.settings.command.clone(),
            release: Some(release.version),
            timeout: job.settings.timeout,
            scheduled_at,
            reason: None,
        };
        let run = self.store().begin_cron_run(&new, next, now)?;
        self.prune_cron_runs(app.id, &job.name);
        for earlier in &earlier {
            self.store().cron_run_is_ending(earlier.id, RunStatus::Replaced)?;
            self.stop_cron_run(earlier).await;
        }
        if let Err(error) = self.start_cron_instance(app, &run).await {
            let reason = error.to_string();
            self.logs().append(app.id, &format!("heroku[cron.{}]", run.number), &reason);
            self.store().end_cron_run(run.id, RunStatus::Failed, None, Some(&reason), now)?;
        }
        self.cron_run(app, job.name.as_str(), &run.id.to_string())
    }

    async fn start_cron_instance(&self, app: &App, run: &CronRun) -> Result<()> {
        let release = self.current_release(app)?;
        // A command that is the name of a process type runs that type's image too.
        let named = run.command.parse::<ProcessType>().ok();
        let image = named.as_ref().and_then(|process| release.image_of(process));
        let image = image.or(release.image.as_ref()).cloned();
        let (Some(image), Some(id)) = (image, run.instance.clone()) else {
            return Err(PlatformError::NotFound { resource: "release" });
        };
        let process: ProcessType = "cron".parse()?;
        let command = command_of(&release, &run.command);
        let mut spec = self.one_off_spec(app, &release, &image, run.number, &command, &process);
        spec.id = id.clone();
        let limits = self.limits_of(app, &process);
        spec.resources = limits.resources();
        let name = spec.labels.display_name();
        let view = InstanceView {
            id: instance_uuid(&id),
            name: name.clone(),
            process,
            state: InstanceDisplayState::Up,
            reason: None,
            size: limits.size.0.name,
            command,
            release: release.version,
            created_at: run.started_at,
            updated_at: run.started_at,
        };
        let starting =
            format!("Starting process with command `{}` for cron job {}", run.command, run.job);
        self.logs().append(app.id, &format!("heroku[{name}]"), &starting);
        self.track_one_off(app.id, &id, &view);
        if let Err(error) = self.driver().start(spec).await {
            self.app_tasks().one_offs().remove(&id);
            return Err(PlatformError::Invalid(format!("{name} could not be started: {error}")));
        }
        Ok(())
    }
}
