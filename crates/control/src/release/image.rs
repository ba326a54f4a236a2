//! Releases of images that were not built from a push.

use super::{DeployOptions, ReleaseRequest};
use crate::records::{App, NewRelease, Release, User};
use crate::{Platform, PlatformError, Result};
use std::collections::BTreeMap;
use windlass_core::ids::Digest;
use windlass_core::names::ProcessType;
use windlass_core::release::ReleaseManifest;

impl Platform {
    /// Makes a release of an image that is in the store, with the current config vars, and returns
    /// once it is current.
    pub async fn release_image(
        &self,
        user: &User,
        app: &App,
        image: Digest,
        processes: BTreeMap<ProcessType, String>,
        description: &str,
    ) -> Result<Release> {
        if self.images().resolve(&image).is_err() {
            return Err(PlatformError::Invalid(format!(
                "There is no image {image} on this server."
            )));
        }
        self.refuse_if_locked(app)?;
        let _turn = self.release_turn(app).await;
        let new = NewRelease {
            app: app.id,
            description: description.to_owned(),
            user: user.id,
            build: None,
            image: Some(image),
            config_vars: self.config_vars(app)?,
            processes,
            manifest: ReleaseManifest::default(),
            commit: None,
        };
        let request = ReleaseRequest { new, even_if_broken: false };
        let options = DeployOptions { may_be_canary: true, ..DeployOptions::default() };
        Ok(self.release_and_deploy_with(user, app, request, options).await?.release)
    }
}
