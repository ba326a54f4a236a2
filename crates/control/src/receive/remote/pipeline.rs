//! Repositories of pipelines: the same look-ups as for apps, with a key of the pipeline's own.

use super::access::Access;
use super::deploy_key::{self, DeployKey};
use super::url::{self, RemoteUrl, Transport};
use super::{App, fetch};
use crate::records::{GitCredential, OwnerKind, Pipeline, User};
use crate::{Platform, PlatformError, Result};
use windlass_core::pipeline::Stage;

impl Platform {
    /// Returns the URL as it is kept, and whether it is one of SSH, for which a key is needed.
    pub(crate) fn check_repository_url(&self, url: &str) -> Result<(String, bool)> {
        let parsed = RemoteUrl::parse(url)?;
        Ok((parsed.text, parsed.transport == Transport::Ssh))
    }

    /// Refuses what cannot be the name of a branch.
    pub(crate) fn check_branch(&self, branch: &str) -> Result<()> {
        url::check_reference(branch)
    }

    /// Returns the tokens that an app's source may be fetched with: those of the user, except for
    /// review apps of a team's pipeline. Its members choose the repository, and nobody's token is
    /// to open one to them that they could not open themselves.
    pub(super) fn tokens_for(&self, user: &User, app: &App) -> Result<Vec<GitCredential>> {
        let coupling = self.store().coupling_of_app(app.id)?;
        let coupling = coupling.filter(|coupling| coupling.stage == Stage::Review);
        let pipeline = coupling.map(|coupling| self.store().pipeline(coupling.pipeline));
        match pipeline.transpose()?.flatten() {
            Some(pipeline) if pipeline.owner.kind == OwnerKind::Team => Ok(Vec::new()),
            _ => Ok(self.store().git_credentials(user.id)?),
        }
    }

    /// Returns the commit of a branch in a repository elsewhere. Tokens are those of `user`; a
    /// team's pipeline has none.
    ///
    /// # Errors
    /// `Invalid` if there is no such branch, or the repository does not answer.
    pub(crate) async fn look_up_branch(
        &self,
        user: &User,
        pipeline: &Pipeline,
        url: &str,
        branch: Option<&str>,
    ) -> Result<String> {
        let url = RemoteUrl::parse(url)?;
        let access = match &url.transport {
            Transport::Http { origin } => {
                let credentials = match pipeline.owner.kind {
                    OwnerKind::User => self.store().git_credentials(user.id)?,
                    OwnerKind::Team => Vec::new(),
                };
                let credential = credentials.iter().find(|known| known.origin == *origin);
                Access::new(self.settings(), credential, None)?
            }
            Transport::Ssh => {
                Access::new(self.settings(), None, Some(&self.pipeline_key(pipeline)?))?
            }
        };
        let reference = branch.map(|branch| format!("refs/heads/{branch}"));
        let found = fetch::look_up(&url, reference.as_deref(), &access).await;
        match (found, branch) {
            (Err(PlatformError::Invalid(why)), Some(branch))
                if why.contains("has no branch or tag") =>
            {
                Err(PlatformError::Invalid(format!("The repository has no branch {branch}.")))
            }
            (found, _) => Ok(found?.commit),
        }
    }

    /// Returns the public half of a pipeline's deploy key, which is made when it is first asked
    /// for.
    pub fn pipeline_key_line(&self, pipeline: &Pipeline) -> Result<String> {
        Ok(self.pipeline_key(pipeline)?.public_line())
    }

    fn pipeline_key(&self, pipeline: &Pipeline) -> Result<DeployKey> {
        let seed = match self.store().pipeline_deploy_key(pipeline.id)? {
            Some(seed) => seed,
            None => self.store().add_pipeline_deploy_key(pipeline.id, &deploy_key::new_seed())?,
        };
        DeployKey::new(&seed, format!("{}@windlass", pipeline.name)).ok_or_else(|| {
            PlatformError::Internal("the pipeline's deploy key cannot be used".to_owned(), None)
        })
    }

    /// Gives a review app the key of its pipeline.
    pub(crate) fn lend_pipeline_key(&self, pipeline: &Pipeline, app: &App) -> Result<()> {
        if let Some(seed) = self.store().pipeline_deploy_key(pipeline.id)? {
            self.store().add_deploy_key(app.id, &seed)?;
        }
        Ok(())
    }
}
