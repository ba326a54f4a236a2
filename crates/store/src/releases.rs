//! Releases: immutable, numbered from 1 within an app. Only their status changes.

use crate::apps::scale_in;
use crate::{Result, Status, Store, StoreError, json, parsed, parsed_optional, to_json};
use rusqlite::{OptionalExtension, Row, params};
use std::collections::{BTreeMap, BTreeSet};
use windlass_core::ids::{AppId, BuildId, Digest, ReleaseId, SlugId, UserId};
use windlass_core::names::ProcessType;
use windlass_core::release::ReleaseManifest;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    pub id: ReleaseId,
    pub app: AppId,
    pub version: u32,
    pub status: Status,
    pub description: String,
    /// Why it failed, in words, when it did.
    pub failure: Option<String>,
    pub user: UserId,
    pub build: Option<BuildId>,
    /// `None` until something was deployed.
    pub image: Option<Digest>,
    pub config_vars: BTreeMap<String, String>,
    /// Process types and their commands.
    pub processes: BTreeMap<ProcessType, String>,
    pub manifest: ReleaseManifest,
    pub commit: Option<String>,
    pub created_at: u64,
    pub updated_at: u64,
}

impl Release {
    /// Returns the image that a process type runs: its own, else the release's.
    #[must_use]
    pub fn image_of(&self, process: &ProcessType) -> Option<&Digest> {
        self.manifest.images.get(process).or(self.image.as_ref())
    }

    /// Returns every image that the release needs.
    pub fn images(&self) -> impl Iterator<Item = &Digest> {
        self.image.iter().chain(self.manifest.images.values())
    }
}

/// What a release is made of; the store gives it its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRelease {
    pub app: AppId,
    pub description: String,
    pub user: UserId,
    pub build: Option<BuildId>,
    pub image: Option<Digest>,
    pub config_vars: BTreeMap<String, String>,
    pub processes: BTreeMap<ProcessType, String>,
    pub manifest: ReleaseManifest,
    pub commit: Option<String>,
}

impl Store {
    /// Stores a release as pending under the app's next number.
    pub fn insert_release(&self, new: &NewRelease, now: u64) -> Result<Release> {
        let config = serde_json::to_vec(&new.config_vars)
            .map_err(|e| StoreError::Unreadable(e.to_string()))?;
        let sealed = self.key.seal(&config)?;
        let id = ReleaseId::random();
        let version: u32 = self.connection().query_row(
            "INSERT INTO releases (id, app, version, status, description, user, build, image, config_vars, processes, manifest, commit_id, created_at, updated_at)
             VALUES (?1, ?2, (SELECT COALESCE(MAX(version), 0) + 1 FROM releases WHERE app = ?2), 'pending', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11)
             RETURNING version",
            params![
                id.to_string(),
                new.app.to_string(),
                new.description,
                new.user.to_string(),
                new.build.map(|build| build.to_string()),
                new.image.as_ref().map(Digest::as_str),
                sealed,
                to_json(&new.processes)?,
                to_json(&new.manifest)?,
                new.commit,
                now as i64
            ],
            |row| row.get(0),
        )?;
        Ok(Release {
            id,
            app: new.app,
            version,
            status: Status::Pending,
            description: new.description.clone(),
            failure: None,
            user: new.user,
            build: new.build,
            image: new.image.clone(),
            config_vars: new.config_vars.clone(),
            processes: new.processes.clone(),
            manifest: new.manifest.clone(),
            commit: new.commit.clone(),
            created_at: now,
            updated_at: now,
        })
    }

    /// Makes a release the current one: its status, the app's current release and the formation
    /// change in one transaction.
    pub fn commit_release(
        &self,
        release: &Release,
        formation: &BTreeMap<ProcessType, u32>,
        now: u64,
    ) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let app = release.app.to_string();
        transaction.execute(
            "UPDATE releases SET status = 'succeeded', updated_at = ?2 WHERE id = ?1",
            params![release.id.to_string(), now as i64],
        )?;
        transaction.execute(
            "UPDATE apps SET current_release = ?2, released_at = ?3, updated_at = ?3,
                deploys = json_remove(deploys, '$.canary') WHERE id = ?1",
            params![app, release.version, now as i64],
        )?;
        let known: Vec<String> = transaction
            .prepare("SELECT process FROM formation WHERE app = ?1")?
            .query_map([&app], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for process in
            known.iter().filter(|name| !formation.keys().any(|kept| kept.as_str() == name.as_str()))
        {
            transaction.execute(
                "DELETE FROM formation WHERE app = ?1 AND process = ?2",
                [&app, process],
            )?;
        }
        scale_in(&transaction, release.app, formation, now)?;
        Ok(transaction.commit()?)
    }

