//! Teams, who is in them, and what people have been given in all.

use crate::users::user;
use crate::{App, Result, Store, User, parsed, taken};
use rusqlite::{OptionalExtension, Row, params};
use std::collections::HashMap;
use windlass_core::access::{Permissions, TeamRole};
use windlass_core::ids::{AppId, MembershipId, TeamId, UserId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    pub id: TeamId,
    pub name: String,
    pub created_at: u64,
    pub updated_at: u64,
}

/// Somebody's place in a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub id: MembershipId,
    pub team: TeamId,
    pub user: User,
    pub role: TeamRole,
    pub created_at: u64,
    pub updated_at: u64,
}

/// What somebody has been given beside what they own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    pub teams: HashMap<TeamId, TeamRole>,
    pub apps: HashMap<AppId, Permissions>,
}

fn team(row: &Row<'_>) -> rusqlite::Result<Team> {
    Ok(Team {
        id: parsed(row, "id")?,
        name: row.get("name")?,
        created_at: row.get::<_, i64>("created_at")? as u64,
        updated_at: row.get::<_, i64>("updated_at")? as u64,
    })
}

/// Reads a row of users with the columns of team_members under names of their own.
fn membership(row: &Row<'_>) -> rusqlite::Result<Membership> {
    Ok(Membership {
        id: parsed(row, "membership")?,
        team: parsed(row, "team")?,
        user: user(row)?,
        role: parsed(row, "role")?,
        created_at: row.get::<_, i64>("since")? as u64,
        updated_at: row.get::<_, i64>("changed")? as u64,
    })
}

const MEMBERSHIPS: &str = "SELECT users.*, m.id AS membership, m.team, m.role, \
     m.created_at AS since, m.updated_at AS changed \
     FROM team_members AS m JOIN users ON users.id = m.user";

impl Store {
    /// Stores a new team with its first admin.
    pub fn insert_team(&self, team: &Team, admin: UserId) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        transaction
            .execute(
                "INSERT INTO teams (id, name, created_at, updated_at) VALUES (?1, ?2, ?3, ?4)",
                params![
                    team.id.to_string(),
                    team.name,
                    team.created_at as i64,
                    team.updated_at as i64
                ],
            )
            .map_err(taken(&format!("Name {}", team.name)))?;
        put_member(&transaction, team.id, admin, TeamRole::Admin, team.created_at)?;
        Ok(transaction.commit()?)
    }

    pub fn team(&self, id: TeamId) -> Result<Option<Team>> {
        Ok(self
            .connection()
            .prepare_cached("SELECT * FROM teams WHERE id = ?1")?
            .query_row([id.to_string()], team)
            .optional()?)
    }

    pub fn team_by_name(&self, name: &str) -> Result<Option<Team>> {
        Ok(self
            .connection()
            .prepare_cached("SELECT * FROM teams WHERE name = ?1")?
            .query_row([name], team)
            .optional()?)
    }

    /// Returns every team by name.
    pub fn teams(&self) -> Result<Vec<Team>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT * FROM teams ORDER BY name")?;
        let teams = statement.query_map([], team)?.collect::<rusqlite::Result<_>>()?;
        Ok(teams)
    }

    pub fn rename_team(&self, id: TeamId, name: &str, now: u64) -> Result<()> {
        self.connection()
            .execute(
                "UPDATE teams SET name = ?2, updated_at = ?3 WHERE id = ?1",
                params![id.to_string(), name, now as i64],
            )
            .map_err(taken(&format!("Name {name}")))?;
        Ok(())
    }

    /// Deletes a team with its memberships and invitations. Fails while it has apps.
    pub fn delete_team(&self, id: TeamId) -> Result<()> {
        self.connection().execute("DELETE FROM teams WHERE id = ?1", [id.to_string()])?;
        Ok(())
    }

    /// Returns a team's members by address.
    pub fn members(&self, team: TeamId) -> Result<Vec<Membership>> {
        let connection = self.connection();
        let sql = format!("{MEMBERSHIPS} WHERE m.team = ?1 ORDER BY users.email");
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map([team.to_string()], membership)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Makes somebody a member of a team, or gives them another role.
    pub fn put_member(&self, team: TeamId, user: UserId, role: TeamRole, now: u64) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        put_member(&transaction, team, user, role, now)?;
        Ok(transaction.commit()?)
    }

    /// Takes somebody's place in a team from them, and what they were given on its apps.
    pub fn delete_member(&self, team: TeamId, user: UserId) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let (team, user) = (team.to_string(), user.to_string());
        transaction
            .execute("DELETE FROM team_members WHERE team = ?1 AND user = ?2", [&team, &user])?;
        transaction.execute(
            "DELETE FROM collaborators WHERE user = ?2 AND app IN (SELECT id FROM apps WHERE team = ?1)",
            [&team, &user],
        )?;
        Ok(transaction.commit()?)
    }

    /// Returns what a user has been given, on the teams and apps of others.
    pub fn given(&self, user: UserId) -> Result<Given> {
        let connection = self.connection();
        let user = user.to_string();
        let mut statement =
            connection.prepare_cached("SELECT team, role FROM team_members WHERE user = ?1")?;
        let teams =
            statement.query_map([&user], |row| Ok((parsed(row, "team")?, parsed(row, "role")?)))?;
        let teams = teams.collect::<rusqlite::Result<_>>()?;
        let mut statement = connection
            .prepare_cached("SELECT app, permissions FROM collaborators WHERE user = ?1")?;
        let apps = statement.query_map([&user], |row| {
            Ok((parsed(row, "app")?, crate::collaborators::permissions(row)?))
        })?;
        Ok(Given { teams, apps: apps.collect::<rusqlite::Result<_>>()? })
    }

    /// Returns a team's apps by name.
    pub fn apps_of_team(&self, team: TeamId) -> Result<Vec<App>> {
        let apps = self.apps()?;
        Ok(apps.into_iter().filter(|app| app.team == Some(team)).collect())
    }
}

pub(crate) fn put_member(
    transaction: &rusqlite::Transaction<'_>,
    team: TeamId,
    user: UserId,
    role: TeamRole,
    now: u64,
) -> Result<()> {
    transaction.execute(
        "INSERT INTO team_members (id, team, user, role, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5)
         ON CONFLICT (team, user) DO UPDATE SET role = ?4, updated_at = ?5",
        params![
            MembershipId::random().to_string(),
            team.to_string(),
            user.to_string(),
            role.as_str(),
            now as i64
        ],
    )?;
    Ok(())
}
