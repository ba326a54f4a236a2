//! app.json: what an app says about itself, in Heroku's form and in Dokku's.

mod at;
mod cron;
mod environments;
mod sections;

pub use at::AppJsonError;

use crate::checks::Checks;
use crate::cron::CronSettings;
use crate::names::{ConfigVarName, CronName, ProcessType};
use at::At;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What app.json holds. Keys that have no meaning here are in [`AppJson::warnings`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppJson {
    pub env: BTreeMap<ConfigVarName, EnvEntry>,
    /// Quantities of process types.
    pub formation: BTreeMap<ProcessType, u32>,
    /// Names or URLs, in order.
    pub buildpacks: Vec<String>,
    pub stack: Option<String>,
    pub scripts: Scripts,
    /// Dokku's `healthchecks`.
    pub checks: Checks,
    pub cron: Vec<CronJob>,
    /// One line for each key that is not understood.
    pub warnings: Vec<String>,
}

/// A config var that the app wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvEntry {
    pub source: EnvSource,
    pub required: bool,
    pub description: Option<String>,
}

/// Where the value of a config var comes from when nobody has set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvSource {
    Value(String),
    /// A random one is made (`"generator": "secret"`).
    Secret,
    /// From nowhere: somebody must set it, if it is required.
    Nowhere,
}

/// Commands around a deploy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scripts {
    /// Before each release, on its image (`predeploy` or `dokku.predeploy`).
    pub predeploy: Option<Script>,
    /// Once, after the first deploy (Heroku's `postdeploy`).
    pub first_postdeploy: Option<Script>,
    /// After each deploy (`dokku.postdeploy`).
    pub postdeploy: Option<Script>,
    /// Before a review app is destroyed (Heroku's `pr-predestroy`).
    pub predestroy: Option<Script>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Script {
    pub command: String,
    /// Environment beside the config vars.
    pub env: BTreeMap<String, String>,
}

/// A command that is to run at times.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct CronJob {
    /// `None`: one is made from the command.
    #[serde(default)]
    pub name: Option<CronName>,
    #[serde(flatten)]
    pub settings: CronSettings,
}

impl AppJson {
    /// Parses the file's content.
    pub fn parse(bytes: &[u8]) -> Result<Self, AppJsonError> {
        Self::parse_in(bytes, None)
    }

    /// The same as it counts in one of the file's `environments` (`review`).
    pub fn parse_in(bytes: &[u8], environment: Option<&str>) -> Result<Self, AppJsonError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut root: Value = serde_json::from_slice(bytes)?;
        if let Some(environment) = environment {
            root = environments::overlaid(&root, environment)?;
        }
        sections::read(&At::root(&root))
    }

    /// Returns the config vars that must be set, are not, and have no value of their own.
    #[must_use]
    pub fn missing(&self, set: &BTreeMap<String, String>) -> Vec<&str> {
        self.env
            .iter()
            .filter(|(name, entry)| {
                entry.required
                    && entry.source == EnvSource::Nowhere
                    && !set.contains_key(name.as_str())
            })
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// Returns values for the config vars that nobody has set; `secret` makes one.
    pub fn defaults(
        &self,
        set: &BTreeMap<String, String>,
        mut secret: impl FnMut() -> String,
    ) -> BTreeMap<String, String> {
        self.env
            .iter()
            .filter(|(name, _)| !set.contains_key(name.as_str()))
            .filter_map(|(name, entry)| {
                let value = match &entry.source {
                    EnvSource::Value(value) => value.clone(),
                    EnvSource::Secret => secret(),
                    EnvSource::Nowhere => return None,
                };
                Some((name.as_str().to_owned(), value))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
