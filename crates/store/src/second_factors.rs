//! Second factors: the secret that an authenticator app shares with us, and recovery codes.

use crate::tokens::hash;
use crate::{Result, Store};
use rusqlite::{OptionalExtension, params};
use windlass_core::ids::UserId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondFactor {
    pub secret: Vec<u8>,
    /// `None` until a code of it was seen: it is not asked for before.
    pub confirmed_at: Option<u64>,
    /// The time step of the last code that was taken.
    pub last_step: u64,
}

impl Store {
    pub fn second_factor(&self, user: UserId) -> Result<Option<SecondFactor>> {
        let found = self
            .connection()
            .prepare_cached("SELECT * FROM second_factors WHERE user = ?1")?
            .query_row([user.to_string()], |row| {
                Ok((
                    row.get::<_, Vec<u8>>("secret")?,
                    row.get::<_, Option<i64>>("confirmed_at")?.map(|at| at as u64),
                    row.get::<_, i64>("last_step")? as u64,
                ))
            })
            .optional()?;
        let Some((sealed, confirmed_at, last_step)) = found else { return Ok(None) };
        Ok(Some(SecondFactor { secret: self.key.open(&sealed)?, confirmed_at, last_step }))
    }

    /// Stores a secret that still has to be confirmed, instead of whatever was there.
    pub fn propose_second_factor(&self, user: UserId, secret: &[u8]) -> Result<()> {
        let sealed = self.key.seal(secret)?;
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        transaction.execute("DELETE FROM second_factors WHERE user = ?1", [user.to_string()])?;
        transaction.execute(
            "INSERT INTO second_factors (user, secret) VALUES (?1, ?2)",
            params![user.to_string(), sealed],
        )?;
        Ok(transaction.commit()?)
    }

    /// Puts the second factor into force, with these recovery codes.
    pub fn confirm_second_factor(&self, user: UserId, codes: &[String], now: u64) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        transaction.execute(
            "UPDATE second_factors SET confirmed_at = coalesce(confirmed_at, ?2) WHERE user = ?1",
            params![user.to_string(), now as i64],
        )?;
        transaction.execute("DELETE FROM recovery_codes WHERE user = ?1", [user.to_string()])?;
        for code in codes {
            transaction.execute(
                "INSERT INTO recovery_codes (user, hash) VALUES (?1, ?2)",
                params![user.to_string(), hash(code)],
            )?;
        }
        Ok(transaction.commit()?)
    }

    /// Uses a time step up; returns whether it was later than all used before.
    pub fn use_step(&self, user: UserId, step: u64) -> Result<bool> {
        let used = self.connection().execute(
            "UPDATE second_factors SET last_step = ?2 WHERE user = ?1 AND last_step < ?2",
            params![user.to_string(), step as i64],
        )?;
        Ok(used > 0)
    }

    /// Uses a recovery code up; returns whether there was one.
    pub fn use_recovery_code(&self, user: UserId, code: &str) -> Result<bool> {
        let used = self.connection().execute(
            "DELETE FROM recovery_codes WHERE user = ?1 AND hash = ?2",
            params![user.to_string(), hash(code)],
        )?;
        Ok(used > 0)
    }

    /// Returns how many recovery codes are left.
    pub fn recovery_codes_left(&self, user: UserId) -> Result<u32> {
        Ok(self.connection().query_row(
            "SELECT count(*) FROM recovery_codes WHERE user = ?1",
            [user.to_string()],
            |row| row.get(0),
        )?)
    }

    pub fn delete_second_factor(&self, user: UserId) -> Result<()> {
        self.connection()
            .execute("DELETE FROM second_factors WHERE user = ?1", [user.to_string()])?;
        Ok(())
    }
}
