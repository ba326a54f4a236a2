//! Apps that are offered to somebody else, and apps that change hands.

use crate::{Result, Store, parsed};
use rusqlite::{OptionalExtension, Row, params};
use std::fmt;
use std::str::FromStr;
use windlass_core::ids::{AppId, AppTransferId, TeamId, UserId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferState {
    Pending,
    Accepted,
    Declined,
}

impl TransferState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Declined => "declined",
        }
    }
}

impl fmt::Display for TransferState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no state of a transfer: use pending, accepted or declined")]
pub struct UnknownTransferState(pub String);

impl FromStr for TransferState {
    type Err = UnknownTransferState;
    fn from_str(text: &str) -> std::result::Result<Self, UnknownTransferState> {
        match text {
            "pending" => Ok(Self::Pending),
            "accepted" => Ok(Self::Accepted),
            "declined" => Ok(Self::Declined),
            other => Err(UnknownTransferState(other.chars().take(40).collect())),
        }
    }
}

/// An app that its owner offers to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppTransfer {
    pub id: AppTransferId,
    pub app: AppId,
    pub owner: UserId,
    pub recipient: UserId,
    pub state: TransferState,
    pub created_at: u64,
    pub updated_at: u64,
}

fn transfer(row: &Row<'_>) -> rusqlite::Result<AppTransfer> {
    Ok(AppTransfer {
        id: parsed(row, "id")?,
        app: parsed(row, "app")?,
        owner: parsed(row, "owner")?,
        recipient: parsed(row, "recipient")?,
        state: parsed(row, "state")?,
        created_at: row.get::<_, i64>("created_at")? as u64,
        updated_at: row.get::<_, i64>("updated_at")? as u64,
    })
}

impl Store {
    /// Stores an offer; an open one of the same app goes.
    pub fn insert_app_transfer(&self, transfer: &AppTransfer) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        transaction.execute(
            "DELETE FROM app_transfers WHERE app = ?1 AND state = 'pending'",
            [transfer.app.to_string()],
        )?;
        transaction.execute(
            "INSERT INTO app_transfers (id, app, owner, recipient, state, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                transfer.id.to_string(),
                transfer.app.to_string(),
                transfer.owner.to_string(),
                transfer.recipient.to_string(),
                transfer.state.as_str(),
                transfer.created_at as i64,
                transfer.updated_at as i64
            ],
        )?;
        Ok(transaction.commit()?)
    }

    pub fn app_transfer(&self, id: AppTransferId) -> Result<Option<AppTransfer>> {
        Ok(self
            .connection()
            .prepare_cached("SELECT * FROM app_transfers WHERE id = ?1")?
            .query_row([id.to_string()], transfer)
            .optional()?)
    }

    /// Returns what somebody offered and was offered, oldest first.
    pub fn app_transfers(&self, of: UserId) -> Result<Vec<AppTransfer>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM app_transfers WHERE owner = ?1 OR recipient = ?1 ORDER BY created_at, rowid",
        )?;
        let rows = statement.query_map([of.to_string()], transfer)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub fn delete_app_transfer(&self, id: AppTransferId) -> Result<()> {
        let connection = self.connection();
        connection.execute("DELETE FROM app_transfers WHERE id = ?1", [id.to_string()])?;
        Ok(())
    }

    /// Closes an open offer; an accepted one makes the app the recipient's. Returns whether it was
    /// open.
    pub fn close_app_transfer(
        &self,
        transfer: &AppTransfer,
        state: TransferState,
        now: u64,
    ) -> Result<bool> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let closed = transaction.execute(
            "UPDATE app_transfers SET state = ?2, updated_at = ?3 WHERE id = ?1 AND state = 'pending'",
            params![transfer.id.to_string(), state.as_str(), now as i64],
        )?;
        if closed > 0 && state == TransferState::Accepted {
            hand_over(&transaction, transfer.app, transfer.recipient, None, now)?;
        }
        transaction.commit()?;
        Ok(closed > 0)
    }

    /// Makes an app somebody's, or a team's: then `owner` is who is named where a person must be.
    pub fn hand_over_app(
        &self,
        app: AppId,
        owner: UserId,
        team: Option<TeamId>,
        now: u64,
    ) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        hand_over(&transaction, app, owner, team, now)?;
        Ok(transaction.commit()?)
    }

    /// Shows an app of a team to all of the team, or only to those who were added to it.
    pub fn set_app_locked(&self, app: AppId, locked: bool, now: u64) -> Result<()> {
        self.connection().execute(
            "UPDATE apps SET locked = ?2, updated_at = ?3 WHERE id = ?1",
            params![app.to_string(), locked, now as i64],
        )?;
        Ok(())
    }
}

fn hand_over(
    transaction: &rusqlite::Transaction<'_>,
    app: AppId,
    owner: UserId,
    team: Option<TeamId>,
    now: u64,
) -> Result<()> {
    let (app, owner) = (app.to_string(), owner.to_string());
    transaction.execute(
        "UPDATE apps SET owner = ?2, team = ?3, locked = 0, updated_at = ?4 WHERE id = ?1",
        params![app, owner, team.map(|team| team.to_string()), now as i64],
    )?;
    // Volumes go with their app, and an owner has no need to be a collaborator.
    transaction.execute("UPDATE volumes SET owner = ?2 WHERE app = ?1", [&app, &owner])?;
    if team.is_none() {
        transaction
            .execute("DELETE FROM collaborators WHERE app = ?1 AND user = ?2", [&app, &owner])?;
    }
    transaction
        .execute("DELETE FROM app_transfers WHERE app = ?1 AND state = 'pending'", [&app])?;
    Ok(())
}
