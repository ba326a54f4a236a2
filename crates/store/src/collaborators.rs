//! Collaborators: what people were given on single apps.

use crate::users::user;
use crate::{Result, Store, User, parsed};
use rusqlite::{OptionalExtension, Row, params};
use windlass_core::access::{Permission, Permissions};
use windlass_core::ids::{AppId, CollaboratorId, TeamId, UserId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collaborator {
    pub id: CollaboratorId,
    pub app: AppId,
    pub user: User,
    pub permissions: Permissions,
    pub created_at: u64,
    pub updated_at: u64,
}

/// Reads the column `permissions`.
pub(crate) fn permissions(row: &Row<'_>) -> rusqlite::Result<Permissions> {
    let text: String = row.get("permissions")?;
    text.split(',')
        .filter(|name| !name.is_empty())
        .map(|name| {
            name.parse::<Permission>().map_err(|error| {
                let kind = rusqlite::types::Type::Text;
                rusqlite::Error::FromSqlConversionFailure(0, kind, Box::new(error))
            })
        })
        .collect()
}

fn text(permissions: Permissions) -> String {
    permissions.iter().map(Permission::as_str).collect::<Vec<_>>().join(",")
}

fn collaborator(row: &Row<'_>) -> rusqlite::Result<Collaborator> {
    Ok(Collaborator {
        id: parsed(row, "collaborator")?,
        app: parsed(row, "app")?,
        user: user(row)?,
        permissions: permissions(row)?,
        created_at: row.get::<_, i64>("since")? as u64,
        updated_at: row.get::<_, i64>("changed")? as u64,
    })
}

const COLLABORATORS: &str = "SELECT users.*, c.id AS collaborator, c.app, c.permissions, \
     c.created_at AS since, c.updated_at AS changed \
     FROM collaborators AS c JOIN users ON users.id = c.user";

impl Store {
    /// Returns an app's collaborators by address; the owner is not among them.
    pub fn collaborators(&self, app: AppId) -> Result<Vec<Collaborator>> {
        let connection = self.connection();
        let sql = format!("{COLLABORATORS} WHERE c.app = ?1 ORDER BY users.email");
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map([app.to_string()], collaborator)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the collaborators of all apps of a team who are no members of it, each once.
    pub fn outsiders(&self, team: TeamId) -> Result<Vec<Collaborator>> {
        let connection = self.connection();
        let sql = format!(
            "{COLLABORATORS} WHERE c.app IN (SELECT id FROM apps WHERE team = ?1)
             AND c.user NOT IN (SELECT user FROM team_members WHERE team = ?1)
             GROUP BY c.user ORDER BY users.email"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map([team.to_string()], collaborator)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Gives somebody these permissions on an app instead of those that they had been given.
    pub fn put_collaborator(
        &self,
        app: AppId,
        user: UserId,
        permissions: Permissions,
        now: u64,
    ) -> Result<Option<Collaborator>> {
        let connection = self.connection();
        connection.execute(
            "INSERT INTO collaborators (id, app, user, permissions, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5)
             ON CONFLICT (app, user) DO UPDATE SET permissions = ?4, updated_at = ?5",
            params![
                CollaboratorId::random().to_string(),
                app.to_string(),
                user.to_string(),
                text(permissions),
                now as i64
            ],
        )?;
        let sql = format!("{COLLABORATORS} WHERE c.app = ?1 AND c.user = ?2");
        let mut statement = connection.prepare_cached(&sql)?;
        Ok(statement.query_row([app.to_string(), user.to_string()], collaborator).optional()?)
    }

    pub fn delete_collaborator(&self, app: AppId, user: UserId) -> Result<()> {
        self.connection().execute(
            "DELETE FROM collaborators WHERE app = ?1 AND user = ?2",
            [app.to_string(), user.to_string()],
        )?;
        Ok(())
    }
}
