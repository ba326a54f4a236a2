//! What is needed to fetch an app's source from elsewhere. Secrets are sealed.

use crate::{Result, Store, StoreError};
use rusqlite::{OptionalExtension, params};
use windlass_core::ids::{AppId, UserId};

/// Where an app's source is fetched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSource {
    pub url: String,
    /// A branch, tag or commit; `None` for the repository's default branch.
    pub reference: Option<String>,
}

/// A user name and token for a git host.
#[derive(Clone, PartialEq, Eq)]
pub struct GitCredential {
    /// `https://github.com`, with a port if it has one.
    pub origin: String,
    pub username: String,
    pub token: String,
}

impl Store {
    pub fn git_source(&self, app: AppId) -> Result<Option<GitSource>> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT url, ref FROM git_sources WHERE app = ?1")?;
        let source = statement.query_row([app.to_string()], |row| {
            Ok(GitSource { url: row.get(0)?, reference: row.get(1)? })
        });
        Ok(source.optional()?)
    }

    pub fn set_git_source(&self, app: AppId, source: &GitSource) -> Result<()> {
        self.connection().execute(
            "INSERT INTO git_sources (app, url, ref) VALUES (?1, ?2, ?3)
             ON CONFLICT (app) DO UPDATE SET url = ?2, ref = ?3",
            params![app.to_string(), source.url, source.reference],
        )?;
        Ok(())
    }

    /// Returns the seed of an app's deploy key.
    pub fn deploy_key(&self, app: AppId) -> Result<Option<Vec<u8>>> {
        let query = "SELECT seed FROM deploy_keys WHERE app = ?1";
        self.sealed_of_app(query, app)
    }

    /// Stores the seed of an app's deploy key unless it has one; returns the one that it has now.
    pub fn add_deploy_key(&self, app: AppId, seed: &[u8]) -> Result<Vec<u8>> {
        self.connection().execute(
            "INSERT INTO deploy_keys (app, seed) VALUES (?1, ?2) ON CONFLICT (app) DO NOTHING",
            params![app.to_string(), self.key.seal(seed)?],
        )?;
        Ok(self.deploy_key(app)?.unwrap_or_default())
    }

    /// Returns the secret of an app's webhook, if it has one.
    pub fn webhook_secret(&self, app: AppId) -> Result<Option<String>> {
        let secret = self.sealed_of_app("SELECT secret FROM webhooks WHERE app = ?1", app)?;
        secret.map(text).transpose()
    }

    /// Sets the secret of an app's webhook; `None` removes the webhook.
    pub fn set_webhook_secret(&self, app: AppId, secret: Option<&str>) -> Result<()> {
        match secret {
            Some(secret) => self.connection().execute(
                "INSERT INTO webhooks (app, secret) VALUES (?1, ?2)
                 ON CONFLICT (app) DO UPDATE SET secret = ?2",
                params![app.to_string(), self.key.seal(secret.as_bytes())?],
            )?,
            None => self
                .connection()
                .execute("DELETE FROM webhooks WHERE app = ?1", [app.to_string()])?,
        };
        Ok(())
    }

    /// Returns the credentials of a user by origin.
    pub fn git_credentials(&self, user: UserId) -> Result<Vec<GitCredential>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT origin, username, token FROM git_credentials WHERE user = ?1 ORDER BY origin",
        )?;
        let rows: Vec<(String, String, Vec<u8>)> = statement
            .query_map([user.to_string()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let opened = rows.into_iter().map(|(origin, username, sealed)| {
            Ok(GitCredential { origin, username, token: text(self.key.open(&sealed)?)? })
        });
        opened.collect()
    }

    pub fn set_git_credential(&self, user: UserId, credential: &GitCredential) -> Result<()> {
        self.connection().execute(
            "INSERT INTO git_credentials (user, origin, username, token) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (user, origin) DO UPDATE SET username = ?3, token = ?4",
            params![
                user.to_string(),
                credential.origin,
                credential.username,
                self.key.seal(credential.token.as_bytes())?
            ],
        )?;
        Ok(())
    }

    /// Returns whether there was one.
    pub fn delete_git_credential(&self, user: UserId, origin: &str) -> Result<bool> {
        let deleted = self.connection().execute(
            "DELETE FROM git_credentials WHERE user = ?1 AND origin = ?2",
            [&user.to_string(), origin],
        )?;
        Ok(deleted > 0)
    }

    fn sealed_of_app(&self, query: &str, app: AppId) -> Result<Option<Vec<u8>>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(query)?;
        let sealed: Option<Vec<u8>> =
            statement.query_row([app.to_string()], |row| row.get(0)).optional()?;
        sealed.map(|sealed| self.key.open(&sealed)).transpose()
    }
}

fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| StoreError::Unreadable(error.to_string()))
}
