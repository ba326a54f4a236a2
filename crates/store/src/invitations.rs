//! Invitations: links that let somebody in, once.

use crate::tokens::hash;
use crate::{Result, Store, User, parsed, parsed_optional};
use rusqlite::{OptionalExtension, Row, params};
use windlass_core::access::TeamRole;
use windlass_core::ids::{InvitationId, TeamId, UserId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    pub id: InvitationId,
    pub email: String,
    pub invited_by: UserId,
    /// The team that they are to join, and as what.
    pub team: Option<(TeamId, TeamRole)>,
    pub created_at: u64,
    pub expires_at: u64,
}

fn invitation(row: &Row<'_>) -> rusqlite::Result<Invitation> {
    let team = parsed_optional(row, "team")?;
    let role = parsed_optional(row, "role")?;
    Ok(Invitation {
        id: parsed(row, "id")?,
        email: row.get("email")?,
        invited_by: parsed(row, "invited_by")?,
        team: team.zip(role),
        created_at: row.get::<_, i64>("created_at")? as u64,
        expires_at: row.get::<_, i64>("expires_at")? as u64,
    })
}

impl Store {
    /// Stores an invitation; one of the same address to the same place goes.
    pub fn insert_invitation(&self, invitation: &Invitation, secret: &str) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let team = invitation.team.map(|(team, _)| team.to_string());
        transaction.execute(
            "DELETE FROM invitations WHERE email = ?1 AND team IS ?2",
            params![invitation.email, team],
        )?;
        transaction.execute(
            "INSERT INTO invitations (id, email, hash, invited_by, team, role, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                invitation.id.to_string(),
                invitation.email,
                hash(secret),
                invitation.invited_by.to_string(),
                team,
                invitation.team.map(|(_, role)| role.as_str()),
                invitation.created_at as i64,
                invitation.expires_at as i64,
            ],
        )?;
        Ok(transaction.commit()?)
    }

    /// Returns the invitation whose secret is given, unless it has expired.
    pub fn invitation(&self, secret: &str, now: u64) -> Result<Option<Invitation>> {
        Ok(self
            .connection()
            .prepare_cached("SELECT * FROM invitations WHERE hash = ?1 AND expires_at > ?2")?
            .query_row(params![hash(secret), now as i64], invitation)
            .optional()?)
    }

    /// Returns the open invitations, oldest first: those to a team, or those to the server alone.
    pub fn invitations(&self, team: Option<TeamId>, now: u64) -> Result<Vec<Invitation>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM invitations WHERE team IS ?1 AND expires_at > ?2 ORDER BY created_at, rowid",
        )?;
        let team = team.map(|team| team.to_string());
        let rows = statement.query_map(params![team, now as i64], invitation)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns whether there was such an invitation.
    pub fn delete_invitation(&self, id: InvitationId) -> Result<bool> {
        let deleted =
            self.connection().execute("DELETE FROM invitations WHERE id = ?1", [id.to_string()])?;
        Ok(deleted > 0)
    }

    /// Uses an invitation up: makes `user` unless there is one of that address, lets them into
    /// the team, and forgets it. Returns who came in; `None` if somebody was faster.
    pub fn accept_invitation(
        &self,
        invitation: &Invitation,
        newcomer: &User,
        now: u64,
    ) -> Result<Option<User>> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let used = transaction
            .execute("DELETE FROM invitations WHERE id = ?1", [invitation.id.to_string()])?;
        if used == 0 {
            return Ok(None);
        }
        transaction.execute(
            "INSERT INTO users (id, email, name, created_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (email) DO UPDATE SET removed_at = NULL, name = coalesce(?3, name)",
            params![newcomer.id.to_string(), newcomer.email, newcomer.name, now as i64],
        )?;
        let user = transaction.query_row(
            "SELECT * FROM users WHERE email = ?1",
            [&newcomer.email],
            crate::users::user,
        )?;
        if let Some((team, role)) = invitation.team {
            crate::teams::put_member(&transaction, team, user.id, role, now)?;
        }
        transaction.commit()?;
        Ok(Some(user))
    }
}
