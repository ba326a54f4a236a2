//! Builds: from a source to an image, or to a reason why not.

use crate::{Result, Status, Store, json, parsed, parsed_optional, to_json};
use rusqlite::{OptionalExtension, Row, params};
use windlass_core::ids::{AppId, BuildId, Digest, UserId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    pub id: BuildId,
    pub app: AppId,
    pub user: UserId,
    pub status: Status,
    /// The full hexadecimal name of the commit.
    pub commit: Option<String>,
    /// The buildpack's own name, for example `Python`.
    pub buildpack: Option<String>,
    /// Names and URLs of the buildpacks that were used, in order.
    pub buildpacks: Vec<String>,
    pub image: Option<Digest>,
    /// Bytes of the app's layer, uncompressed.
    pub image_size: Option<u64>,
    pub failure: Option<String>,
    pub created_at: u64,
    pub updated_at: u64,
}

fn build(row: &Row<'_>) -> rusqlite::Result<Build> {
    Ok(Build {
        id: parsed(row, "id")?,
        app: parsed(row, "app")?,
        user: parsed(row, "user")?,
        status: Status::from_column(&row.get::<_, String>("status")?),
        commit: row.get("commit_id")?,
        buildpack: row.get("buildpack")?,
        buildpacks: json(row, "buildpacks")?,
        image: parsed_optional(row, "image")?,
        image_size: row.get::<_, Option<i64>>("image_size")?.map(|size| size as u64),
        failure: row.get("failure")?,
        created_at: row.get::<_, i64>("created_at")? as u64,
        updated_at: row.get::<_, i64>("updated_at")? as u64,
    })
}

impl Store {
    /// Inserts a build or replaces the one with its id.
    pub fn save_build(&self, build: &Build) -> Result<()> {
        self.connection().execute(
            "INSERT INTO builds (id, app, user, status, commit_id, buildpack, image, image_size, failure, created_at, updated_at, buildpacks)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT (id) DO UPDATE SET status = ?4, buildpack = ?6, image = ?7, image_size = ?8, failure = ?9, updated_at = ?11, buildpacks = ?12",
            params![
                build.id.to_string(),
                build.app.to_string(),
                build.user.to_string(),
                build.status.as_str(),
                build.commit,
                build.buildpack,
                build.image.as_ref().map(|image| image.as_str()),
                build.image_size.map(|size| size as i64),
                build.failure,
                build.created_at as i64,
                build.updated_at as i64,
                to_json(&build.buildpacks)?
            ],
        )?;
        Ok(())
    }

    pub fn build(&self, app: AppId, id: BuildId) -> Result<Option<Build>> {
        Ok(self
            .connection()
            .query_row(
                "SELECT * FROM builds WHERE app = ?1 AND id = ?2",
                [app.to_string(), id.to_string()],
                build,
            )
            .optional()?)
    }

    /// Returns the newest builds of an app, newest first.
    pub fn builds(&self, app: AppId, limit: u32) -> Result<Vec<Build>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM builds WHERE app = ?1 ORDER BY created_at DESC, rowid DESC LIMIT ?2",
        )?;
        let builds = statement
            .query_map(params![app.to_string(), limit], build)?
            .collect::<rusqlite::Result<_>>()?;
        Ok(builds)
    }

    /// Marks builds that a stopped server left behind as failed. Returns how many.
    pub fn fail_pending_builds(&self, reason: &str, now: u64) -> Result<usize> {
        Ok(self.connection().execute(
            "UPDATE builds SET status = 'failed', failure = ?1, updated_at = ?2 WHERE status = 'pending'",
            params![reason, now as i64],
        )?)
    }
}
