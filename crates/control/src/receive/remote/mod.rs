//! Sources that are fetched from another repository: at a branch, tag or commit, and then built as
//! if they were pushed.

mod access;
mod deploy_key;
mod fetch;
mod pipeline;
mod refs;
pub mod ssh;
mod url;

use super::setup::Done;
use super::{Session, repository};
use crate::build::{BuildJob, BuildOutput, Source, Timings};
use crate::records::{App, Build, GitCredential, GitSource, User};
use crate::settings::Settings;
use crate::{Platform, PlatformError, Result};
use access::Access;
use deploy_key::DeployKey;
use refs::Wanted;
use std::future::Future;
use std::path::PathBuf;
use url::{RemoteUrl, Transport};

/// The branch that a fetched source is kept as.
const BRANCH: &str = "refs/heads/main";
/// A user name that hosts take with a token, unless they want a certain one.
const USERNAME: &str = "git";

/// What is to be fetched.
#[derive(Clone, Debug, Default)]
pub struct SyncRequest {
    /// `None`: as the last time.
    pub url: Option<String>,
    /// A branch, tag or commit. `None`: the default branch, or without a URL as the last time.
    pub reference: Option<String>,
    /// Do nothing if the app's `main` is there already.
    pub if_changed: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Sync {
    pub source: GitSource,
    pub commit: String,
    /// `None` if nothing has changed.
    pub build: Option<Build>,
}

/// Removes what an earlier run left behind.
pub(crate) fn clear_fetches(settings: &Settings) {
    for directory in [access::secrets_directory(settings), fetch_directory(settings)] {
        if let Err(error) = std::fs::remove_dir_all(&directory)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(directory = %directory.display(), %error, "left behind by a fetch");
        }
    }
}

fn fetch_directory(settings: &Settings) -> PathBuf {
    settings.data_directory.join("fetches")
}

impl Platform {
    /// Looks up what is to be fetched and, if anything is, starts to fetch, build and deploy it;
    /// returns the pending build.
    ///
    /// # Errors
    /// `Invalid` if the URL or the name cannot be used, or the remote does not answer for it. What
    /// goes wrong later is in the build's output.
    pub async fn sync_git(&self, user: &User, app: &App, request: SyncRequest) -> Result<Sync> {
        let (sync, work) = self.begin_sync(user, app, request).await?;
        if let Some(work) = work {
            tokio::spawn(work);
        }
        Ok(sync)
    }

    /// The same; the work is done by whoever awaits it.
    pub(super) async fn begin_sync(
        &self,
        user: &User,
        app: &App,
        request: SyncRequest,
    ) -> Result<(Sync, Option<impl Future<Output = Done> + Send + use<>>)> {
        let if_changed = request.if_changed;
        let source = self.source_of(app, request)?;
        let url = RemoteUrl::parse(&source.url)?;
        let access = self.access(user, app, &url)?;
        let wanted = fetch::look_up(&url, source.reference.as_deref(), &access).await?;
        self.store().set_git_source(app.id, &source)?;
        let path = repository::repository_path(self.settings(), app.id).display().to_string();
        let now = repository::branch_commit(&path, BRANCH).await;
        let commit = wanted.commit.clone();
        if if_changed && now.as_ref() == Some(&commit) {
            return Ok((Sync { source, commit, build: None }, None));
        }
        let job = self.begin_build(user, app, Some(&commit))?;
        let build = Some(job.build.clone());
        let fetch = Fetch {
            platform: self.clone(),
            session: Session::without_git(user, app),
            url,
            wanted,
            access,
        };
        Ok((Sync { source, commit, build }, Some(fetch.deploy(job))))
    }

    fn source_of(&self, app: &App, request: SyncRequest) -> Result<GitSource> {
        let source = match request.url {
            Some(url) => {
                GitSource { url: RemoteUrl::parse(&url)?.text, reference: request.reference }
            }
            None => {
                let known = self.git_source(app)?.ok_or_else(no_source)?;
                GitSource { reference: request.reference.or(known.reference), ..known }
            }
        };
        source.reference.as_deref().map_or(Ok(()), url::check_reference)?;
        Ok(source)
    }

    fn access(&self, user: &User, app: &App, url: &RemoteUrl) -> Result<Access> {
        match &url.transport {
            Transport::Http { origin } => {
                let credentials = self.tokens_for(user, app)?;
                let credential = credentials.iter().find(|known| known.origin == *origin);
                Access::new(self.settings(), credential, None)
            }
            Transport::Ssh => Access::new(self.settings(), None, Some(&self.deploy_key(app)?)),
        }
    }

    /// Returns where the app's source was fetched from last.
    pub fn git_source(&self, app: &App) -> Result<Option<GitSource>> {
        Ok(self.store().git_source(app.id)?)
    }

