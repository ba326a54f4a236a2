//! Canaries: a release that gets a share of the requests beside the current one until somebody
//! promotes or aborts it, or it crashes.

use super::app_task::{AppTask, Message, runnable};
use super::deploy::{Candidate, Deploy, Deployed};
use crate::platform::now_ms;
use crate::records::{App, Release, User};
use crate::{Platform, PlatformError, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use windlass_core::deploy_settings::{CanaryState, Strategy};
use windlass_core::names::ProcessType;
use windlass_core::plan::{Rollout, Wanted};

impl AppTask {
    /// Returns the share with which a deploy begins; `None` for one that replaces the current
    /// release. There must be two formations with web processes that may run side by side.
    pub(super) fn canary_of(&self, deploy: &Deploy) -> Option<CanaryState> {
        let settings = &self.app.deploys.settings;
        let has_web = |quantities: &BTreeMap<ProcessType, u32>| {
            quantities.iter().any(|(process, n)| process.is_web() && *n > 0)
        };
        let may_split = settings.strategy == Strategy::Canary
            && deploy.may_be_canary
            && !self.app.deploys.stopped
            && self.wanted().is_some_and(|current| has_web(&current.quantities))
            && deploy.release.image.is_some()
            && has_web(&deploy.formation)
            && !self.single_writers.iter().any(ProcessType::is_web);
        may_split.then(|| CanaryState {
            release: deploy.release.version,
            percent: settings.canary_percent(),
        })
    }

    /// How the candidate's instances, and those of a restart, take the place of others.
    pub(super) fn rollout(&self) -> Rollout {
        let candidate = self.candidate.as_ref();
        let of_candidate = candidate.into_iter().flat_map(|c| c.wanted.quantities.keys());
        let processes: BTreeSet<&ProcessType> =
            self.quantities.keys().chain(of_candidate).collect();
        let settings = &self.app.deploys.settings;
        Rollout {
            surge: settings.surge,
            exclusive: settings.exclusive(processes.into_iter(), &self.single_writers),
            canary: candidate.is_some_and(|candidate| candidate.canary.is_some()),
        }
    }

    /// The canary's instances are up: it takes its share from now on.
    pub(super) async fn begin_canary(&mut self) {
        let Some(mut candidate) = self.candidate.take() else { return };
        let (Some(canary), Some(reply)) = (candidate.canary.clone(), candidate.reply.take()) else {
            self.candidate = Some(candidate);
            return;
        };
        let deployed = Deployed {
            release: (*candidate.release).clone(),
            canary: Some(canary.clone()),
            stages: candidate.stages(Instant::now()),
        };
        self.candidate = Some(candidate);
        if !self.publish_route().await {
            return self.fail_candidate_plainly("the router could not be told of the canary");
        }
        let stored = self.platform.store().update_deploys(self.app_id(), now_ms(), |deploys| {
            deploys.canary = Some(canary.clone());
        });
        match stored {
            Ok(Some(deploys)) => self.app.deploys = deploys,
            Ok(None) => {}
            Err(error) => {
                tracing::error!(app = %self.app.name, %error, "a canary could not be stored");
                return self.fail_candidate_plainly("the canary could not be stored");
            }
        }
        self.platform.logs().append(
            self.app_id(),
            "app[api]",
            &format!("Canary v{} gets {} % of the requests", canary.release, canary.percent),
        );
        let _ = reply.send(Ok(deployed));
    }

    /// Goes on with the canary that the store knows of, after a restart of the server.
    pub(super) fn restore_canary(&mut self) -> Result<()> {
        let Some(canary) = self.app.deploys.canary.clone() else { return Ok(()) };
        let Some(release) = self.platform.store().release(self.app_id(), canary.release)? else {
            return Ok(());
        };
        let formation =
            windlass_core::release::formation_for(release.processes.keys(), &self.quantities);
        let wanted = self.canary_wanted(&release, &formation, &canary);
        self.candidate = Some(Candidate {
            canary: Some(canary),
            ..self.new_candidate(release, formation, wanted)
        });
        Ok(())
    }

    /// The instances of a canary: its share of the web processes, and no others.
    pub(super) fn canary_wanted(
        &self,
        release: &Release,
        formation: &BTreeMap<ProcessType, u32>,
        canary: &CanaryState,
    ) -> Wanted {
        let web = formation.iter().filter(|(process, n)| process.is_web() && **n > 0);
        Wanted {
            release: release.version,
            generation: self.app.restart_generation,
            quantities: web.map(|(process, n)| (process.clone(), canary.quantity(*n))).collect(),
        }
    }

    /// Makes the canary a candidate for the current release's place.
    pub(super) fn promote_canary(&mut self, reply: oneshot::Sender<Result<Deployed>>) {
        let under_way = |c: &&mut Candidate| c.canary.is_some() && c.reply.is_none();
        let Some(candidate) = self.candidate.as_mut().filter(under_way) else {
            let _ = reply.send(Err(no_canary()));
            return;
        };
        candidate.canary = None;
        candidate.wanted.quantities = runnable(&candidate.formation);
        candidate.begun = Instant::now();
        candidate.last_started = Instant::now();
        candidate.reply = Some(reply);
    }

    pub(super) fn abort_canary(&mut self, by: &str, reply: oneshot::Sender<Result<u32>>) {
        let canary = self.candidate.as_ref().filter(|c| c.reply.is_none());
        let Some(canary) = canary.and_then(|candidate| candidate.canary.clone()) else {
            let _ = reply.send(Err(no_canary()));
            return;
        };
        self.fail_candidate_plainly(&format!("the canary was aborted by {by}"));
        let _ = reply.send(Ok(canary.release));
    }

    /// Takes the canary out of the store; what has no canary is left as it is.
    pub(super) fn forget_canary(&mut self) {
        if self.app.deploys.canary.is_none() {
            return;
        }
        let stored = self
            .platform
            .store()
            .update_deploys(self.app_id(), now_ms(), |deploys| deploys.canary = None);
        match stored {
            Ok(Some(deploys)) => self.app.deploys = deploys,
            Ok(None) => {}
            Err(error) => {
                tracing::error!(app = %self.app.name, %error, "the end of a canary could not be stored");
            }
        }
    }
}

impl Candidate {
    /// Milliseconds that it took to start its instances, to see them up, and since then.
    pub(super) fn stages(&self, up: Instant) -> [(&'static str, f64); 3] {
        let ms = |span: Duration| span.as_secs_f64() * 1e3;
        [
            ("start", ms(self.last_started.duration_since(self.begun))),
            ("check", ms(up.duration_since(self.last_started))),
            ("swap", ms(up.elapsed())),
        ]
    }
}

fn no_canary() -> PlatformError {
    PlatformError::Conflict("There is no canary to promote or abort.".to_owned())
}

impl Platform {
    /// Gives the canary the current release's place; returns once it is current. Goes on when the
    /// caller goes away.
    pub async fn promote_canary(&self, user: &User, app: &App) -> Result<Release> {
        let (platform, app, email) = (self.clone(), app.clone(), user.email.clone());
        let promoting = tokio::spawn(async move {
            let _turn = platform.release_turn(&app).await;
            platform.logs().append(app.id, "app[api]", &format!("Promote canary by user {email}"));
            platform.ask(app.id, Message::Promote).await?
        });
        let deployed = promoting
            .await
            .map_err(|error| PlatformError::internal("the promotion was cut off", error))??;
        Ok(deployed.release)
    }

    /// Takes the canary out of service; returns its version.
    pub async fn abort_canary(&self, user: &User, app: &App) -> Result<u32> {
        let email = user.email.clone();
        self.ask(app.id, |reply| Message::AbortCanary(email, reply)).await?
    }
}
