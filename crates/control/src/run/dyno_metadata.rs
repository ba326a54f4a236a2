//! Which variables about itself a process gets.

use super::views::instance_uuid;
use crate::records::{App, Release, User};
use crate::{Platform, Result};
use windlass_core::dyno_metadata::{About, DynoMetadata};
use windlass_core::instance::InstanceSpec;

impl Platform {
    /// Chooses what releases tell from the next one on; those that are made keep what they have.
    pub(crate) async fn choose_metadata(
        &self,
        user: &User,
        app: &App,
        choose: impl FnOnce(&mut DynoMetadata),
    ) -> Result<()> {
        self.change_deploys(app, |deploys| choose(&mut deploys.metadata)).await?;
        self.log_change(app, user, "Update dyno metadata");
        Ok(())
    }

    /// Adds the variables that the release tells. Config vars of the same name stay.
    pub(super) fn add_metadata(&self, spec: &mut InstanceSpec, app: &App, release: &Release) {
        if release.manifest.metadata.is_none() {
            return;
        }
        let about = About {
            app: app.id,
            app_name: app.name.as_str(),
            default_host: &self.default_hostname(app),
            dyno: instance_uuid(&spec.id),
            release: release.version,
            released_at: release.created_at,
            commit: release.commit.as_deref(),
        };
        for (name, value) in release.manifest.metadata.variables(&about) {
            spec.environment.entry(name.to_owned()).or_insert(value);
        }
    }
}
