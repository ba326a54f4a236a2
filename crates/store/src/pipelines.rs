//! Pipelines: their apps, what was promoted, and their config vars.

mod promotions;
mod review_apps;
mod setups;

pub use promotions::{Promotion, PromotionTarget};
pub use review_apps::{ReviewApp, ReviewAppConfig, ReviewAppStatus};
pub use setups::AppSetup;

use crate::{Result, Store, StoreError, parsed, taken};
use rusqlite::{OptionalExtension, Row, params};
use std::collections::BTreeMap;
use uuid::Uuid;
use windlass_core::ids::{AppId, CouplingId, PipelineId};
use windlass_core::names::PipelineName;
use windlass_core::pipeline::Stage;

/// Who a pipeline belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PipelineOwner {
    pub id: Uuid,
    pub kind: OwnerKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerKind {
    User,
    Team,
}

impl OwnerKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Team => "team",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    pub id: PipelineId,
    pub name: PipelineName,
    pub owner: PipelineOwner,
    /// The URL of the repository that its review apps come from, if it has one of its own.
    pub repository: Option<String>,
    pub created_at: u64,
    pub updated_at: u64,
}

/// An app's place in a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coupling {
    pub id: CouplingId,
    pub pipeline: PipelineId,
    pub app: AppId,
    pub stage: Stage,
    pub created_at: u64,
    pub updated_at: u64,
}

fn pipeline(row: &Row<'_>) -> rusqlite::Result<Pipeline> {
    let kind = match row.get::<_, String>("owner_type")?.as_str() {
        "team" => OwnerKind::Team,
        _ => OwnerKind::User,
    };
    Ok(Pipeline {
        id: parsed(row, "id")?,
        name: parsed(row, "name")?,
        owner: PipelineOwner { id: parsed(row, "owner")?, kind },
        repository: row.get("repository")?,
        created_at: row.get::<_, i64>("created_at")? as u64,
        updated_at: row.get::<_, i64>("updated_at")? as u64,
    })
}

fn coupling(row: &Row<'_>) -> rusqlite::Result<Coupling> {
    Ok(Coupling {
        id: parsed(row, "id")?,
        pipeline: parsed(row, "pipeline")?,
        app: parsed(row, "app")?,
        stage: parsed(row, "stage")?,
        created_at: row.get::<_, i64>("created_at")? as u64,
        updated_at: row.get::<_, i64>("updated_at")? as u64,
    })
}

impl Store {
    /// Stores a new pipeline, or what has changed of one.
    pub fn save_pipeline(&self, pipeline: &Pipeline) -> Result<()> {
        self.connection()
            .execute(
                "INSERT INTO pipelines (id, name, owner, owner_type, repository, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (id) DO UPDATE SET name = ?2, owner = ?3, owner_type = ?4,
                    repository = ?5, updated_at = ?7",
                params![
                    pipeline.id.to_string(),
                    pipeline.name.as_str(),
                    pipeline.owner.id.to_string(),
                    pipeline.owner.kind.as_str(),
                    pipeline.repository,
                    pipeline.created_at as i64,
                    pipeline.updated_at as i64
                ],
            )
            .map_err(taken(&format!("Name {}", pipeline.name)))?;
        Ok(())
    }

