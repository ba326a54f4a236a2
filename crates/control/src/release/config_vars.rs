//! Config vars: part of a release, so that going back brings them back.

use super::ReleaseRequest;
use crate::records::{App, NewRelease, User};
use crate::{Platform, PlatformError, Result};
use std::collections::BTreeMap;
use windlass_core::limits;
use windlass_core::names::ConfigVarName;

impl Platform {
    /// Returns the config vars of the current release.
    pub fn config_vars(&self, app: &App) -> Result<BTreeMap<String, String>> {
        Ok(self.current_release(app)?.config_vars)
    }

    /// Sets and removes (`None`) config vars. Makes a release if anything changes, and returns once
    /// it is current. A release that does not come up is refused if it would replace one that works.
    pub async fn update_config_vars(
        &self,
        user: &User,
        app: &App,
        changes: BTreeMap<String, Option<String>>,
    ) -> Result<BTreeMap<String, String>> {
        let _turn = self.release_turn(app).await;
        let current = self.current_release(app)?;
        let mut config_vars = current.config_vars.clone();
        let (mut set, mut removed) = (Vec::new(), Vec::new());
        for (name, value) in changes {
            match value {
                Some(value) => {
                    name.parse::<ConfigVarName>()?;
                    check_value(&name, &value)?;
                    if config_vars.insert(name.clone(), value.clone()) != Some(value) {
                        set.push(name);
                    }
                }
                None => {
                    if config_vars.remove(&name).is_some() {
                        removed.push(name);
                    }
                }
            }
        }
        if set.is_empty() && removed.is_empty() {
            return Ok(config_vars);
        }
        check_size(&config_vars)?;
        let new = NewRelease {
            app: app.id,
            description: describe(&set, &removed),
            user: user.id,
            build: current.build,
            image: current.image,
            config_vars: config_vars.clone(),
            processes: current.processes,
            manifest: current.manifest,
            commit: current.commit,
        };
        self.release_and_deploy(user, app, ReleaseRequest { new, even_if_broken: true }).await?;
        Ok(config_vars)
    }
}

/// Refuses a value that no environment can hold.
pub(crate) fn check_value(name: &str, value: &str) -> Result<()> {
    if value.contains('\0') {
        return Err(PlatformError::Invalid(format!(
            "The value of {name} contains a NUL byte, which no environment can hold."
        )));
    }
    Ok(())
}

/// Refuses config vars that take more than their limit together.
pub(crate) fn check_size(config_vars: &BTreeMap<String, String>) -> Result<()> {
    let bytes: usize = config_vars.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > limits::CONFIG_VARS_BYTES {
        let (is, limit) = (bytes.div_ceil(1024), limits::CONFIG_VARS_BYTES / 1024);
        return Err(PlatformError::Invalid(format!(
            "Config vars would take {is} kB together; the limit is {limit} kB."
        )));
    }
    Ok(())
}

/// Heroku's descriptions: `Set FOO, BAR config vars`, `Remove FOO config vars`.
fn describe(set: &[String], removed: &[String]) -> String {
    match (set.is_empty(), removed.is_empty()) {
        (false, true) => format!("Set {} config vars", set.join(", ")),
        (true, _) => format!("Remove {} config vars", removed.join(", ")),
        (false, false) => {
            format!("Set {}, remove {} config vars", set.join(", "), removed.join(", "))
        }
    }
}
