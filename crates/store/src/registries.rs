//! Logins to the registries that images are pulled from. Passwords are sealed.

use crate::{Result, Store, StoreError};
use rusqlite::params;

/// How to reach a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Registry {
    /// A host name or address, and a port if it is not the usual one.
    pub host: String,
    /// `None` where images are pulled without a login.
    pub username: Option<String>,
    pub password: String,
    /// Plain HTTP and certificates that cannot be checked are taken.
    pub insecure: bool,
    pub updated_at: u64,
}

/// The password is not shown.
impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("host", &self.host)
            .field("username", &self.username)
            .field("insecure", &self.insecure)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Stores a registry; one with the same host is replaced.
    pub fn save_registry(&self, registry: &Registry) -> Result<()> {
        let sealed = self.key.seal(registry.password.as_bytes())?;
        self.connection().execute(
            "INSERT OR REPLACE INTO registries (host, username, password, insecure, updated_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                registry.host,
                registry.username,
                sealed,
                registry.insecure,
                registry.updated_at as i64
            ],
        )?;
        Ok(())
    }

    /// Returns all registries by host.
    pub fn registries(&self) -> Result<Vec<Registry>> {
        let rows = {
            let connection = self.connection();
            let mut statement =
                connection.prepare_cached("SELECT * FROM registries ORDER BY host")?;
            let rows = statement.query_map([], |row| {
                let registry = Registry {
                    host: row.get("host")?,
                    username: row.get("username")?,
                    password: String::new(),
                    insecure: row.get("insecure")?,
                    updated_at: row.get::<_, i64>("updated_at")? as u64,
                };
                Ok((registry, row.get::<_, Vec<u8>>("password")?))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()?
        };
        let opened = rows.into_iter().map(|(registry, sealed)| {
            let password = String::from_utf8(self.key.open(&sealed)?)
                .map_err(|_| StoreError::Unreadable("a password is not text".to_owned()))?;
            Ok(Registry { password, ..registry })
        });
        opened.collect()
    }

    /// Returns whether there was such a registry.
    pub fn delete_registry(&self, host: &str) -> Result<bool> {
        let deleted =
            self.connection().execute("DELETE FROM registries WHERE host = ?1", [host])?;
        Ok(deleted > 0)
    }
}
