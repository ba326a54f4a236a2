//! Users and their SSH keys.

use crate::{Result, Store, parsed, taken};
use rusqlite::{OptionalExtension, Row, params};
use windlass_core::access::Scopes;
use windlass_core::ids::{KeyId, TokenId, UserId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub email: String,
    /// What they want to be called.
    pub name: Option<String>,
    /// When a token was last made for them interactively.
    pub last_login_at: Option<u64>,
    pub created_at: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub id: TokenId,
    pub user: UserId,
    pub description: String,
    pub scopes: Scopes,
    pub created_at: u64,
    pub updated_at: u64,
    /// It is good for nothing from then on; `None`: never.
    pub expires_at: Option<u64>,
    /// To within a minute.
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

pub(crate) fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: parsed(row, "id")?,
        email: row.get("email")?,
        name: row.get("name")?,
        last_login_at: row.get::<_, Option<i64>>("last_login_at")?.map(|at| at as u64),
        created_at: row.get::<_, i64>("created_at")? as u64,
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

/// What somebody proves themselves with and was given: none of it outlives their account.
const OF_ONE_USER: [&str; 7] = [
    "tokens",
    "keys",
    "passkeys",
    "team_members",
    "collaborators",
    "second_factors",
    "git_credentials",
];

impl Store {
    pub fn insert_user(&self, user: &User) -> Result<()> {
        self.connection()
            .execute(
                "INSERT INTO users (id, email, name, created_at) VALUES (?1, ?2, ?3, ?4)",
                params![user.id.to_string(), user.email, user.name, user.created_at as i64],
            )
            .map_err(taken(&format!("the user {}", user.email)))?;
        Ok(())
    }

    /// Returns the first user, who owns the server.
    pub fn owner(&self) -> Result<Option<User>> {
        Ok(self
            .connection()
            .prepare_cached("SELECT * FROM users ORDER BY created_at, rowid LIMIT 1")?
            .query_row([], user)
            .optional()?)
    }

    pub fn user(&self, id: UserId) -> Result<Option<User>> {
        Ok(self
            .connection()
            .prepare_cached("SELECT * FROM users WHERE id = ?1")?
            .query_row([id.to_string()], user)
            .optional()?)
    }

    /// Returns the user with this address, in lower case, unless they left.
    pub fn user_by_email(&self, email: &str) -> Result<Option<User>> {
        Ok(self
            .connection()
            .prepare_cached("SELECT * FROM users WHERE lower(email) = ?1 AND removed_at IS NULL")?
            .query_row([email.to_ascii_lowercase()], user)
            .optional()?)
    }

    /// Returns everybody who has not left, the server's owner first.
    pub fn users(&self) -> Result<Vec<User>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM users WHERE removed_at IS NULL ORDER BY created_at, rowid",
        )?;
        let users = statement.query_map([], user)?.collect::<rusqlite::Result<_>>()?;
        Ok(users)
    }

    pub fn set_user_name(&self, id: UserId, name: Option<&str>) -> Result<()> {
        self.connection()
            .execute("UPDATE users SET name = ?2 WHERE id = ?1", params![id.to_string(), name])?;
        Ok(())
    }

    pub fn set_last_login(&self, id: UserId, at: u64) -> Result<()> {
        self.connection().execute(
            "UPDATE users SET last_login_at = ?2 WHERE id = ?1",
            params![id.to_string(), at as i64],
        )?;
        Ok(())
    }

    /// Takes everything from a user that lets them in; builds and releases go on naming them.
    /// Apps of teams that they made become `heir`'s in name, and so do their pipelines.
    pub fn remove_user(&self, id: UserId, heir: UserId, now: u64) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        for table in OF_ONE_USER {
            let statement = format!("DELETE FROM {table} WHERE user = ?1");
            transaction.execute(&statement, [id.to_string()])?;
        }
        transaction.execute(
            "DELETE FROM app_transfers WHERE owner = ?1 OR recipient = ?1",
            [id.to_string()],
        )?;
        // One for their address would bring them back, for whoever has its secret.
        transaction.execute(
            "DELETE FROM invitations WHERE invited_by = ?1
             OR lower(email) = (SELECT lower(email) FROM users WHERE id = ?1)",
            [id.to_string()],
        )?;
        transaction.execute(
            "UPDATE pipelines SET owner = ?2 WHERE owner = ?1 AND owner_type = 'user'",
            [id.to_string(), heir.to_string()],
        )?;
        transaction.execute(
            "UPDATE apps SET owner = ?2 WHERE owner = ?1 AND team IS NOT NULL",
            [id.to_string(), heir.to_string()],
        )?;
        transaction.execute(
            "UPDATE users SET removed_at = ?2 WHERE id = ?1",
            params![id.to_string(), now as i64],
        )?;
        Ok(transaction.commit()?)
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
