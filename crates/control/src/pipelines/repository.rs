//! Where the source of review apps comes from: a repository that the pipeline is connected to, or
//! else that of its staging app.

use crate::platform::now_ms;
use crate::receive::{SetupSource, repository_path};
use crate::records::{App, OwnerKind, Pipeline, User};
use crate::{Platform, PlatformError, Result};
use windlass_core::ids::UserId;
use windlass_core::pipeline::Stage;

/// A repository as clients are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineRepository {
    /// `owner/name` of one elsewhere, the app's name of one here.
    pub full_name: String,
    pub url: String,
}

/// What a pipeline's branches are looked up in.
pub(super) enum Origin {
    Elsewhere(String),
    App(Box<App>),
}

impl Platform {
    /// Connects a pipeline to a repository elsewhere; `None` ends the connection. Returns the
    /// deploy key that opens it to this server, if its URL is one of SSH.
    ///
    /// # Errors
    /// `Invalid` for a URL that is not fetched.
    pub fn connect_pipeline(
        &self,
        user: &User,
        pipeline: &Pipeline,
        url: Option<&str>,
    ) -> Result<(Pipeline, Option<String>)> {
        self.require_pipeline(user, pipeline)?;
        let checked = url.map(|url| self.check_repository_url(url)).transpose()?;
        let (repository, by_ssh) = checked.unzip();
        let connected = Pipeline { repository, updated_at: now_ms(), ..pipeline.clone() };
        self.store().save_pipeline(&connected)?;
        let key = match by_ssh {
            Some(true) => Some(self.pipeline_key_line(&connected)?),
            _ => None,
        };
        Ok((connected, key))
    }

    pub(super) fn origin_of(&self, pipeline: &Pipeline) -> Result<Option<Origin>> {
        if let Some(url) = &pipeline.repository {
            return Ok(Some(Origin::Elsewhere(url.clone())));
        }
        let couplings = self.couplings_in(pipeline)?;
        let at = |stage| couplings.iter().find(|coupling| coupling.stage == stage);
        let Some(place) = at(Stage::Staging).or_else(|| at(Stage::Development)) else {
            return Ok(None);
        };
        Ok(self.store().app(place.app)?.map(|app| Origin::App(Box::new(app))))
    }

    /// Returns the repository that review apps come from.
    pub fn pipeline_repository(&self, pipeline: &Pipeline) -> Result<PipelineRepository> {
        match self.origin_of(pipeline)? {
            Some(Origin::Elsewhere(url)) => {
                Ok(PipelineRepository { full_name: full_name(&url), url })
            }
            Some(Origin::App(app)) => {
                Ok(PipelineRepository { full_name: app.name.to_string(), url: self.git_url(&app) })
            }
            None => Err(PlatformError::NotFound { resource: "repo" }),
        }
    }

    /// Returns the commit of a branch of that repository.
    ///
    /// # Errors
    /// `NotFound` if there is no such branch, `Invalid` if the repository does not answer.
    pub async fn pipeline_branch(&self, pipeline: &Pipeline, branch: &str) -> Result<String> {
        self.check_branch(branch)?;
        let missing = PlatformError::NotFound { resource: "branch" };
        match self.origin_of(pipeline)?.ok_or(PlatformError::NotFound { resource: "repo" })? {
            Origin::Elsewhere(url) => {
                let user = self.person_behind(pipeline)?;
                match self.look_up_branch(&user, pipeline, &url, Some(branch)).await {
                    Err(PlatformError::Invalid(why)) if why.contains("has no branch") => {
                        Err(missing)
                    }
                    other => other,
                }
            }
            Origin::App(app) => self.branch_of_app(&app, branch).await.ok_or(missing),
        }
    }

    async fn branch_of_app(&self, app: &App, branch: &str) -> Option<String> {
        let repository = repository_path(self.settings(), app.id).display().to_string();
        crate::receive::branch_commit(&repository, &format!("refs/heads/{branch}")).await
    }

    /// Returns what a review app of a branch is made of.
    pub(super) async fn source_of_branch(
        &self,
        pipeline: &Pipeline,
        branch: &str,
    ) -> Result<SetupSource> {
        let origin = self.origin_of(pipeline)?.ok_or_else(|| no_repository(pipeline))?;
        let commit = match self.pipeline_branch(pipeline, branch).await {
            Err(PlatformError::NotFound { .. }) => {
                return Err(PlatformError::Invalid(format!(
                    "The repository of {} has no branch {branch}.",
                    pipeline.name
                )));
            }
            other => other?,
        };
        Ok(match origin {
            Origin::Elsewhere(url) => SetupSource::Branch { url, branch: branch.to_owned() },
            Origin::App(app) => SetupSource::Commit { from: app.id, commit },
        })
    }

    /// Returns who a pipeline's own work is done for: its owner, or of a team's the owner of the
    /// server.
    pub(super) fn person_behind(&self, pipeline: &Pipeline) -> Result<User> {
        match pipeline.owner.kind {
            OwnerKind::User => self.user(UserId(pipeline.owner.id)),
            OwnerKind::Team => {
                self.store().owner()?.ok_or(PlatformError::NotFound { resource: "user" })
            }
        }
    }
}

fn no_repository(pipeline: &Pipeline) -> PlatformError {
    let name = &pipeline.name;
    PlatformError::Invalid(format!(
        "The pipeline {name} has no repository: connect one with `windlass pipelines:connect {name} --repo URL`, or add an app at the stage staging and push the branch to it."
    ))
}

/// Returns `owner/name` of a repository's URL.
fn full_name(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = match url.contains("://") {
        true => rest.split_once('/').map_or(rest, |(_, path)| path),
        false => rest.split_once(':').map_or(rest, |(_, path)| path),
    };
    path.trim_matches('/').trim_end_matches(".git").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_called_as_their_hosts_call_them() {
        for (url, name) in [
            ("https://github.com/acme/shop.git", "acme/shop"),
            ("https://gitlab.example.com/acme/web/shop", "acme/web/shop"),
            ("git@github.com:acme/shop.git", "acme/shop"),
            ("ssh://git@host:2222/shop/", "shop"),
        ] {
            assert_eq!(full_name(url), name, "{url}");
        }
    }
}
