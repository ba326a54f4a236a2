//! Users and what they prove themselves with: tokens (kept as hashes) and SSH keys.

use crate::{Result, Store, parsed, taken};
use ring::digest::{SHA256, digest};
use rusqlite::{OptionalExtension, Row, params};
use windlass_core::ids::{KeyId, TokenId, UserId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub email: String,
    pub created_at: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub id: TokenId,
    pub user: UserId,
    pub description: String,
    pub created_at: u64,
    pub last_used_at: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub id: KeyId,
    pub user: UserId,
    /// The line as OpenSSH writes it.
    pub public_key: String,
    pub comment: String,
    /// `SHA256:…` as OpenSSH prints it.
    pub fingerprint: String,
    pub created_at: u64,
}

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: parsed(row, "id")?,
        email: row.get("email")?,
        created_at: row.get::<_, i64>("created_at")? as u64,
    })
}

fn token(row: &Row<'_>) -> rusqlite::Result<Token> {
    Ok(Token {
        id: parsed(row, "id")?,
        user: parsed(row, "user")?,
        description: row.get("description")?,
        created_at: row.get::<_, i64>("created_at")? as u64,
        last_used_at: row.get::<_, Option<i64>>("last_used_at")?.map(|at| at as u64),
    })
}

fn key(row: &Row<'_>) -> rusqlite::Result<Key> {
    Ok(Key {
        id: parsed(row, "id")?,
        user: parsed(row, "user")?,
        public_key: row.get("public_key")?,
        comment: row.get("comment")?,
        fingerprint: row.get("fingerprint")?,
        created_at: row.get::<_, i64>("created_at")? as u64,
    })
}

impl Store {
    pub fn insert_user(&self, user: &User) -> Result<()> {
        self.connection()
            .execute(
                "INSERT INTO users (id, email, created_at) VALUES (?1, ?2, ?3)",
                params![user.id.to_string(), user.email, user.created_at as i64],
            )
            .map_err(taken(&format!("the user {}", user.email)))?;
        Ok(())
    }

    /// Returns the first user, who owns the server.
    pub fn owner(&self) -> Result<Option<User>> {
        Ok(self
            .connection()
            .query_row("SELECT * FROM users ORDER BY created_at, rowid LIMIT 1", [], user)
            .optional()?)
    }

    pub fn user(&self, id: UserId) -> Result<Option<User>> {
        Ok(self
            .connection()
            .query_row("SELECT * FROM users WHERE id = ?1", [id.to_string()], user)
            .optional()?)
    }

    /// Stores a token; only the SHA-256 of its secret is kept.
    pub fn insert_token(&self, token: &Token, secret: &str) -> Result<()> {
        self.connection().execute(
            "INSERT INTO tokens (id, user, hash, description, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                token.id.to_string(),
                token.user.to_string(),
                digest(&SHA256, secret.as_bytes()).as_ref(),
                token.description,
                token.created_at as i64
            ],
        )?;
        Ok(())
    }

    /// Returns the token and user whose secret is given.
    pub fn authenticate(&self, secret: &str) -> Result<Option<(Token, User)>> {
        let connection = self.connection();
        let hash = digest(&SHA256, secret.as_bytes());
        let found = connection
            .prepare_cached("SELECT * FROM tokens WHERE hash = ?1")?
            .query_row([hash.as_ref()], token)
            .optional()?;
        let Some(token) = found else { return Ok(None) };
        let user = connection
            .prepare_cached("SELECT * FROM users WHERE id = ?1")?
            .query_row([token.user.to_string()], user)?;
        Ok(Some((token, user)))
    }

    pub fn tokens(&self, of: UserId) -> Result<Vec<Token>> {
        let connection = self.connection();
        let mut statement = connection
            .prepare("SELECT * FROM tokens WHERE user = ?1 ORDER BY created_at, rowid")?;
        let tokens =
            statement.query_map([of.to_string()], token)?.collect::<rusqlite::Result<_>>()?;
        Ok(tokens)
    }

    /// Returns whether there was such a token of this user.
    pub fn delete_token(&self, of: UserId, id: TokenId) -> Result<bool> {
        let deleted = self.connection().execute(
            "DELETE FROM tokens WHERE user = ?1 AND id = ?2",
            [of.to_string(), id.to_string()],
        )?;
        Ok(deleted > 0)
    }

    pub fn insert_key(&self, key: &Key) -> Result<()> {
        self.connection()
            .execute(
                "INSERT INTO keys (id, user, public_key, comment, fingerprint, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    key.id.to_string(),
                    key.user.to_string(),
                    key.public_key,
                    key.comment,
                    key.fingerprint,
                    key.created_at as i64
                ],
            )
            .map_err(taken("this key"))?;
        Ok(())
    }

    pub fn keys(&self, of: UserId) -> Result<Vec<Key>> {
        let connection = self.connection();
        let mut statement =
            connection.prepare("SELECT * FROM keys WHERE user = ?1 ORDER BY created_at, rowid")?;
        let keys = statement.query_map([of.to_string()], key)?.collect::<rusqlite::Result<_>>()?;
        Ok(keys)
    }

    /// Returns the user who owns the key with this `SHA256:…` fingerprint.
    pub fn user_of_key(&self, fingerprint: &str) -> Result<Option<User>> {
        Ok(self
            .connection()
            .query_row(
                "SELECT users.* FROM users JOIN keys ON keys.user = users.id WHERE keys.fingerprint = ?1",
                [fingerprint],
                user,
            )
            .optional()?)
    }

    /// Returns whether there was such a key of this user.
    pub fn delete_key(&self, of: UserId, id: KeyId) -> Result<bool> {
        let deleted = self.connection().execute(
            "DELETE FROM keys WHERE user = ?1 AND id = ?2",
            [of.to_string(), id.to_string()],
        )?;
        Ok(deleted > 0)
    }
}
