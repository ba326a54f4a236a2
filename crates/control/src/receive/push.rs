//! One push, from the wanted ref updates to what became of each.

use super::hook::{RefOutcome, RefResult, RefUpdate};
use super::{AppLine, Session, repository};
use crate::build::{BuildJob, BuildOutput, Source, Timings};
use crate::platform::now_ms;
use crate::records::{Activity, NewRelease};
use crate::release::{AfterDeploy, ReleaseRequest};
use crate::{Platform, PlatformError};
use windlass_core::deploy_settings::Strategy;

/// Branches that are deployed, the first one wins if both are pushed at once.
const DEPLOYED: [&str; 2] = ["refs/heads/main", "refs/heads/master"];

impl Platform {
    /// Decides each update; at most one is built.
    pub(super) async fn push(
        &self,
        session: &Session,
        updates: Vec<RefUpdate>,
        mut output: BuildOutput,
        line: &AppLine,
    ) -> Vec<RefResult> {
        let deployed = DEPLOYED
            .iter()
            .find_map(|name| updates.iter().find(|u| u.name == **name))
            .map(|u| u.name.clone());
        let mut results = Vec::new();
        for update in updates {
            let outcome = if Some(&update.name) == deployed.as_ref() {
                self.push_deployed(session, &update, &mut output, line).await
            } else {
                let branch = update.name.trim_start_matches("refs/heads/");
                let commit = (!is_none(&update.new)).then_some(update.new.as_str());
                if commit.is_some() {
                    output.line(&format!(
                        "Pushed to {branch}: stored, not built. Only main or master is deployed."
                    ));
                    output.line(&format!("Deploy it with: git push windlass {branch}:main"));
                }
                if let Some(said) = self.branch_pushed(&session.user, &session.app, branch, commit)
                {
                    output.line(&said);
                }
                RefOutcome::Stored
            };
            results.push(RefResult { name: update.name, outcome });
        }
        let taken = |one: &RefResult| !matches!(one.outcome, RefOutcome::Refused { .. });
        if results.iter().any(taken) {
            self.record_activity(Activity {
                at: now_ms(),
                user: session.user.id,
                email: session.user.email.clone(),
                token: session.origin.login.clone(),
                app: Some((session.app.id, session.app.name.to_string())),
                action: "git push".to_owned(),
                address: session.origin.address.map(|address| address.to_string()),
                request: None,
            });
        }
        results
    }

    async fn push_deployed(
        &self,
        session: &Session,
        update: &RefUpdate,
        output: &mut BuildOutput,
        line: &AppLine,
    ) -> RefOutcome {
        if is_none(&update.new) {
            output.error("The deployed branch cannot be deleted; destroy the app instead.");
            return refused("the deployed branch cannot be deleted");
        }
        let turn = match line.turn.try_lock() {
            Ok(turn) => turn,
            Err(_) => {
                output.heading("Another push to this app is being built; waiting for its turn...");
                line.turn.lock().await
            }
        };
        let outcome = self.deploy_update(session, update, output).await;
        drop(turn);
        outcome
    }

    async fn deploy_update(
        &self,
        session: &Session,
        update: &RefUpdate,
        output: &mut BuildOutput,
    ) -> RefOutcome {
        let repository = repository::repository_path(self.settings(), session.app.id);
        let repository_text = repository.display().to_string();
        let now = repository::branch_commit(&repository_text, &update.name).await;
        // Another push was deployed while this one waited: go on from there, if it does.
        let old = now.clone().unwrap_or_else(|| "0".repeat(update.new.len()));
        if old != update.old
            && !is_none(&old)
            && !repository::is_ancestor(&repository_text, &old, &update.new).await
        {
            output.error(&format!(
                "{} moved to {} while this push waited.",
                update.name,
                short(&old)
            ));
            output.error("Fetch it, bring your work up to date, and push again.");
            return refused("fetch first");
        }
        let source = Source::Commit { repository, commit: update.new.clone() };
        let mut timings = Timings::default();
        let job = match self.begin_build(&session.user, &session.app, source.version()) {
            Ok(job) => job,
            Err(error) => {
                self.explain_failure(session, &error, output);
                return refused("push rejected, see above");
            }
        };
        output.keep_in(&self.build_output_file(&job.build));
        let deployed = job
            .unless_canceled(self.build_and_release(session, &job, &source, output, &mut timings))
            .await;
        let after = match deployed {
            Ok(after) => after,
            Err(error) => {
                self.explain_failure(session, &error, output);
                return refused("push rejected, see above");
            }
        };
        if let Err(error) =
            repository::move_branch(&repository_text, &update.name, &update.new, &old).await
        {
            tracing::error!(app = %session.app.name, %error, "a branch could not be moved after its release");
            output.error("The release is live, but the branch could not be moved: push again.");
            return refused("the branch could not be moved");
        }
        timings.stop();
        self.keep_timings(session, &timings);
        let _ = self.run_after_deploy(&session.app, after, output).await;
        output.line("");
        output.line("Verifying deploy... done.");
        RefOutcome::Moved { old }
    }

