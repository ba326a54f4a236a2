//! Links between apps on the private network.

use crate::{Result, Store, parsed, taken};
use rusqlite::params;
use windlass_core::ids::{AppId, NetworkLinkId};
use windlass_core::links::Links;

/// Two apps whose instances reach each other, in no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkLink {
    pub id: NetworkLinkId,
    pub apps: (AppId, AppId),
    pub created_at: u64,
}

impl NetworkLink {
    /// Returns the app at the other end.
    #[must_use]
    pub fn other_than(&self, app: AppId) -> AppId {
        let (one, other) = self.apps;
        if one == app { other } else { one }
    }
}

impl Store {
    /// Adds a link; there can be only one between two apps.
    pub fn insert_network_link(&self, link: &NetworkLink) -> Result<()> {
        let (one, other) = (link.apps.0.to_string(), link.apps.1.to_string());
        let (one, other) = if one < other { (one, other) } else { (other, one) };
        self.connection()
            .execute(
                "INSERT INTO network_links (id, one, other, created_at) VALUES (?1, ?2, ?3, ?4)",
                params![link.id.to_string(), one, other, link.created_at as i64],
            )
            .map_err(taken("the link"))?;
        Ok(())
    }

    /// Returns the links of an app, oldest first.
    pub fn network_links(&self, app: AppId) -> Result<Vec<NetworkLink>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM network_links WHERE one = ?1 OR other = ?1 ORDER BY created_at, id",
        )?;
        let rows = statement.query_map([app.to_string()], |row| {
            Ok(NetworkLink {
                id: parsed(row, "id")?,
                apps: (parsed(row, "one")?, parsed(row, "other")?),
                created_at: row.get::<_, i64>("created_at")? as u64,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns whether there was such a link.
    pub fn delete_network_link(&self, id: NetworkLinkId) -> Result<bool> {
        let connection = self.connection();
        let deleted =
            connection.execute("DELETE FROM network_links WHERE id = ?1", [id.to_string()])?;
        Ok(deleted > 0)
    }

    /// Returns all apps and all links between them.
    pub fn links(&self) -> Result<Links> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT id FROM apps")?;
        let apps = statement.query_map([], |row| parsed::<AppId>(row, "id"))?;
        let apps: Vec<AppId> = apps.collect::<rusqlite::Result<_>>()?;
        let mut statement = connection.prepare_cached("SELECT one, other FROM network_links")?;
        let links =
            statement.query_map([], |row| Ok((parsed(row, "one")?, parsed(row, "other")?)))?;
        let links: Vec<(AppId, AppId)> = links.collect::<rusqlite::Result<_>>()?;
        Ok(Links::new(apps, links))
    }
}
