//! Automatic certificates: accounts at authorities (sealed) and what is known of each certificate.

use crate::{Result, Store, StoreError, parsed, parsed_optional};
use rusqlite::{OptionalExtension, Row, params};
use std::collections::{BTreeMap, BTreeSet};
use windlass_core::acme::{CertificateState, Failure, Issued};
use windlass_core::ids::AppId;

/// An account at a certificate authority.
#[derive(Clone, PartialEq, Eq)]
pub struct AcmeAccount {
    /// The URL of the authority's directory.
    pub directory: String,
    pub email: String,
    /// What the client needs to use it again, its private key among it; as JSON.
    pub credentials: String,
    pub created_at: u64,
}

/// The key is not shown.
impl std::fmt::Debug for AcmeAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AcmeAccount").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Store {
    /// Returns the account at the authority with this directory.
    pub fn acme_account(&self, directory: &str) -> Result<Option<AcmeAccount>> {
        let found = {
            let connection = self.connection();
            let mut statement =
                connection.prepare_cached("SELECT * FROM acme_accounts WHERE directory = ?1")?;
            let row = statement.query_row([directory], |row| {
                let account = AcmeAccount {
                    directory: row.get("directory")?,
                    email: row.get("email")?,
                    credentials: String::new(),
                    created_at: row.get::<_, i64>("created_at")? as u64,
                };
                Ok((account, row.get::<_, Vec<u8>>("credentials")?))
            });
            row.optional()?
        };
        let Some((account, sealed)) = found else { return Ok(None) };
        let credentials = String::from_utf8(self.key.open(&sealed)?).map_err(|_| {
            StoreError::Unreadable("the credentials of an account are not text".to_owned())
        })?;
        Ok(Some(AcmeAccount { credentials, ..account }))
    }

    /// Stores an account in place of the one at the same authority.
    pub fn save_acme_account(&self, account: &AcmeAccount) -> Result<()> {
        let sealed = self.key.seal(account.credentials.as_bytes())?;
        self.connection().execute(
            "INSERT OR REPLACE INTO acme_accounts (directory, email, credentials, created_at) VALUES (?1, ?2, ?3, ?4)",
            params![account.directory, account.email, sealed, account.created_at as i64],
        )?;
        Ok(())
    }

    /// Forgets an account that the authority does not know any more.
    pub fn delete_acme_account(&self, directory: &str) -> Result<()> {
        self.connection().execute("DELETE FROM acme_accounts WHERE directory = ?1", [directory])?;
        Ok(())
    }

    /// Returns what is known of all certificates of this authority, by their first name.
    pub fn acme_certificates(&self, directory: &str) -> Result<BTreeMap<String, CertificateState>> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT * FROM acme_certificates WHERE directory = ?1")?;
        let rows =
            statement.query_map([directory], |row| Ok((row.get("name")?, state_of(row)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns what is known of the certificate with this first name.
    pub fn acme_certificate(
        &self,
        directory: &str,
        name: &str,
    ) -> Result<Option<CertificateState>> {
        let connection = self.connection();
        let sql = "SELECT * FROM acme_certificates WHERE directory = ?1 AND name = ?2";
        let mut statement = connection.prepare_cached(sql)?;
        Ok(statement.query_row([directory, name], state_of).optional()?)
    }

    /// Stores what is known of a certificate.
    pub fn save_acme_certificate(
        &self,
        directory: &str,
        name: &str,
        app: Option<AppId>,
        state: &CertificateState,
    ) -> Result<()> {
        let (issued, failure) = (state.issued, state.failure.as_ref());
        let time = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
        self.connection().execute(
            "INSERT OR REPLACE INTO acme_certificates (name, app, directory, not_before, not_after, renew_at, failures, failure_kind, failure_message, failure_at, next_at, checked_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                name,
                app.map(|app| app.to_string()),
                directory,
                issued.map(|issued| time(issued.not_before)),
                issued.map(|issued| time(issued.not_after)),
                issued.map(|issued| time(issued.renew_at)),
                state.failures,
                failure.map(|failure| failure.kind.as_str()),
                failure.map(|failure| failure.message.as_str()),
                failure.map(|failure| time(failure.at)),
                time(state.next_at),
                state.checked_at.map(time),
            ],
        )?;
        Ok(())
    }

    /// Forgets what is known of a certificate.
    pub fn delete_acme_certificate(&self, name: &str) -> Result<()> {
        self.connection().execute("DELETE FROM acme_certificates WHERE name = ?1", [name])?;
        Ok(())
    }

    /// Returns the apps that want no automatic certificates.
    pub fn apps_without_acme(&self) -> Result<BTreeSet<AppId>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT app FROM acme_disabled")?;
        let rows = statement.query_map([], |row| parsed(row, "app"))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Says whether an app wants automatic certificates.
    pub fn set_acme(&self, app: AppId, wanted: bool) -> Result<()> {
        let sql = if wanted {
            "DELETE FROM acme_disabled WHERE app = ?1"
        } else {
            "INSERT OR IGNORE INTO acme_disabled (app) VALUES (?1)"
        };
        self.connection().execute(sql, [app.to_string()])?;
        Ok(())
    }
}

fn state_of(row: &Row<'_>) -> rusqlite::Result<CertificateState> {
    let time = |column: &str| -> rusqlite::Result<Option<u64>> {
        Ok(row.get::<_, Option<i64>>(column)?.map(|at| at as u64))
    };
    let issued = match (time("not_before")?, time("not_after")?, time("renew_at")?) {
        (Some(not_before), Some(not_after), Some(renew_at)) => {
            Some(Issued { not_before, not_after, renew_at })
        }
        _ => None,
    };
    let failure = match (parsed_optional(row, "failure_kind")?, time("failure_at")?) {
        (Some(kind), Some(at)) => {
            let message: Option<String> = row.get("failure_message")?;
            Some(Failure { kind, message: message.unwrap_or_default(), at })
        }
        _ => None,
    };
    Ok(CertificateState {
        issued,
        failures: row.get("failures")?,
        failure,
        next_at: row.get::<_, i64>("next_at")? as u64,
        checked_at: time("checked_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_core::acme::FailureKind;

    const DIRECTORY: &str = "https://ca.example/directory";

    #[test]
    fn accounts_are_sealed_and_kept_by_their_authority() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let account = AcmeAccount {
            directory: DIRECTORY.to_owned(),
            email: "me@example.com".to_owned(),
            credentials: "{\"key\":\"very secret\"}".to_owned(),
            created_at: 7,
        };
        assert_eq!(store.acme_account(DIRECTORY).unwrap(), None);
        store.save_acme_account(&account).unwrap();
        assert_eq!(store.acme_account(DIRECTORY).unwrap(), Some(account));
        assert_eq!(store.acme_account("https://other.example").unwrap(), None);
        let bytes: Vec<u8> = std::fs::read_dir(folder.path())
            .unwrap()
            .flat_map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
            .collect();
        assert!(!bytes.windows(11).any(|part| part == b"very secret"));
        store.delete_acme_account(DIRECTORY).unwrap();
        assert_eq!(store.acme_account(DIRECTORY).unwrap(), None);
    }

    #[test]
    fn what_is_known_of_a_certificate_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut state = CertificateState::default();
        let save = |state: &CertificateState| {
            store.save_acme_certificate(DIRECTORY, "www.example.com", None, state).unwrap();
            let one = store.acme_certificate(DIRECTORY, "www.example.com").unwrap();
            let all = store.acme_certificates(DIRECTORY).unwrap();
            assert_eq!(one.as_ref(), all.get("www.example.com"));
            one.unwrap()
        };
        assert_eq!(save(&state), state);
        state.checked(3);
        assert_eq!(save(&state), state);
        state.issued(1_000, 91_000, 0);
        assert_eq!(save(&state), state);
        state.failed(FailureKind::Refused, "no".to_owned(), Some(u64::MAX), 5, 9);
        assert_eq!(save(&state), state);
        assert!(store.acme_certificates("https://other.example").unwrap().is_empty());
        store.delete_acme_certificate("www.example.com").unwrap();
        assert!(store.acme_certificates(DIRECTORY).unwrap().is_empty());
    }
}