    /// From a source to a release that is served; returns what is to run then.
    pub(super) async fn build_and_release(
        &self,
        session: &Session,
        job: &BuildJob,
        source: &Source,
        output: &mut BuildOutput,
        timings: &mut Timings,
    ) -> Result<AfterDeploy, PlatformError> {
        output.line("Compressing source files... done.");
        output.line("Building source:");
        output.line("");
        let built = self.build_source(&session.app, job, source, output, timings).await?;
        output.heading("Launching...");
        timings.start("release");
        let _turn = self.release_turn(&session.app).await;
        let first = self.is_first_deploy(&session.app)?;
        let manifest = built.manifest;
        let new = NewRelease {
            app: session.app.id,
            description: match source.version() {
                Some(version) => format!("Deploy {}", short(version)),
                None => "Deploy".to_owned(),
            },
            user: session.user.id,
            build: Some(built.build.id),
            image: Some(built.image),
            config_vars: manifest.config_vars_of_release(first, self.config_vars(&session.app)?),
            processes: built.processes,
            manifest: manifest.of_release(),
            commit: source.version().map(str::to_owned),
        };
        timings.stop();
        let deployed = self
            .release_and_deploy_with(
                &session.user,
                &session.app,
                ReleaseRequest { new, even_if_broken: false },
                manifest.deploy_options(first, output),
            )
            .await?;
        let release = deployed.release;
        timings.add_stages(&deployed.stages.map(|(stage, ms)| (stage.to_owned(), ms)).into());
        timings.start("finish");
        output.detail(&format!("Released v{}", release.version));
        if let Some(canary) = &deployed.canary {
            output.detail(&format!(
                "It is a canary and gets {} % of the requests. End it with windlass deploys:promote or deploys:abort.",
                canary.percent
            ));
        } else if self.deploys(&session.app)?.settings.strategy == Strategy::Canary {
            output.detail("It is no canary: that needs web processes in both releases, and no volume that only one may write.");
        }
        let app = self.store().app(session.app.id)?.unwrap_or_else(|| session.app.clone());
        output.detail(&format!("{} deployed to Windlass", self.app_url(&app)));
        self.hint_at_scaling(&release.processes, session, output);
        Ok(AfterDeploy { scripts: manifest.scripts_after(first), release })
    }

    /// A first deploy without a web process runs nothing: say so.
    pub(super) fn hint_at_scaling(
        &self,
        processes: &std::collections::BTreeMap<windlass_core::names::ProcessType, String>,
        session: &Session,
        output: &mut BuildOutput,
    ) {
        let running = self
            .store()
            .formation(session.app.id)
            .is_ok_and(|formation| formation.iter().any(|f| f.quantity > 0));
        if processes.is_empty() {
            output.line("");
            output.error("No process types: nothing runs. Add a Procfile, for example `web: python3 server.py`.");
        } else if !running {
            let first = processes.keys().next().map_or("worker", |process| process.as_str());
            output.line("");
            output.error(&format!(
                "Nothing runs yet. Start some with: windlass ps:scale {first}=1 --app {}",
                session.app.name
            ));
        }
    }

    fn explain_failure(&self, session: &Session, error: &PlatformError, output: &mut BuildOutput) {
        self.explain(session, error, output);
        output.line("");
        output.line("Verifying deploy....");
        output.line("");
        output.line(&format!(" !\tPush rejected to {}.", session.app.name));
    }

    /// Says why there is no new release.
    pub(super) fn explain(
        &self,
        session: &Session,
        error: &PlatformError,
        output: &mut BuildOutput,
    ) {
        match error {
            PlatformError::Internal(..) => {
                tracing::error!(app = %session.app.name, error = error as &dyn std::error::Error, "a push failed");
                output.error(&error.to_string());
            }
            PlatformError::ReleaseFailed(reason) => {
                output.line("");
                output.error(&format!("The new release did not come up: {reason}"));
                output.error("");
                let before = self.current_release(&session.app);
                match before.is_ok_and(|release| release.image.is_some()) {
                    true => output.error("The release before it goes on serving."),
                    false => output.error("Nothing else is deployed yet: the app serves nothing."),
                }
                output.error(&format!("More of its log: windlass logs -a {}", session.app.name));
            }
            // The builder's own words came already.
            other if other.to_string().is_empty() => {}
            other => output.error(&other.to_string()),
        }
    }

    pub(super) fn keep_timings(&self, session: &Session, timings: &Timings) {
        let Some(build) = timings.build else { return };
        let directory =
            self.settings().data_directory.join("builds").join(session.app.id.to_string());
        let Ok(json) = serde_json::to_vec(timings) else { return };
        if let Err(error) = std::fs::write(directory.join(format!("{build}.timings.json")), json) {
            tracing::warn!(%error, "the timings of a push could not be kept");
        }
    }
}

fn refused(reason: &str) -> RefOutcome {
    RefOutcome::Refused { reason: reason.to_owned() }
}

fn is_none(id: &str) -> bool {
    id.bytes().all(|byte| byte == b'0')
}

fn short(commit: &str) -> &str {
    commit.get(..8).unwrap_or(commit)
}
