//! What was pushed to the registry: manifests, tags, and which repository may use which blob.

use crate::{Result, Store, parsed, parsed_optional};
use rusqlite::{OptionalExtension, Row, params};
use std::collections::{BTreeMap, BTreeSet};
use windlass_core::ids::{AppId, Digest};
use windlass_core::names::ProcessType;

/// A manifest in the repository of one process type of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedManifest {
    pub app: AppId,
    pub process: ProcessType,
    pub digest: Digest,
    pub media_type: String,
    /// The manifest as it was pushed.
    pub document: Vec<u8>,
    /// Of the image's config, by which clients name an image. Of an index it is the config of the
    /// image that is for this server.
    pub config: Option<Digest>,
    /// What it became in the image store; `None` if this server cannot run it.
    pub image: Option<Digest>,
    pub pushed_at: u64,
}

fn manifest(row: &Row<'_>) -> rusqlite::Result<PushedManifest> {
    Ok(PushedManifest {
        app: parsed(row, "app")?,
        process: parsed(row, "process")?,
        digest: parsed(row, "digest")?,
        media_type: row.get("media_type")?,
        document: row.get("document")?,
        config: parsed_optional(row, "config")?,
        image: parsed_optional(row, "image")?,
        pushed_at: row.get::<_, i64>("pushed_at")? as u64,
    })
}

impl Store {
    /// Stores a manifest, and points a tag at it if one is given.
    pub fn save_pushed_manifest(&self, new: &PushedManifest, tag: Option<&str>) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let (app, process, digest) =
            (new.app.to_string(), new.process.as_str(), new.digest.as_str());
        transaction.execute(
            "INSERT INTO registry_manifests (app, process, digest, media_type, document, config, image, pushed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (app, process, digest) DO UPDATE SET media_type = ?4, config = ?6, image = ?7, pushed_at = ?8",
            params![
                app,
                process,
                digest,
                new.media_type,
                new.document,
                new.config.as_ref().map(Digest::as_str),
                new.image.as_ref().map(Digest::as_str),
                new.pushed_at as i64
            ],
        )?;
        if let Some(tag) = tag {
            transaction.execute(
                "INSERT INTO registry_tags (app, process, tag, digest, updated_at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (app, process, tag) DO UPDATE SET digest = ?4, updated_at = ?5",
                params![app, process, tag, digest, new.pushed_at as i64],
            )?;
        }
        Ok(transaction.commit()?)
    }

    pub fn pushed_manifest(
        &self,
        app: AppId,
        process: &ProcessType,
        digest: &Digest,
    ) -> Result<Option<PushedManifest>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM registry_manifests WHERE app = ?1 AND process = ?2 AND digest = ?3",
        )?;
        let key = params![app.to_string(), process.as_str(), digest.as_str()];
        Ok(statement.query_row(key, manifest).optional()?)
    }

    /// Returns an app's manifests, the newest first.
    pub fn pushed_manifests(&self, app: AppId) -> Result<Vec<PushedManifest>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM registry_manifests WHERE app = ?1 ORDER BY pushed_at DESC, digest",
        )?;
        let found = statement.query_map([app.to_string()], manifest)?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    pub fn delete_pushed_manifest(
        &self,
        app: AppId,
        process: &ProcessType,
        digest: &Digest,
    ) -> Result<bool> {
        let removed = self.connection().execute(
            "DELETE FROM registry_manifests WHERE app = ?1 AND process = ?2 AND digest = ?3",
            params![app.to_string(), process.as_str(), digest.as_str()],
        )?;
        Ok(removed > 0)
    }

    /// Returns a repository's tags and what they point at.
    pub fn registry_tags(
        &self,
        app: AppId,
        process: &ProcessType,
    ) -> Result<BTreeMap<String, Digest>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT tag, digest FROM registry_tags WHERE app = ?1 AND process = ?2",
        )?;
        let found = statement.query_map(params![app.to_string(), process.as_str()], |row| {
            Ok((row.get("tag")?, parsed(row, "digest")?))
        })?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    pub fn delete_registry_tag(
        &self,
        app: AppId,
        process: &ProcessType,
        tag: &str,
    ) -> Result<bool> {
        let removed = self.connection().execute(
            "DELETE FROM registry_tags WHERE app = ?1 AND process = ?2 AND tag = ?3",
            params![app.to_string(), process.as_str(), tag],
        )?;
        Ok(removed > 0)
    }

    /// Notes that a repository may use a blob, and that it is used now.
    pub fn save_registry_blob(
        &self,
        app: AppId,
        process: &ProcessType,
        digest: &Digest,
        size: u64,
        now: u64,
    ) -> Result<()> {
        self.connection().execute(
            "INSERT INTO registry_blobs (app, process, digest, size, used_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (app, process, digest) DO UPDATE SET used_at = ?5",
            params![app.to_string(), process.as_str(), digest.as_str(), size as i64, now as i64],
        )?;
        Ok(())
    }

    /// Returns the size of a blob that a repository may use, in bytes.
    pub fn registry_blob(
        &self,
        app: AppId,
        process: &ProcessType,
        digest: &Digest,
    ) -> Result<Option<u64>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT size FROM registry_blobs WHERE app = ?1 AND process = ?2 AND digest = ?3",
        )?;
        let key = params![app.to_string(), process.as_str(), digest.as_str()];
        let size: Option<i64> = statement.query_row(key, |row| row.get(0)).optional()?;
        Ok(size.map(|size| size as u64))
    }

    /// Returns manifests without a tag that were pushed before `before` and of which no index has
    /// them.
    pub fn untagged_manifests(&self, before: u64) -> Result<Vec<PushedManifest>> {
        let connection = self.connection();
        let mut statement = connection.prepare(
            "SELECT * FROM registry_manifests WHERE pushed_at < ?1 AND NOT EXISTS (
                SELECT 1 FROM registry_tags WHERE registry_tags.app = registry_manifests.app
                    AND registry_tags.process = registry_manifests.process
                    AND registry_tags.digest = registry_manifests.digest)
                AND NOT EXISTS (
                SELECT 1 FROM registry_manifests AS other WHERE other.app = registry_manifests.app
                    AND other.process = registry_manifests.process
                    AND other.digest <> registry_manifests.digest
                    AND instr(CAST(other.document AS TEXT), registry_manifests.digest) > 0)",
        )?;
        let found = statement.query_map([before as i64], manifest)?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    /// Takes blobs that were last used before `before` from repositories of which no manifest has
    /// them; returns all blobs that some repository still may use.
    pub fn drop_unused_registry_blobs(&self, before: u64) -> Result<BTreeSet<Digest>> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        transaction.execute(
            "DELETE FROM registry_blobs WHERE used_at < ?1 AND NOT EXISTS (
                SELECT 1 FROM registry_manifests WHERE registry_manifests.app = registry_blobs.app
                    AND registry_manifests.process = registry_blobs.process
                    AND instr(CAST(registry_manifests.document AS TEXT), registry_blobs.digest) > 0)",
            [before as i64],
        )?;
        let used = transaction
            .prepare("SELECT DISTINCT digest FROM registry_blobs")?
            .query_map([], |row| parsed(row, "digest"))?
            .collect::<rusqlite::Result<_>>()?;
        transaction.commit()?;
        Ok(used)
    }
}
