//! Review apps, and whether a pipeline makes them by itself.

use crate::{Result, Store, parsed, parsed_optional};
use rusqlite::{OptionalExtension, Row, params};
use windlass_core::ids::{AppId, AppSetupId, PipelineId, ReviewAppId, UserId};

/// How far a review app has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewAppStatus {
    Pending,
    Creating,
    Created,
    Deleting,
    Deleted,
    Errored,
}

impl ReviewAppStatus {
    const ALL: [Self; 6] = [
        Self::Pending,
        Self::Creating,
        Self::Created,
        Self::Deleting,
        Self::Deleted,
        Self::Errored,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
            Self::Errored => "errored",
        }
    }

    fn from_column(text: &str) -> Self {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        found.unwrap_or(Self::Errored)
    }
}

/// An app of one branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewApp {
    pub id: ReviewAppId,
    pub pipeline: PipelineId,
    pub branch: String,
    /// The number of its pull request, if somebody told it.
    pub request: Option<u64>,
    pub creator: UserId,
    /// `None` before it is made and after it is destroyed.
    pub app: Option<AppId>,
    pub setup: Option<AppSetupId>,
    pub status: ReviewAppStatus,
    /// What went wrong, when something did.
    pub message: Option<String>,
    pub created_at: u64,
    pub updated_at: u64,
}

/// Whether a pipeline makes and destroys review apps by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewAppConfig {
    pub pipeline: PipelineId,
    /// One for every branch that is pushed.
    pub automatic: bool,
    pub destroy_stale: bool,
    /// After so many days without a deploy one is stale.
    pub stale_days: u32,
    /// What their names begin with in place of the pipeline's.
    pub base_name: Option<String>,
}

fn review_app(row: &Row<'_>) -> rusqlite::Result<ReviewApp> {
    Ok(ReviewApp {
        id: parsed(row, "id")?,
        pipeline: parsed(row, "pipeline")?,
        branch: row.get("branch")?,
        request: row.get::<_, Option<i64>>("request")?.map(|number| number as u64),
        creator: parsed(row, "creator")?,
        app: parsed_optional(row, "app")?,
        setup: parsed_optional(row, "setup")?,
        status: ReviewAppStatus::from_column(&row.get::<_, String>("status")?),
        message: row.get("message")?,
        created_at: row.get::<_, i64>("created_at")? as u64,
        updated_at: row.get::<_, i64>("updated_at")? as u64,
    })
}

impl Store {
    /// Stores a new review app, or how far one has come.
    pub fn save_review_app(&self, review: &ReviewApp) -> Result<()> {
        self.connection().execute(
            "INSERT INTO review_apps (id, pipeline, branch, request, creator, app, setup, status, message, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (id) DO UPDATE SET app = ?6, setup = ?7, status = ?8, message = ?9, updated_at = ?11",
            params![
                review.id.to_string(),
                review.pipeline.to_string(),
                review.branch,
                review.request.map(|number| number as i64),
                review.creator.to_string(),
                review.app.map(|app| app.to_string()),
                review.setup.map(|setup| setup.to_string()),
                review.status.as_str(),
                review.message,
                review.created_at as i64,
                review.updated_at as i64
            ],
        )?;
        Ok(())
    }

    pub fn review_app(&self, id: ReviewAppId) -> Result<Option<ReviewApp>> {
        self.one_review_app("SELECT * FROM review_apps WHERE id = ?1", &id.to_string())
    }

    pub fn review_app_of(&self, app: AppId) -> Result<Option<ReviewApp>> {
        self.one_review_app("SELECT * FROM review_apps WHERE app = ?1", &app.to_string())
    }

    fn one_review_app(&self, query: &str, id: &str) -> Result<Option<ReviewApp>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(query)?;
        Ok(statement.query_row([id], review_app).optional()?)
    }

    /// Returns a pipeline's review apps that are not deleted, oldest first.
    pub fn review_apps(&self, pipeline: PipelineId) -> Result<Vec<ReviewApp>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM review_apps WHERE pipeline = ?1 AND status <> 'deleted'
             ORDER BY created_at, id",
        )?;
        let rows = statement.query_map([pipeline.to_string()], review_app)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Marks review apps that a stopped server left half made as errored, and those whose app is
    /// gone as deleted. Returns how many.
    pub fn settle_review_apps(&self, reason: &str, now: u64) -> Result<usize> {
        Ok(self.connection().execute(
            "UPDATE review_apps SET updated_at = ?2,
                message = CASE WHEN status IN ('pending', 'creating') THEN ?1 ELSE message END,
                status = CASE WHEN status IN ('pending', 'creating') OR app IS NOT NULL
                    THEN 'errored' ELSE 'deleted' END
             WHERE status IN ('pending', 'creating', 'deleting')
                OR (app IS NULL AND status = 'created')",
            params![reason, now as i64],
        )?)
    }

    pub fn review_app_config(&self, pipeline: PipelineId) -> Result<Option<ReviewAppConfig>> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT * FROM review_app_configs WHERE pipeline = ?1")?;
        let config = statement.query_row([pipeline.to_string()], |row| {
            Ok(ReviewAppConfig {
                pipeline: parsed(row, "pipeline")?,
                automatic: row.get("automatic")?,
                destroy_stale: row.get("destroy_stale")?,
                stale_days: row.get("stale_days")?,
                base_name: row.get("base_name")?,
            })
        });
        Ok(config.optional()?)
    }

    pub fn set_review_app_config(&self, config: &ReviewAppConfig) -> Result<()> {
        self.connection().execute(
            "INSERT INTO review_app_configs (pipeline, automatic, destroy_stale, stale_days, base_name)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (pipeline) DO UPDATE SET automatic = ?2, destroy_stale = ?3, stale_days = ?4, base_name = ?5",
            params![
                config.pipeline.to_string(),
                config.automatic,
                config.destroy_stale,
                config.stale_days,
                config.base_name
            ],
        )?;
        Ok(())
    }

    pub fn delete_review_app_config(&self, pipeline: PipelineId) -> Result<()> {
        let connection = self.connection();
        let query = "DELETE FROM review_app_configs WHERE pipeline = ?1";
        connection.execute(query, [pipeline.to_string()])?;
        Ok(())
    }
}
