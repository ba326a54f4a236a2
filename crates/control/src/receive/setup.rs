//! Sources of apps that the platform sets up itself: what is built, and what came of it.

use super::remote::SyncRequest;
use super::{Session, SourceRequest, git, repository};
use crate::build::{BuildJob, BuildOutput, Source, Timings};
use crate::records::{App, User};
use crate::release::{AfterDeploy, ScriptEnded};
use crate::{Platform, PlatformError, Result};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use windlass_core::ids::{AppId, BuildId};

/// The branch that the commit of another app's repository is kept as.
const BRANCH: &str = "refs/heads/main";
/// How long a commit may take from one repository to another of this server.
const COPY_LIMIT: Duration = Duration::from_secs(120);

/// What an app is set up with.
#[derive(Clone, Debug)]
pub(crate) enum SetupSource {
    Archive(SourceRequest),
    /// Of a repository that the server fetches.
    Branch {
        url: String,
        branch: String,
    },
    /// Of another app's repository.
    Commit {
        from: AppId,
        commit: String,
    },
}

/// What came of a build and its deploy.
pub(crate) struct Done {
    /// Why there is no new release; `None` if there is one.
    pub failure: Option<String>,
    /// How the last script after the deploy ended, if one ran.
    pub postdeploy: Option<ScriptEnded>,
}

/// A build that was begun: it goes on while this is awaited.
pub(crate) type Building = Pin<Box<dyn Future<Output = Done> + Send>>;

impl Platform {
    /// Begins to build and deploy a source.
    pub(crate) async fn begin_setup_build(
        &self,
        user: &User,
        app: &App,
        source: SetupSource,
    ) -> Result<(BuildId, Building)> {
        match source {
            SetupSource::Archive(request) => {
                let (build, work) = self.begin_archive(user, app, request)?;
                Ok((build.id, Box::pin(work)))
            }
            SetupSource::Branch { url, branch } => {
                let reference = Some(branch);
                let request = SyncRequest { url: Some(url), reference, if_changed: false };
                let (sync, work) = self.begin_sync(user, app, request).await?;
                let missing = || PlatformError::NotFound { resource: "build" };
                let build = sync.build.ok_or_else(missing)?;
                Ok((build.id, Box::pin(work.ok_or_else(missing)?)))
            }
            SetupSource::Commit { from, commit } => {
                let job = self.begin_build(user, app, Some(&commit))?;
                let session = Session::without_git(user, app);
                let (platform, build) = (self.clone(), job.build.id);
                let work = async move { platform.deploy_copy(&session, &job, from, &commit).await };
                Ok((build, Box::pin(work)))
            }
        }
    }

    async fn deploy_copy(
        &self,
        session: &Session,
        job: &BuildJob,
        from: AppId,
        commit: &str,
    ) -> Done {
        let mut output = BuildOutput::to_nobody();
        output.keep_in(&self.build_output_file(&job.build));
        let mut timings = Timings::default();
        let work = self.build_copy(session, job, from, commit, &mut output, &mut timings);
        let done = job.unless_canceled(work).await;
        timings.stop();
        self.keep_timings(session, &timings);
        self.finish(session, done, &mut output).await
    }

    async fn build_copy(
        &self,
        session: &Session,
        job: &BuildJob,
        from: AppId,
        commit: &str,
        output: &mut BuildOutput,
        timings: &mut Timings,
    ) -> Result<AfterDeploy> {
        let line = self.receiver().line_of(session.app.id);
        let _turn = line.turn.lock().await;
        let path = repository::repository_path(self.settings(), session.app.id);
        let repository = path.display().to_string();
        let from = repository::repository_path(self.settings(), from).display().to_string();
        copy_commit(&from, commit, &repository).await?;
        let old = repository::branch_commit(&repository, BRANCH).await;
        let old = old.unwrap_or_else(|| "0".repeat(commit.len()));
        let source = Source::Commit { repository: path, commit: commit.to_owned() };
        let after = self.build_and_release(session, job, &source, output, timings).await?;
        if let Err(error) = repository::move_branch(&repository, BRANCH, commit, &old).await {
            tracing::error!(app = %session.app.name, %error, "a branch could not be moved after its release");
        }
        Ok(after)
    }

    /// Runs the scripts after a deploy, or says why there was none.
    pub(super) async fn finish(
        &self,
        session: &Session,
        done: Result<AfterDeploy>,
        output: &mut BuildOutput,
    ) -> Done {
        match done {
            Ok(after) => {
                let postdeploy = self.run_after_deploy(&session.app, after, output).await;
                Done { failure: None, postdeploy }
            }
            Err(error) => {
                self.explain(session, &error, output);
                let mut said = error.to_string();
                if said.is_empty() {
                    // The builder's own words are in its output.
                    said = "The build failed: its output says why.".to_owned();
                }
                Done { failure: Some(said), postdeploy: None }
            }
        }
    }
}

/// Copies a commit with its history to another repository; no ref is left there.
async fn copy_commit(from: &str, commit: &str, to: &str) -> Result<()> {
    // A name of its own for each copy: two may go on at once.
    let name = format!("refs/windlass/{}", crate::access::random_secret());
    let refspec = format!("{commit}:{name}");
    let failed = |error| PlatformError::internal("a commit could not be copied", error);
    let push = ["--git-dir", from, "push", "--quiet", "--no-verify", "--", to, &refspec];
    let environment = [("GIT_ALLOW_PROTOCOL", "file")];
    git::run(&push, &environment, COPY_LIMIT).await.map_err(failed)?;
    let forget = ["--git-dir", to, "update-ref", "-d", &name];
    git::run(&forget, &[], COPY_LIMIT).await.map(drop).map_err(failed)
}
