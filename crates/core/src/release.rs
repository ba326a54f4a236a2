//! What a new release means for the formation.

use crate::app_json::{CronJob, Script};
use crate::checks::Checks;
use crate::dyno_metadata::DynoMetadata;
use crate::ids::{Digest, SlugId};
use crate::names::ProcessType;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a release says about how it is run, beside its image and process types.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct ReleaseManifest {
    pub checks: Checks,
    pub cron: Vec<CronJob>,
    /// What runs before the app is destroyed, if it is a review app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predestroy: Option<Script>,
    /// Images of process types that do not run the release's own: those that were pushed to the
    /// registry one by one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<ProcessType, Digest>,
    /// The slug that was released, if it is not that of the release's build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slug: Option<SlugId>,
    /// What its processes are told about it.
    #[serde(skip_serializing_if = "DynoMetadata::is_none")]
    pub metadata: DynoMetadata,
}

/// Returns the formation that goes with a release's process types: quantities are kept, a `web`
/// that was not there before gets 1, other new types 0, and types that vanished are dropped
/// (Heroku's rule).
#[must_use]
pub fn formation_for<'a>(
    processes: impl Iterator<Item = &'a ProcessType>,
    before: &BTreeMap<ProcessType, u32>,
) -> BTreeMap<ProcessType, u32> {
    processes
        .map(|process| {
            let default = u32::from(process.is_web());
            (process.clone(), before.get(process).copied().unwrap_or(default))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_quantities_and_drops_what_vanished() {
        let process = |name: &str| name.parse::<ProcessType>().unwrap();
        let before = BTreeMap::from([(process("worker"), 3), (process("old"), 1)]);
        let types = [process("web"), process("worker"), process("clock")];
        assert_eq!(
            formation_for(types.iter(), &before),
            BTreeMap::from([(process("web"), 1), (process("worker"), 3), (process("clock"), 0)])
        );
    }
}
