//! Apps and their formations.

use crate::{Deploys, Result, Store, json, parsed, parsed_optional, taken};
use rusqlite::{OptionalExtension, Row, params};
use std::collections::BTreeMap;
use uuid::Uuid;
use windlass_core::ids::{AppId, TeamId, UserId};
use windlass_core::names::{AppName, ProcessType};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    pub id: AppId,
    pub name: AppName,
    /// Whose it is; of a team's app who stands for the team where a person must be named.
    pub owner: UserId,
    pub team: Option<TeamId>,
    /// Only those of the team who were added to the app see it.
    pub locked: bool,
    pub maintenance: bool,
    /// Raised by a restart: instances of a lower generation are replaced.
    pub restart_generation: u64,
    /// The version of the release that is served; every app starts with release 1.
    pub current_release: u32,
    pub deploys: Deploys,
    pub created_at: u64,
    pub updated_at: u64,
    pub released_at: Option<u64>,
}

/// How many instances of one process type are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formation {
    pub id: Uuid,
    pub process: ProcessType,
    pub quantity: u32,
    pub updated_at: u64,
}

fn app(row: &Row<'_>) -> rusqlite::Result<App> {
    Ok(App {
        id: parsed(row, "id")?,
        name: parsed(row, "name")?,
        owner: parsed(row, "owner")?,
        team: parsed_optional(row, "team")?,
        locked: row.get("locked")?,
        maintenance: row.get("maintenance")?,
        restart_generation: row.get::<_, i64>("restart_generation")? as u64,
        current_release: row.get("current_release")?,
        deploys: json(row, "deploys")?,
        created_at: row.get::<_, i64>("created_at")? as u64,
        updated_at: row.get::<_, i64>("updated_at")? as u64,
        released_at: row.get::<_, Option<i64>>("released_at")?.map(|at| at as u64),
    })
}

impl Store {
    /// Stores a new app. Its first release is inserted by [`Store::insert_release`].
    pub fn insert_app(&self, app: &App) -> Result<()> {
        self.connection()
            .execute(
                "INSERT INTO apps (id, name, owner, created_at, updated_at, team, locked)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    app.id.to_string(),
                    app.name.as_str(),
                    app.owner.to_string(),
                    app.created_at as i64,
                    app.updated_at as i64,
                    app.team.map(|team| team.to_string()),
                    app.locked,
                ],
            )
            .map_err(taken(&format!("Name {}", app.name)))?;
        Ok(())
    }

    pub fn app(&self, id: AppId) -> Result<Option<App>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT * FROM apps WHERE id = ?1")?;
        Ok(statement.query_row([id.to_string()], app).optional()?)
    }

    pub fn app_by_name(&self, name: &str) -> Result<Option<App>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT * FROM apps WHERE name = ?1")?;
        Ok(statement.query_row([name], app).optional()?)
    }

    /// Returns every app by name.
    pub fn apps(&self) -> Result<Vec<App>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT * FROM apps ORDER BY name")?;
        let apps = statement.query_map([], app)?.collect::<rusqlite::Result<_>>()?;
        Ok(apps)
    }

    /// Returns how many apps a user owns.
    pub fn number_of_apps(&self, of: UserId) -> Result<usize> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT COUNT(*) FROM apps WHERE owner = ?1")?;
        let number: i64 = statement.query_row([of.to_string()], |row| row.get(0))?;
        Ok(usize::try_from(number).unwrap_or_default())
    }

    pub fn rename_app(&self, id: AppId, name: &AppName, now: u64) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        transaction
            .execute(
                "UPDATE apps SET name = ?2, updated_at = ?3 WHERE id = ?1",
                params![id.to_string(), name.as_str(), now as i64],
            )
            .map_err(taken(&format!("Name {name}")))?;
        transaction.execute(
            "UPDATE volumes SET app_name = ?2 WHERE app = ?1",
            params![id.to_string(), name.as_str()],
        )?;
        Ok(transaction.commit()?)
    }

    pub fn set_maintenance(&self, id: AppId, maintenance: bool, now: u64) -> Result<()> {
        self.connection().execute(
            "UPDATE apps SET maintenance = ?2, updated_at = ?3 WHERE id = ?1",
            params![id.to_string(), maintenance, now as i64],
        )?;
        Ok(())
    }

    /// Raises the restart generation and returns the new one.
    pub fn raise_restart_generation(&self, id: AppId) -> Result<u64> {
        let generation: i64 = self.connection().query_row(
            "UPDATE apps SET restart_generation = restart_generation + 1 WHERE id = ?1 RETURNING restart_generation",
            [id.to_string()],
            |row| row.get(0),
        )?;
        Ok(generation as u64)
    }

    /// Deletes an app with its releases, builds, formation and domains.
    pub fn delete_app(&self, id: AppId) -> Result<()> {
        self.connection().execute("DELETE FROM apps WHERE id = ?1", [id.to_string()])?;
        Ok(())
    }

    /// Returns the formation by process type.
    pub fn formation(&self, id: AppId) -> Result<Vec<Formation>> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT * FROM formation WHERE app = ?1 ORDER BY process")?;
        let rows = statement.query_map([id.to_string()], |row| {
            Ok(Formation {
                id: parsed(row, "id")?,
                process: parsed(row, "process")?,
                quantity: row.get("quantity")?,
                updated_at: row.get::<_, i64>("updated_at")? as u64,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Sets quantities; process types that are not named keep theirs.
    pub fn scale(
        &self,
        id: AppId,
        quantities: &BTreeMap<ProcessType, u32>,
        now: u64,
    ) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        scale_in(&transaction, id, quantities, now)?;
        Ok(transaction.commit()?)
    }
}

pub(crate) fn scale_in(
    transaction: &rusqlite::Transaction<'_>,
    id: AppId,
    quantities: &BTreeMap<ProcessType, u32>,
    now: u64,
) -> Result<()> {
    for (process, quantity) in quantities {
        transaction.execute(
            "INSERT INTO formation (id, app, process, quantity, updated_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (app, process) DO UPDATE SET quantity = ?4, updated_at = ?5",
            params![Uuid::new_v4().to_string(), id.to_string(), process.as_str(), quantity, now as i64],
        )?;
    }
    Ok(())
}
