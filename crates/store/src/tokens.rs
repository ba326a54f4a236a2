//! Access tokens; only hashes of their secrets are kept.

use crate::users::user;
use crate::{Result, Store, StoreError, Token, User, parsed};
use ring::digest::{SHA256, digest};
use rusqlite::{OptionalExtension, Row, params};
use windlass_core::access::Scopes;
use windlass_core::ids::{TokenId, UserId};

/// When a token was last used is written at most so often, in milliseconds.
pub const USE_RESOLUTION: u64 = 60_000;

fn token(row: &Row<'_>) -> rusqlite::Result<Token> {
    let scopes: String = row.get("scope")?;
    let scopes = Scopes::of_names([scopes.as_str()]).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })?;
    let created_at = row.get::<_, i64>("created_at")? as u64;
    Ok(Token {
        id: parsed(row, "id")?,
        user: parsed(row, "user")?,
        description: row.get("description")?,
        scopes,
        created_at,
        updated_at: row.get::<_, Option<i64>>("updated_at")?.map_or(created_at, |at| at as u64),
        expires_at: row.get::<_, Option<i64>>("expires_at")?.map(|at| at as u64),
        last_used_at: row.get::<_, Option<i64>>("last_used_at")?.map(|at| at as u64),
    })
}

/// Returns what is kept of a secret.
pub(crate) fn hash(secret: &str) -> Vec<u8> {
    digest(&SHA256, secret.as_bytes()).as_ref().to_vec()
}

impl Store {
    /// Stores a token; only the SHA-256 of its secret is kept.
    pub fn insert_token(&self, token: &Token, secret: &str) -> Result<()> {
        self.connection().execute(
            "INSERT INTO tokens (id, user, hash, description, scope, created_at, updated_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                token.id.to_string(),
                token.user.to_string(),
                hash(secret),
                token.description,
                token.scopes.names().join(","),
                token.created_at as i64,
                token.updated_at as i64,
                token.expires_at.map(|at| at as i64),
            ],
        )?;
        Ok(())
    }

    /// Returns the token and user whose secret is given, unless it has expired.
    pub fn authenticate(&self, secret: &str, now: u64) -> Result<Option<(Token, User)>> {
        let connection = self.connection();
        let found = connection
            .prepare_cached("SELECT * FROM tokens WHERE hash = ?1")?
            .query_row([hash(secret)], token)
            .optional()?;
        let Some(token) = found.filter(|token| token.expires_at.is_none_or(|at| at > now)) else {
            return Ok(None);
        };
        let user = connection
            .prepare_cached("SELECT * FROM users WHERE id = ?1")?
            .query_row([token.user.to_string()], user)?;
        Ok(Some((token, user)))
    }

    /// Returns a user's tokens that have not expired, oldest first.
    pub fn tokens(&self, of: UserId, now: u64) -> Result<Vec<Token>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM tokens WHERE user = ?1 AND (expires_at IS NULL OR expires_at > ?2)
             ORDER BY created_at, rowid",
        )?;
        let rows = statement.query_map(params![of.to_string(), now as i64], token)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub fn describe_token(&self, id: TokenId, description: &str, now: u64) -> Result<()> {
        self.connection().execute(
            "UPDATE tokens SET description = ?2, updated_at = ?3 WHERE id = ?1",
            params![id.to_string(), description, now as i64],
        )?;
        Ok(())
    }

    /// Gives a token another secret; the old one is good for nothing from now on.
    pub fn replace_token_secret(
        &self,
        id: TokenId,
        secret: &str,
        expires_at: Option<u64>,
        now: u64,
    ) -> Result<()> {
        self.connection().execute(
            "UPDATE tokens SET hash = ?2, expires_at = ?3, updated_at = ?4 WHERE id = ?1",
            params![id.to_string(), hash(secret), expires_at.map(|at| at as i64), now as i64],
        )?;
        Ok(())
    }

    /// Returns whether there was such a token of this user.
    pub fn delete_token(&self, of: UserId, id: TokenId) -> Result<bool> {
        let deleted = self.connection().execute(
            "DELETE FROM tokens WHERE user = ?1 AND id = ?2",
            [of.to_string(), id.to_string()],
        )?;
        Ok(deleted > 0)
    }

    /// Removes tokens that expired before `before`, and returns how many.
    pub fn delete_expired_tokens(&self, before: u64) -> Result<usize> {
        let statement = "DELETE FROM tokens WHERE expires_at < ?1";
        Ok(self.connection().execute(statement, [before as i64])?)
    }

    /// Writes when tokens were used, unless something nearly as late stands there.
    pub fn note_token_uses(&self, uses: &[(TokenId, u64)]) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        for (id, at) in uses {
            transaction.execute(
                "UPDATE tokens SET last_used_at = ?2
                 WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at <= ?2 - ?3)",
                params![id.to_string(), *at as i64, USE_RESOLUTION as i64],
            )?;
        }
        transaction.commit().map_err(StoreError::from)
    }
}
