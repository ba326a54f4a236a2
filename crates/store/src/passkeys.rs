//! Passkeys: the public halves of credentials that people keep on their devices.

use crate::{Result, Store, parsed, taken};
use rusqlite::{OptionalExtension, Row, params};
use windlass_core::ids::{PasskeyId, UserId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    pub id: PasskeyId,
    pub user: UserId,
    /// What its owner calls it.
    pub name: String,
    /// The device's name for it.
    pub credential_id: Vec<u8>,
    /// In COSE form.
    pub public_key: Vec<u8>,
    /// The host for which it was made.
    pub relying_party: String,
    /// How often it was used, as its device says; 0 with devices that do not count.
    pub sign_count: u32,
    /// How browsers reach the device: `internal`, `usb`, `hybrid` and the like.
    pub transports: Vec<String>,
    /// Whether it may be copied to other devices of its owner.
    pub backup_eligible: bool,
    /// Whether it was, when it was last used.
    pub backed_up: bool,
    pub created_at: u64,
    pub last_used_at: Option<u64>,
}

fn passkey(row: &Row<'_>) -> rusqlite::Result<Passkey> {
    let transports: String = row.get("transports")?;
    Ok(Passkey {
        id: parsed(row, "id")?,
        user: parsed(row, "user")?,
        name: row.get("name")?,
        credential_id: row.get("credential_id")?,
        public_key: row.get("public_key")?,
        relying_party: row.get("relying_party")?,
        sign_count: row.get("sign_count")?,
        transports: transports.split(',').filter(|one| !one.is_empty()).map(Into::into).collect(),
        backup_eligible: row.get("backup_eligible")?,
        backed_up: row.get("backed_up")?,
        created_at: row.get::<_, i64>("created_at")? as u64,
        last_used_at: row.get::<_, Option<i64>>("last_used_at")?.map(|at| at as u64),
    })
}

impl Store {
    /// Stores a passkey, unless its device's name for it is known already.
    pub fn insert_passkey(&self, new: &Passkey) -> Result<()> {
        self.connection()
            .execute(
                "INSERT INTO passkeys (id, user, name, credential_id, public_key, relying_party,
                     sign_count, transports, backup_eligible, backed_up, created_at, last_used_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
                params![
                    new.id.to_string(),
                    new.user.to_string(),
                    new.name,
                    new.credential_id,
                    new.public_key,
                    new.relying_party,
                    new.sign_count,
                    new.transports.join(","),
                    new.backup_eligible,
                    new.backed_up,
                    new.created_at as i64,
                    new.last_used_at.map(|at| at as i64),
                ],
            )
            .map_err(taken("this passkey"))?;
        Ok(())
    }

    /// Returns somebody's passkeys, the oldest first.
    pub fn passkeys(&self, of: UserId) -> Result<Vec<Passkey>> {
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached("SELECT * FROM passkeys WHERE user = ?1 ORDER BY created_at, rowid")?;
        let rows = statement.query_map([of.to_string()], passkey)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns whether anybody has a passkey for this host.
    pub fn has_passkeys(&self, relying_party: &str) -> Result<bool> {
        Ok(self.connection().query_row(
            "SELECT EXISTS (SELECT 1 FROM passkeys WHERE relying_party = ?1)",
            [relying_party],
            |row| row.get(0),
        )?)
    }

    /// Returns the passkey with this name of a device.
    pub fn passkey_of_credential(&self, credential_id: &[u8]) -> Result<Option<Passkey>> {
        Ok(self
            .connection()
            .prepare_cached("SELECT * FROM passkeys WHERE credential_id = ?1")?
            .query_row([credential_id], passkey)
            .optional()?)
    }

    pub fn rename_passkey(&self, user: UserId, id: PasskeyId, name: &str) -> Result<bool> {
        let renamed = self.connection().execute(
            "UPDATE passkeys SET name = ?3 WHERE user = ?1 AND id = ?2",
            params![user.to_string(), id.to_string(), name],
        )?;
        Ok(renamed > 0)
    }

    /// Notes a use; returns whether the device has counted on since what is stored, or does not
    /// count.
    pub fn use_passkey(
        &self,
        id: PasskeyId,
        count: u32,
        backed_up: bool,
        now: u64,
    ) -> Result<bool> {
        let used = self.connection().execute(
            "UPDATE passkeys SET sign_count = ?2, backed_up = ?3, last_used_at = ?4
             WHERE id = ?1 AND (sign_count < ?2 OR (sign_count = 0 AND ?2 = 0))",
            params![id.to_string(), count, backed_up, now as i64],
        )?;
        Ok(used > 0)
    }

    pub fn delete_passkey(&self, user: UserId, id: PasskeyId) -> Result<bool> {
        let removed = self.connection().execute(
            "DELETE FROM passkeys WHERE user = ?1 AND id = ?2",
            params![user.to_string(), id.to_string()],
        )?;
        Ok(removed > 0)
    }

    /// Takes all of somebody's passkeys away; returns how many there were.
    pub fn delete_passkeys(&self, user: UserId) -> Result<usize> {
        Ok(self.connection().execute("DELETE FROM passkeys WHERE user = ?1", [user.to_string()])?)
    }
}
