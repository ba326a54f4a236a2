//! What people chose for an app's deploys, and the canary that is under way.

use crate::{Result, Store, json, to_json};
use rusqlite::params;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use windlass_core::checks::Checks;
use windlass_core::deploy_settings::{CanaryState, DeployLock, DeploySettings};
use windlass_core::dyno_metadata::DynoMetadata;
use windlass_core::ids::AppId;
use windlass_core::names::ProcessType;
use windlass_core::process_limits::ProcessLimits;

#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Deploys {
    pub settings: DeploySettings,
    /// Whether the app was stopped as a whole: nothing of its formation runs.
    pub stopped: bool,
    pub lock: Option<DeployLock>,
    /// Checks in place of those of the release, by process type.
    pub checks: Checks,
    pub canary: Option<CanaryState>,
    /// Limits and sizes that somebody chose, by process type.
    pub limits: BTreeMap<ProcessType, ProcessLimits>,
    /// The stack that somebody chose for the next deploy: `container`.
    pub build_stack: Option<String>,
    /// What the next release tells its processes about itself.
    pub metadata: DynoMetadata,
}

impl Store {
    /// Changes the app's record in one transaction and returns what it is afterwards; `None` if
    /// there is no such app.
    pub fn update_deploys(
        &self,
        id: AppId,
        now: u64,
        change: impl FnOnce(&mut Deploys),
    ) -> Result<Option<Deploys>> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let found = transaction
            .prepare_cached("SELECT deploys FROM apps WHERE id = ?1")?
            .query_map([id.to_string()], |row| json::<Deploys>(row, "deploys"))?
            .next()
            .transpose()?;
        let Some(mut deploys) = found else { return Ok(None) };
        change(&mut deploys);
        transaction.execute(
            "UPDATE apps SET deploys = ?2, updated_at = ?3 WHERE id = ?1",
            params![id.to_string(), to_json(&deploys)?, now as i64],
        )?;
        transaction.commit()?;
        Ok(Some(deploys))
    }
}
