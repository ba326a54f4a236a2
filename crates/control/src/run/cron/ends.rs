//! How runs end, also while the server is away.

use super::super::one_off::STOP_GRACE;
use crate::platform::now_ms;
use crate::records::CronRun;
use crate::{Platform, Result};
use windlass_core::cron::RunStatus;
use windlass_core::ids::InstanceId;
use windlass_core::instance::{ExitStatus, InstanceState, ObservedInstance};

impl Platform {
    /// Notes the end of an instance if it was a run of a job, and keeps what it said.
    pub(in crate::run) async fn cron_instance_exited(&self, id: &InstanceId, status: &ExitStatus) {
        let run = match self.store().cron_run_of(id) {
            Ok(Some(run)) if run.ended_at.is_none() => run,
            Ok(_) => return,
            Err(error) => {
                return tracing::error!(instance = %id, %error, "a cron run could not be looked up");
            }
        };
        self.keep_cron_output(&run).await;
        let outcome = if status.code == 0 { RunStatus::Succeeded } else { RunStatus::Failed };
        let reason = if status.out_of_memory {
            Some("it used more memory than it may")
        } else {
            status.reason.as_deref()
        };
        let ended =
            self.store().end_cron_run(run.id, outcome, Some(status.code), reason, status.at_ms);
        if let Err(error) = ended {
            tracing::error!(instance = %id, %error, "the end of a cron run could not be noted");
        }
    }

    pub(super) fn stop_cron_run_later(&self, run: &CronRun) {
        let (platform, run) = (self.clone(), run.clone());
        tokio::spawn(async move { platform.stop_cron_run(&run).await });
    }

    /// Stops the instance of a run and waits for its end.
    pub(super) async fn stop_cron_run(&self, run: &CronRun) {
        let Some(id) = &run.instance else { return };
        match self.driver().stop(id, STOP_GRACE).await {
            Ok(stopped) => {
                self.cron_instance_exited(id, &stopped.status).await;
                self.one_off_exited(id, &stopped.status).await;
            }
            Err(error) => {
                tracing::warn!(instance = %id, %error, "a cron run could not be stopped");
                self.lose_cron_run(run, "it could not be stopped");
            }
        }
    }

    /// At the start of the server: notes how runs ended meanwhile. Those that go on are adopted with
    /// the other one-offs, and none is started again.
    pub(in crate::run) async fn catch_up_with_cron(
        &self,
        observed: &[ObservedInstance],
    ) -> Result<()> {
        for run in self.store().cron_runs_under_way()? {
            let instance = observed.iter().find(|one| Some(&one.spec.id) == run.instance.as_ref());
            match instance.map(|instance| (&instance.spec.id, &instance.state)) {
                Some((_, InstanceState::Running)) if run.is_ending => {
                    self.stop_cron_run_later(&run)
                }
                Some((_, InstanceState::Running)) => {}
                Some((id, InstanceState::Exited(status))) => {
                    self.cron_instance_exited(id, status).await;
                }
                None => self.lose_cron_run(&run, "the server stopped while it was being started"),
            }
        }
        Ok(())
    }

    fn lose_cron_run(&self, run: &CronRun, reason: &str) {
        let lost = self.store().end_cron_run(run.id, RunStatus::Lost, None, Some(reason), now_ms());
        if let Err(error) = lost {
            tracing::error!(job = %run.job, %error, "a lost cron run could not be noted");
        }
    }
}
