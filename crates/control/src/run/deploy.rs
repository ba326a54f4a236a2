//! Deploy: a release becomes a candidate, and current once all of its instances are up.
//! New one healthy → swap in the router → persist → drain the old (which the planner does).

use super::app_task::{AppTask, runnable};
use super::events::BOOT_TIMEOUT;
use crate::observe::LogFilter;
use crate::platform::now_ms;
use crate::records::Release;
use crate::{PlatformError, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;
use windlass_core::deploy_settings::CanaryState;
use windlass_core::names::ProcessType;
use windlass_core::plan::{self, Phase, Verdict, Wanted};

/// How many of the failed instance's last lines are shown: servers that start workers say some
/// thirty of their own after the one that tells what was wrong.
const LOG_LINES_SHOWN: u32 = 40;

const HOW_TO_LISTEN: &str =
    "\nThe app must listen on 0.0.0.0 at the port that the environment variable PORT says.";

/// A release, stored as pending, that should become the current one.
pub(crate) struct Deploy {
    pub release: Release,
    pub formation: BTreeMap<ProcessType, u32>,
    /// Whether to make it current even if it does not come up when nothing works that it would
    /// replace: for config changes, which are how a crashed app is mended.
    pub even_if_broken: bool,
    /// Whether the app's canary strategy applies: for new code.
    pub may_be_canary: bool,
    pub reply: oneshot::Sender<Result<Deployed>>,
}

/// A release that has become the current one, or a canary.
pub(crate) struct Deployed {
    pub release: Release,
    /// The share that it gets of the requests while it is not current.
    pub canary: Option<CanaryState>,
    /// Milliseconds from the deploy's begin to its instances' processes (`start`), from there to
    /// their being up (`check`), and for the swap in router and store (`swap`).
    pub stages: [(&'static str, f64); 3],
}

/// The release being deployed.
pub(crate) struct Candidate {
    pub release: Arc<Release>,
    pub wanted: Wanted,
    pub(super) formation: BTreeMap<ProcessType, u32>,
    /// The quantities when it began: what was scaled since is kept.
    pub(super) quantities_before: BTreeMap<ProcessType, u32>,
    pub(super) even_if_broken: bool,
    /// Its share, if it is not to take the current release's place yet.
    pub(super) canary: Option<CanaryState>,
    pub(super) started_at_us: u64,
    pub(super) begun: Instant,
    /// When the last of its instances was started.
    pub last_started: Instant,
    /// Who waits for it; nobody while it is a canary.
    pub(super) reply: Option<oneshot::Sender<Result<Deployed>>>,
}

impl Candidate {
    fn is_abandoned(&self) -> bool {
        self.reply.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}

impl AppTask {
    /// Takes up the next deploy that waits, if none is under way.
    pub(super) async fn next_deploy(&mut self) {
        while self.candidate.is_none() {
            let Some(deploy) = self.waiting.pop_front() else { return };
            if deploy.reply.is_closed() {
                self.record_failure(
                    &deploy.release,
                    "the client went away before the deploy began",
                );
                continue;
            }
            self.crashes.clear();
            if let Err(error) = self.note_single_writers(&deploy.release.processes) {
                tracing::error!(app = %self.app.name, %error, "the volumes of an app cannot be read");
            }
            let canary = self.canary_of(&deploy);
            let wanted = match &canary {
                Some(canary) => self.canary_wanted(&deploy.release, &deploy.formation, canary),
                None => self.candidate_wanted(&deploy),
            };
            let Deploy { release, formation, even_if_broken, reply, .. } = *deploy;
            self.candidate = Some(Candidate {
                even_if_broken,
                canary,
                reply: Some(reply),
                ..self.new_candidate(release, formation, wanted)
            });
            self.judge_candidate().await;
        }
    }

    /// A candidate that begins now, for nobody.
    pub(super) fn new_candidate(
        &self,
        release: Release,
        formation: BTreeMap<ProcessType, u32>,
        wanted: Wanted,
    ) -> Candidate {
        Candidate {
            release: Arc::new(release),
            wanted,
            formation,
            quantities_before: self.quantities.clone(),
            even_if_broken: false,
            canary: None,
            started_at_us: crate::platform::now_us(),
            begun: Instant::now(),
            last_started: Instant::now(),
            reply: None,
        }
    }

    fn candidate_wanted(&self, deploy: &Deploy) -> Wanted {
        let runs = deploy.release.image.is_some() && !self.app.deploys.stopped;
        Wanted {
            release: deploy.release.version,
            generation: self.app.restart_generation,
            quantities: if runs { runnable(&deploy.formation) } else { BTreeMap::new() },
        }
    }

    /// Makes the candidate current when it is ready, drops it when it has failed.
    pub(super) async fn judge_candidate(&mut self) {
        let Some(candidate) = &self.candidate else { return };
        match plan::verdict(&candidate.wanted, &self.live(), &self.crashes) {
            Verdict::Pending if candidate.is_abandoned() => {
                self.abandon_candidate("the client went away");
            }
            Verdict::Pending => {}
            Verdict::Ready if candidate.canary.is_some() => self.begin_canary().await,
            Verdict::Ready => self.commit_candidate().await,
            Verdict::Failed(..) if candidate.even_if_broken && !self.current_works() => {
                self.commit_candidate().await;
            }
            Verdict::Failed(slot, status) => {
                // The shim has written its last lines before it told of the exit.
                let reason = match &status.reason {
                    Some(reason) => format!("{slot}: {reason}"),
                    None => {
                        format!("{slot} exited with status {} while it was starting", status.code)
                    }
                };
                let mut shown =
                    self.with_last_lines(&reason, &slot.to_string(), candidate.started_at_us);
                if reason.contains(BOOT_TIMEOUT) {
                    shown.push_str(HOW_TO_LISTEN);
                }
                self.fail_candidate(&reason, shown);
            }
        }
    }

    fn current_works(&self) -> bool {
        let Some(current) = self.wanted() else { return false };
        let wants_web = current.quantities.iter().any(|(process, n)| process.is_web() && *n > 0);
        let up = |web: bool| {
            self.instances.values().any(|t| {
                t.live.release == current.release
                    && t.live.phase == Phase::Up
                    && (!web || t.live.slot.process.is_web())
            })
        };
        up(wants_web)
    }

    async fn commit_candidate(&mut self) {
        let Some(mut candidate) = self.candidate.take() else { return };
        let up = Instant::now();
        for (process, quantity) in &mut candidate.formation {
            let now = self.quantities.get(process).copied();
            if now != candidate.quantities_before.get(process).copied() {
                *quantity = now.unwrap_or(*quantity);
            }
        }
        // A release without an image runs nothing: there is nothing to route to.
        let served = candidate.release.image.as_ref().map(|_| &candidate.wanted);
        if let Err(error) = self.platform.routes().upsert(self.route(served)).await {
            self.candidate = Some(candidate);
            let reason = format!("the router could not be told of the new instances: {error}");
            return self.fail_candidate(&reason, reason.clone());
        }
        if let Err(error) =
            self.platform.store().commit_release(&candidate.release, &candidate.formation, now_ms())
        {
            tracing::error!(app = %self.app.name, %error, "a release could not be stored");
            self.candidate = Some(candidate);
            let reason = "the release could not be stored; the old one goes on".to_owned();
            return self.fail_candidate(&reason, reason.clone());
        }
        let release = candidate.release.clone();
        self.app.current_release = release.version;
        self.app.released_at = Some(now_ms());
        self.quantities = std::mem::take(&mut candidate.formation);
        self.current = Some(release.clone());
        let release =
            Release { status: crate::records::ReleaseStatus::Succeeded, ..(*release).clone() };
        self.app.deploys.canary = None;
        let stages = candidate.stages(up);
        if let Some(reply) = candidate.reply {
            let _ = reply.send(Ok(Deployed { release, canary: None, stages }));
        }
    }

    /// Drops the candidate; its instances are retired by the next plan.
    fn fail_candidate(&mut self, reason: &str, shown: String) {
        let Some(candidate) = self.candidate.take() else { return };
        self.record_failure(&candidate.release, reason);
        let version = candidate.release.version;
        self.crashes.retain(|_, crash| crash.release != version);
        self.forget_canary();
        if let Some(reply) = candidate.reply {
            let _ = reply.send(Err(PlatformError::ReleaseFailed(shown)));
        }
    }

    pub(super) fn fail_candidate_plainly(&mut self, reason: &str) {
        self.fail_candidate(reason, reason.to_owned());
    }

    pub(super) fn abandon_candidate(&mut self, reason: &str) {
        self.fail_candidate_plainly(reason);
        for deploy in std::mem::take(&mut self.waiting) {
            if deploy.reply.is_closed() {
                self.record_failure(&deploy.release, reason);
            } else {
                self.waiting.push_back(deploy);
            }
        }
    }

    fn record_failure(&self, release: &Release, reason: &str) {
        if let Err(error) = self.platform.store().fail_release(release.id, reason, now_ms()) {
            tracing::error!(app = %self.app.name, %error, "a failed release could not be marked");
        }
        let version = release.version;
        self.platform.logs().append(
            self.app.id,
            "app[api]",
            &format!("Release v{version} failed: {reason}"),
        );
    }

    /// Returns the reason with what the instance said last.
    fn with_last_lines(&self, reason: &str, name: &str, since_us: u64) -> String {
        let since = windlass_core::log_line::timestamp(since_us);
        let filter = LogFilter {
            process: Some(name.to_owned()),
            source: Some("app".to_owned()),
            lines: LOG_LINES_SHOWN,
            tail: false,
        };
        let lines: Vec<String> = self
            .platform
            .logs()
            .last(self.app.id, &filter)
            .into_iter()
            .filter(|line| line.as_str() > since.as_str())
            .filter_map(|line| {
                windlass_core::log_line::parse(&line).map(|parsed| parsed.message.to_owned())
            })
            .collect();
        if lines.is_empty() {
            return reason.to_owned();
        }
        format!("{reason}\nIts last lines:\n{}", lines.join("\n"))
    }
}
