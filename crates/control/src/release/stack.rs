//! Stacks: what apps run on. `container` is that of apps that bring their own images.

use crate::platform::now_ms;
use crate::records::{App, Release, User};
use crate::{Platform, PlatformError, Result};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use windlass_core::ids::Digest;

/// The stack of apps that buildpacks build.
pub const BUILDPACK_STACK: &str = "debian-12";
/// The stack of apps that bring their own images.
pub const CONTAINER_STACK: &str = "container";

/// Which images bring their own processes, as far as it was asked: an image never changes.
#[derive(Default)]
pub(crate) struct Stacks(Mutex<HashMap<Digest, bool>>);

impl Platform {
    /// Returns the stack that an app was deployed on; before the first deploy the one it is to be.
    pub fn stack(&self, app: &App) -> Result<&'static str> {
        let release = self.current_release(app)?;
        match &release.image {
            Some(_) => Ok(self.stack_of(&release)),
            None => self.build_stack(app),
        }
    }

    /// Returns the stack that the next deploy is for.
    pub fn build_stack(&self, app: &App) -> Result<&'static str> {
        if self.wants_container(app)? {
            return Ok(CONTAINER_STACK);
        }
        // A Dockerfile is built without being asked for.
        Ok(self.stack_of(&self.current_release(app)?))
    }

    /// Whether somebody chose the stack `container`.
    pub(crate) fn wants_container(&self, app: &App) -> Result<bool> {
        let app = self.store().app(app.id)?.ok_or(PlatformError::NotFound { resource: "app" })?;
        Ok(app.deploys.build_stack.as_deref() == Some(CONTAINER_STACK))
    }

    /// Chooses the stack of the next deploy. With `container` a source must have a Dockerfile.
    pub fn set_build_stack(&self, user: &User, app: &App, stack: &str) -> Result<()> {
        let container = stack == CONTAINER_STACK;
        let chosen = container.then(|| CONTAINER_STACK.to_owned());
        self.store().update_deploys(app.id, now_ms(), |deploys| deploys.build_stack = chosen)?;
        let name = if container { CONTAINER_STACK } else { BUILDPACK_STACK };
        let line = format!("Set stack to {name} by user {}", user.email);
        self.logs().append(app.id, "app[api]", &line);
        Ok(())
    }

    pub(crate) fn stack_of(&self, release: &Release) -> &'static str {
        if release.manifest.images.is_empty() {
            self.stack_of_image(release.image.as_ref())
        } else {
            CONTAINER_STACK
        }
    }

    /// Returns the stack of an image, or of a build that has none.
    #[must_use]
    pub fn stack_of_image(&self, image: Option<&Digest>) -> &'static str {
        let brings_its_own = image.is_some_and(|image| self.is_container(image));
        if brings_its_own { CONTAINER_STACK } else { BUILDPACK_STACK }
    }

    fn is_container(&self, image: &Digest) -> bool {
        let Stacks(known) = self.stacks();
        let known = || known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(image) {
            return *found;
        }
        let Ok(resolved) = self.images().resolve(image) else { return false };
        let found = crate::run::container_image::is_marked(&resolved.config);
        known().insert(image.clone(), found);
        found
    }
}
