//! Features of apps, as Heroku's: what each of them is here.

use crate::records::{App, User};
use crate::{Platform, PlatformError, Result};
use std::collections::BTreeMap;
use windlass_core::deploy_settings::Strategy;
use windlass_core::feature::{AppFeature, AppFeatureKind};

impl Platform {
    /// Returns the features of apps, each with whether this app has it.
    pub fn app_features(&self, app: &App) -> Result<Vec<(&'static AppFeature, bool)>> {
        let features = AppFeature::ALL.iter();
        features.map(|feature| Ok((feature, self.has_feature(app, feature)?))).collect()
    }

    fn has_feature(&self, app: &App, feature: &AppFeature) -> Result<bool> {
        Ok(match feature.kind {
            AppFeatureKind::Preboot => self.deploys(app)?.settings.strategy != Strategy::Recreate,
            AppFeatureKind::SessionAffinity => {
                self.routing_settings(app)?.over(&self.settings().routing).is_sticky()
            }
            AppFeatureKind::Exec => true,
            AppFeatureKind::RuntimeMetadata => self.deploys(app)?.metadata.runtime,
            AppFeatureKind::BuildMetadata => self.deploys(app)?.metadata.build,
        })
    }

    /// Switches a feature; one that is always on cannot be switched off.
    pub async fn set_app_feature(
        &self,
        user: &User,
        app: &App,
        feature: &AppFeature,
        enabled: bool,
    ) -> Result<()> {
        if self.has_feature(app, feature)? == enabled {
            return Ok(());
        }
        match feature.kind {
            AppFeatureKind::Preboot => {
                let mut settings = self.deploys(app)?.settings;
                settings.strategy = if enabled { Strategy::Rolling } else { Strategy::Recreate };
                self.set_deploy_settings(user, app, settings).await?;
            }
            AppFeatureKind::SessionAffinity => {
                let value = if enabled { "on" } else { "off" };
                let sticky = BTreeMap::from([("sticky".to_owned(), Some(value.to_owned()))]);
                self.set_routing(user, app, sticky).await?;
            }
            AppFeatureKind::RuntimeMetadata | AppFeatureKind::BuildMetadata => {
                let is_runtime = feature.kind == AppFeatureKind::RuntimeMetadata;
                self.choose_metadata(user, app, |metadata| {
                    let chosen =
                        if is_runtime { &mut metadata.runtime } else { &mut metadata.build };
                    *chosen = enabled;
                })
                .await?;
            }
            AppFeatureKind::Exec => {
                return Err(PlatformError::Invalid(format!(
                    "{} is always on here: it needs nothing in the app, and only who may operate the app can use it.",
                    feature.name
                )));
            }
        }
        Ok(())
    }
}
