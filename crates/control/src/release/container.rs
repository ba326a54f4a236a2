//! Releases of images that were pushed to the registry: each process type may have its own.

use super::{DeployOptions, ReleaseRequest};
use crate::records::{App, NewRelease, Release, User};
use crate::{Platform, PlatformError, Result};
use std::collections::BTreeMap;
use windlass_core::access::Permission;
use windlass_core::ids::Digest;
use windlass_core::names::ProcessType;
use windlass_core::release::ReleaseManifest;

/// What becomes of a process type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageChange {
    /// It runs the pushed image with this identifier: the digest of its config or manifest.
    Release(Digest),
    /// It is taken out of the app.
    Remove,
}

impl Platform {
    /// Makes one release of pushed images, with the current config vars, and returns once it is
    /// current. Process types that were released like this before and are not named stay; those
    /// that were built go. A `release` type runs as release phase.
    pub async fn release_containers(
        &self,
        user: &User,
        app: &App,
        changes: BTreeMap<ProcessType, ImageChange>,
    ) -> Result<Release> {
        self.require(user, app, Permission::Deploy)?;
        self.refuse_if_locked(app)?;
        let mut described = Vec::new();
        let _turn = self.release_turn(app).await;
        let current = self.current_release(app)?;
        let mut images = current.manifest.images.clone();
        let mut processes = current.processes.clone();
        processes.retain(|process, _| images.contains_key(process));
        for (process, change) in changes {
            match change {
                ImageChange::Release(id) => {
                    let (image, command) = self.pushed_image(app, &process, &id).await?;
                    images.insert(process.clone(), image);
                    processes.insert(process.clone(), command);
                    described.push(format!("{process} ({})", &id.hex()[..12]));
                }
                ImageChange::Remove => {
                    if images.remove(&process).is_none() {
                        return Err(not_pushed(app, &process));
                    }
                    processes.remove(&process);
                    described.push(format!("{process} (removed)"));
                }
            }
        }
        let web = images.get(&ProcessType::web()).or_else(|| images.values().next()).cloned();
        let new = NewRelease {
            app: app.id,
            description: format!("Deployed {}", described.join(", ")),
            user: user.id,
            build: None,
            // One-off commands run on it.
            image: web.or(current.image),
            config_vars: current.config_vars,
            processes,
            manifest: ReleaseManifest { images, ..ReleaseManifest::default() },
            commit: None,
        };
        let options = DeployOptions { may_be_canary: true, ..DeployOptions::default() };
        let request = ReleaseRequest { new, even_if_broken: false };
        Ok(self.release_and_deploy_with(user, app, request, options).await?.release)
    }

    /// Returns a pushed image of an app, and how it is run.
    async fn pushed_image(
        &self,
        app: &App,
        process: &ProcessType,
        id: &Digest,
    ) -> Result<(Digest, String)> {
        let pushed = self.store().pushed_manifests(app.id)?;
        let mut matching: Vec<_> =
            pushed.iter().filter(|p| p.config.as_ref() == Some(id) || p.digest == *id).collect();
        matching.sort_by_key(|pushed| (pushed.image.is_none(), pushed.process != *process));
        let found = *matching.first().ok_or_else(|| {
            PlatformError::Invalid(format!(
                "No image {id} was pushed for {process} of {0}: push it to {0}/{process} first.",
                app.name
            ))
        })?;
        let Some(image) = &found.image else {
            return Err(PlatformError::Invalid(self.why_not_run(found)));
        };
        if self.images().resolve(image).is_err() {
            return Err(PlatformError::Invalid(format!(
                "The image that was pushed for {process} is no longer kept: push it again."
            )));
        }
        let (image, mut of_web) = self.processes_of(image.clone()).await?;
        let command = of_web.remove(&ProcessType::web()).unwrap_or_default();
        Ok((image, command))
    }
}

fn not_pushed(app: &App, process: &ProcessType) -> PlatformError {
    PlatformError::Invalid(format!(
        "{} has no process type {process} of a pushed image that could be removed.",
        app.name
    ))
}