    /// Returns the public half of the app's deploy key, which is made when it is first asked for.
    pub fn deploy_key_line(&self, app: &App) -> Result<String> {
        Ok(self.deploy_key(app)?.public_line())
    }

    fn deploy_key(&self, app: &App) -> Result<DeployKey> {
        let seed = match self.store().deploy_key(app.id)? {
            Some(seed) => seed,
            None => self.store().add_deploy_key(app.id, &deploy_key::new_seed())?,
        };
        DeployKey::new(&seed, format!("{}@windlass", app.name)).ok_or_else(|| {
            PlatformError::Internal("the app's deploy key cannot be used".to_owned(), None)
        })
    }

    /// Returns the hosts that a user has tokens for, with the user names that go with them.
    pub fn git_hosts(&self, user: &User) -> Result<Vec<(String, String)>> {
        let credentials = self.store().git_credentials(user.id)?.into_iter();
        Ok(credentials.map(|known| (known.origin, known.username)).collect())
    }

    /// Stores a token for a host; returns the host as it is kept.
    pub fn set_git_token(
        &self,
        user: &User,
        host: &str,
        username: Option<&str>,
        token: &str,
    ) -> Result<String> {
        let origin = url::parse_origin(host)?;
        let username = username.unwrap_or(USERNAME);
        let plain = |text: &str| !text.is_empty() && text.chars().all(|c| !c.is_control());
        if !plain(token) || !plain(username) || username.contains(':') {
            return Err(PlatformError::Invalid(
                "A token is one line, and so is its user name, which has no colon.".to_owned(),
            ));
        }
        let credential = GitCredential {
            origin: origin.clone(),
            username: username.to_owned(),
            token: token.to_owned(),
        };
        self.store().set_git_credential(user.id, &credential)?;
        tracing::info!(user = user.email, host = origin, "stored a token for a git host");
        Ok(origin)
    }

    pub fn remove_git_token(&self, user: &User, host: &str) -> Result<()> {
        let removed = self.store().delete_git_credential(user.id, &url::parse_origin(host)?)?;
        if removed { Ok(()) } else { Err(PlatformError::NotFound { resource: "git credential" }) }
    }
}

pub(super) fn no_source() -> PlatformError {
    PlatformError::Invalid(
        "No repository is known for this app yet: name it once with `windlass git:sync URL [REF]`."
            .to_owned(),
    )
}

/// One fetch, from the remote to the release.
struct Fetch {
    platform: Platform,
    session: Session,
    url: RemoteUrl,
    wanted: Wanted,
    access: Access,
}

impl Fetch {
    async fn deploy(self, job: BuildJob) -> Done {
        let (platform, session) = (&self.platform, &self.session);
        let mut output = BuildOutput::to_nobody();
        output.keep_in(&platform.build_output_file(&job.build));
        let mut timings = Timings::default();
        let done = job.unless_canceled(self.work(&job, &mut output, &mut timings)).await;
        timings.stop();
        platform.keep_timings(session, &timings);
        platform.finish(session, done, &mut output).await
    }

    async fn work(
        &self,
        job: &BuildJob,
        output: &mut BuildOutput,
        timings: &mut Timings,
    ) -> Result<crate::release::AfterDeploy> {
        let (platform, session) = (&self.platform, &self.session);
        let (settings, commit) = (platform.settings(), self.wanted.commit.clone());
        output.heading(&format!("Fetching {}", self.url.text));
        let repository = repository::repository_path(settings, session.app.id);
        let parent = fetch_directory(settings);
        fetch::fetch(&self.url, &self.wanted, &self.access, &repository, &parent).await?;
        output.detail(&format!("{} is at {commit}", self.shown_name()));
        let line = platform.receiver().line_of(session.app.id);
        let _turn = match line.turn.try_lock() {
            Ok(turn) => turn,
            Err(_) => {
                output.heading("Another build of this app is under way; waiting for its turn...");
                line.turn.lock().await
            }
        };
        let repository_text = repository.display().to_string();
        let now = repository::branch_commit(&repository_text, BRANCH).await;
        let old = now.unwrap_or_else(|| "0".repeat(commit.len()));
        let source = Source::Commit { repository, commit: commit.clone() };
        let after = platform.build_and_release(session, job, &source, output, timings).await?;
        if let Err(error) = repository::move_branch(&repository_text, BRANCH, &commit, &old).await {
            tracing::error!(app = %session.app.name, %error, "a branch could not be moved after its release");
            output.error("The release is live, but main could not be moved: sync again.");
        }
        Ok(after)
    }

    fn shown_name(&self) -> &str {
        let name = &self.wanted.name;
        let short = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/"));
        match name.as_str() {
            "HEAD" => "The default branch",
            name => short.unwrap_or(name),
        }
    }
}