    /// Returns every pipeline by name.
    pub fn pipelines(&self) -> Result<Vec<Pipeline>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT * FROM pipelines ORDER BY name")?;
        let rows = statement.query_map([], pipeline)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub fn pipeline(&self, id: PipelineId) -> Result<Option<Pipeline>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT * FROM pipelines WHERE id = ?1")?;
        Ok(statement.query_row([id.to_string()], pipeline).optional()?)
    }

    pub fn pipeline_by_name(&self, name: &str) -> Result<Option<Pipeline>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT * FROM pipelines WHERE name = ?1")?;
        Ok(statement.query_row([name], pipeline).optional()?)
    }

    /// Deletes a pipeline with all that is only of it; its apps stay.
    pub fn delete_pipeline(&self, id: PipelineId) -> Result<()> {
        self.connection().execute("DELETE FROM pipelines WHERE id = ?1", [id.to_string()])?;
        Ok(())
    }

    /// Puts an app into a pipeline, or into another stage of it. An app is in one pipeline at most.
    pub fn save_coupling(&self, coupling: &Coupling) -> Result<()> {
        self.connection()
            .execute(
                "INSERT INTO pipeline_couplings (id, pipeline, app, stage, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (id) DO UPDATE SET stage = ?4, updated_at = ?6",
                params![
                    coupling.id.to_string(),
                    coupling.pipeline.to_string(),
                    coupling.app.to_string(),
                    coupling.stage.as_str(),
                    coupling.created_at as i64,
                    coupling.updated_at as i64
                ],
            )
            .map_err(taken("The app's place in a pipeline"))?;
        Ok(())
    }

    pub fn delete_coupling(&self, id: CouplingId) -> Result<()> {
        let connection = self.connection();
        connection.execute("DELETE FROM pipeline_couplings WHERE id = ?1", [id.to_string()])?;
        Ok(())
    }

    /// Returns all couplings, those of one pipeline together, oldest first.
    pub fn couplings(&self) -> Result<Vec<Coupling>> {
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached("SELECT * FROM pipeline_couplings ORDER BY pipeline, created_at, id")?;
        let rows = statement.query_map([], coupling)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub fn couplings_of(&self, pipeline: PipelineId) -> Result<Vec<Coupling>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM pipeline_couplings WHERE pipeline = ?1 ORDER BY created_at, id",
        )?;
        let rows = statement.query_map([pipeline.to_string()], coupling)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub fn coupling(&self, id: CouplingId) -> Result<Option<Coupling>> {
        self.one_coupling("SELECT * FROM pipeline_couplings WHERE id = ?1", &id.to_string())
    }

    pub fn coupling_of_app(&self, app: AppId) -> Result<Option<Coupling>> {
        self.one_coupling("SELECT * FROM pipeline_couplings WHERE app = ?1", &app.to_string())
    }

    fn one_coupling(&self, query: &str, id: &str) -> Result<Option<Coupling>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(query)?;
        Ok(statement.query_row([id], coupling).optional()?)
    }

    /// Returns the config vars of the apps that are made in a stage.
    pub fn stage_config_vars(
        &self,
        pipeline: PipelineId,
        stage: Stage,
    ) -> Result<BTreeMap<String, String>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT config_vars FROM pipeline_config_vars WHERE pipeline = ?1 AND stage = ?2",
        )?;
        let sealed: Option<Vec<u8>> = statement
            .query_row([&pipeline.to_string(), stage.as_str()], |row| row.get(0))
            .optional()?;
        let Some(sealed) = sealed else { return Ok(BTreeMap::new()) };
        let plain = self.key.open(&sealed)?;
        serde_json::from_slice(&plain).map_err(|error| StoreError::Unreadable(error.to_string()))
    }

    pub fn set_stage_config_vars(
        &self,
        pipeline: PipelineId,
        stage: Stage,
        config_vars: &BTreeMap<String, String>,
    ) -> Result<()> {
        let plain = serde_json::to_vec(config_vars)
            .map_err(|error| StoreError::Unreadable(error.to_string()))?;
        self.connection().execute(
            "INSERT INTO pipeline_config_vars (pipeline, stage, config_vars) VALUES (?1, ?2, ?3)
             ON CONFLICT (pipeline, stage) DO UPDATE SET config_vars = ?3",
            params![pipeline.to_string(), stage.as_str(), self.key.seal(&plain)?],
        )?;
        Ok(())
    }

    /// Returns the secret of a pipeline's git webhook, if it has one.
    pub fn pipeline_webhook_secret(&self, id: PipelineId) -> Result<Option<String>> {
        let secret = self.sealed_of_pipeline("webhook_secret", id)?;
        let text = |bytes| {
            String::from_utf8(bytes).map_err(|error| StoreError::Unreadable(error.to_string()))
        };
        secret.map(text).transpose()
    }

    /// Sets it; `None` removes the webhook.
    pub fn set_pipeline_webhook_secret(&self, id: PipelineId, secret: Option<&str>) -> Result<()> {
        let sealed = secret.map(|secret| self.key.seal(secret.as_bytes())).transpose()?;
        self.connection().execute(
            "UPDATE pipelines SET webhook_secret = ?2 WHERE id = ?1",
            params![id.to_string(), sealed],
        )?;
        Ok(())
    }

    /// Returns the seed of the key that opens a pipeline's repository, if one was made.
    pub fn pipeline_deploy_key(&self, id: PipelineId) -> Result<Option<Vec<u8>>> {
        self.sealed_of_pipeline("deploy_key", id)
    }

    /// Stores the seed unless there is one; returns the one that it has now.
    pub fn add_pipeline_deploy_key(&self, id: PipelineId, seed: &[u8]) -> Result<Vec<u8>> {
        self.connection().execute(
            "UPDATE pipelines SET deploy_key = ?2 WHERE id = ?1 AND deploy_key IS NULL",
            params![id.to_string(), self.key.seal(seed)?],
        )?;
        Ok(self.pipeline_deploy_key(id)?.unwrap_or_default())
    }

    fn sealed_of_pipeline(&self, column: &str, id: PipelineId) -> Result<Option<Vec<u8>>> {
        let query = match column {
            "deploy_key" => "SELECT deploy_key FROM pipelines WHERE id = ?1",
            _ => "SELECT webhook_secret FROM pipelines WHERE id = ?1",
        };
        let connection = self.connection();
        let mut statement = connection.prepare_cached(query)?;
        let sealed: Option<Option<Vec<u8>>> =
            statement.query_row([id.to_string()], |row| row.get(0)).optional()?;
        sealed.flatten().map(|sealed| self.key.open(&sealed)).transpose()
    }
}

#[cfg(test)]
mod tests;
