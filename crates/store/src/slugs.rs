//! Slugs that clients send. Those of builds are kept as builds.

use crate::{Result, Store, json, parsed, parsed_optional, to_json};
use rusqlite::{OptionalExtension, Row, params};
use std::collections::BTreeMap;
use windlass_core::ids::{AppId, Digest, SlugId, UserId};
use windlass_core::names::ProcessType;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slug {
    pub id: SlugId,
    pub app: AppId,
    pub user: UserId,
    /// Process types and their commands.
    pub processes: BTreeMap<ProcessType, String>,
    pub commit: Option<String>,
    pub commit_description: Option<String>,
    /// `SHA256:` and 64 hexadecimal digits, as its sender said.
    pub checksum: Option<String>,
    /// What built it, in its sender's words.
    pub buildpack: Option<String>,
    /// Bytes of the archive; `None` until it was sent.
    pub size: Option<u64>,
    /// What it became when it was first released.
    pub image: Option<Digest>,
    pub created_at: u64,
    pub updated_at: u64,
}

fn slug(row: &Row<'_>) -> rusqlite::Result<Slug> {
    Ok(Slug {
        id: parsed(row, "id")?,
        app: parsed(row, "app")?,
        user: parsed(row, "user")?,
        processes: json(row, "processes")?,
        commit: row.get("commit_id")?,
        commit_description: row.get("commit_description")?,
        checksum: row.get("checksum")?,
        buildpack: row.get("buildpack")?,
        size: row.get::<_, Option<i64>>("size")?.map(|size| size as u64),
        image: parsed_optional(row, "image")?,
        created_at: row.get::<_, i64>("created_at")? as u64,
        updated_at: row.get::<_, i64>("updated_at")? as u64,
    })
}

impl Store {
    /// Stores a slug; one with the same identifier is replaced.
    pub fn save_slug(&self, slug: &Slug) -> Result<()> {
        self.connection().execute(
            "INSERT OR REPLACE INTO slugs (id, app, user, processes, commit_id, commit_description, checksum, buildpack, size, image, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                slug.id.to_string(),
                slug.app.to_string(),
                slug.user.to_string(),
                to_json(&slug.processes)?,
                slug.commit,
                slug.commit_description,
                slug.checksum,
                slug.buildpack,
                slug.size.map(|size| size as i64),
                slug.image.as_ref().map(Digest::as_str),
                slug.created_at as i64,
                slug.updated_at as i64
            ],
        )?;
        Ok(())
    }

    pub fn slug(&self, id: SlugId) -> Result<Option<Slug>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT * FROM slugs WHERE id = ?1")?;
        Ok(statement.query_row([id.to_string()], slug).optional()?)
    }

    /// Forgets slugs that were made before `before` and never released.
    pub fn drop_unreleased_slugs(&self, before: u64) -> Result<Vec<SlugId>> {
        let connection = self.connection();
        let mut statement = connection
            .prepare("DELETE FROM slugs WHERE image IS NULL AND created_at < ?1 RETURNING id")?;
        let dropped = statement.query_map([before as i64], |row| parsed(row, "id"))?;
        Ok(dropped.collect::<rusqlite::Result<_>>()?)
    }
}