    pub fn fail_release(&self, id: ReleaseId, reason: &str, now: u64) -> Result<()> {
        self.connection().execute(
            "UPDATE releases SET status = 'failed', failure = ?2, updated_at = ?3 WHERE id = ?1",
            params![id.to_string(), reason, now as i64],
        )?;
        Ok(())
    }

    /// Marks releases that a stopped server left pending as failed, canaries excepted. Returns how
    /// many.
    pub fn fail_pending_releases(&self, reason: &str, now: u64) -> Result<usize> {
        Ok(self.connection().execute(
            "UPDATE releases SET status = 'failed', failure = ?1, updated_at = ?2 WHERE status = 'pending'
                AND NOT EXISTS (SELECT 1 FROM apps WHERE apps.id = releases.app
                    AND json_extract(apps.deploys, '$.canary.release') = releases.version)",
            params![reason, now as i64],
        )?)
    }

    pub fn release(&self, app: AppId, version: u32) -> Result<Option<Release>> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT * FROM releases WHERE app = ?1 AND version = ?2")?;
        let row = statement.query_row(params![app.to_string(), version], raw).optional()?;
        row.map(|raw| self.open_release(raw)).transpose()
    }

    pub fn release_by_id(&self, app: AppId, id: ReleaseId) -> Result<Option<Release>> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT * FROM releases WHERE app = ?1 AND id = ?2")?;
        let row = statement.query_row([app.to_string(), id.to_string()], raw).optional()?;
        row.map(|raw| self.open_release(raw)).transpose()
    }

    /// Returns the newest releases of an app, newest first.
    pub fn releases(&self, app: AppId, limit: u32) -> Result<Vec<Release>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM releases WHERE app = ?1 ORDER BY version DESC LIMIT ?2",
        )?;
        let rows: Vec<_> = statement
            .query_map(params![app.to_string(), limit], raw)?
            .collect::<rusqlite::Result<_>>()?;
        rows.into_iter().map(|raw| self.open_release(raw)).collect()
    }

    /// Returns the images of the `count` newest releases of every app and of every current one,
    /// and those that were pushed: what must not be collected.
    pub fn images_in_use(&self, count: u32) -> Result<BTreeSet<Digest>> {
        let connection = self.connection();
        let mut statement = connection.prepare(
            "WITH kept AS (SELECT releases.image, releases.manifest FROM releases JOIN apps ON apps.id = releases.app
                WHERE releases.version = apps.current_release OR releases.version >
                    (SELECT MAX(version) FROM releases newest WHERE newest.app = releases.app) - ?1)
             SELECT image FROM kept WHERE image IS NOT NULL
             UNION SELECT own.value FROM kept, json_each(kept.manifest, '$.images') AS own
             UNION SELECT image FROM registry_manifests WHERE image IS NOT NULL",
        )?;
        let images = statement
            .query_map([count], |row| parsed(row, "image"))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(images)
    }

    /// Returns the newest releases of a slug, of one app or of all: at most 20.
    pub fn releases_of_slug(&self, slug: SlugId, app: Option<AppId>) -> Result<Vec<Release>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM releases WHERE (?2 IS NULL OR app = ?2) AND image IS NOT NULL
                AND (build = ?1 OR json_extract(manifest, '$.slug') = ?1)
             ORDER BY created_at DESC, version DESC LIMIT 20",
        )?;
        let rows: Vec<_> = statement
            .query_map(params![slug.to_string(), app.map(|app| app.to_string())], raw)?
            .collect::<rusqlite::Result<_>>()?;
        rows.into_iter().map(|raw| self.open_release(raw)).collect()
    }

    fn open_release(&self, raw: (Release, Vec<u8>)) -> Result<Release> {
        let (mut release, sealed) = raw;
        let plain = self.key.open(&sealed)?;
        release.config_vars =
            serde_json::from_slice(&plain).map_err(|e| StoreError::Unreadable(e.to_string()))?;
        Ok(release)
    }
}

fn raw(row: &Row<'_>) -> rusqlite::Result<(Release, Vec<u8>)> {
    let release = Release {
        id: parsed(row, "id")?,
        app: parsed(row, "app")?,
        version: row.get("version")?,
        status: Status::from_column(&row.get::<_, String>("status")?),
        description: row.get("description")?,
        failure: row.get("failure")?,
        user: parsed(row, "user")?,
        build: parsed_optional(row, "build")?,
        image: parsed_optional(row, "image")?,
        config_vars: BTreeMap::new(),
        processes: json(row, "processes")?,
        manifest: json(row, "manifest")?,
        commit: row.get("commit_id")?,
        created_at: row.get::<_, i64>("created_at")? as u64,
        updated_at: row.get::<_, i64>("updated_at")? as u64,
    };
    Ok((release, row.get("config_vars")?))
}
