//! State in one SQLite file (WAL, STRICT tables, foreign keys), one writer, one file a noun.
//!
//! Every method is one transaction. Times are milliseconds since the Unix epoch, handed in by
//! the caller. Config vars are sealed with the data directory's key before they are written.
#![forbid(unsafe_code)]

mod acme;
mod activity;
mod app_transfers;
mod apps;
mod buildpacks;
mod builds;
mod certificates;
mod collaborators;
mod copy;
mod cron;
mod cron_runs;
mod deploys;
mod domains;
mod git;
mod invitations;
mod log_drains;
mod migrations;
mod network_links;
mod passkeys;
mod pipelines;
mod pushed;
mod registries;
mod releases;
mod routing_settings;
mod seal;
mod second_factors;
mod slugs;
mod status;
mod teams;
mod tokens;
mod users;
mod volumes;
mod webhook_deliveries;
mod webhooks;

pub use acme::AcmeAccount;
pub use activity::{ACTIVITY_KEPT, Activity};
pub use app_transfers::{AppTransfer, TransferState, UnknownTransferState};
pub use apps::{App, Formation};
pub use builds::Build;
pub use certificates::{Certificate, CertificateAuthority};
pub use collaborators::Collaborator;
pub use copy::{copy_database, known_schema, schema_of};
pub use cron::CronJob;
pub use cron_runs::{CronRun, NewCronRun};
pub use deploys::Deploys;
pub use domains::Domain;
pub use git::{GitCredential, GitSource};
pub use invitations::Invitation;
pub use log_drains::LogDrain;
pub use network_links::NetworkLink;
pub use passkeys::Passkey;
pub use pipelines::{
    AppSetup, Coupling, OwnerKind, Pipeline, PipelineOwner, Promotion, PromotionTarget, ReviewApp,
    ReviewAppConfig, ReviewAppStatus,
};
pub use pushed::PushedManifest;
pub use registries::Registry;
pub use releases::{NewRelease, Release};
pub use seal::SealingKey;
pub use second_factors::SecondFactor;
pub use slugs::Slug;
pub use status::Status;
pub use teams::{Given, Membership, Team};
pub use tokens::USE_RESOLUTION;
pub use users::{Key, Token, User};
pub use volumes::{Volume, VolumeSnapshot};
pub use webhook_deliveries::{DeliveryAttempt, DeliveryStatus, WebhookDelivery, WebhookEvent};
pub use webhooks::{WatchedApp, Webhook, WebhookTarget};

use rusqlite::Connection;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database refused a statement")]
    Database(#[from] rusqlite::Error),
    #[error("{0} is taken")]
    Taken(String),
    #[error("the database holds something this version cannot read: {0}")]
    Unreadable(String),
    #[error("the database is of a newer Windlass (schema {found}, this one knows {known})")]
    TooNew { found: u32, known: u32 },
    #[error(
        "a sealed value cannot be opened: is the key file {0:?} the one that belongs to this data directory?"
    )]
    WrongKey(std::path::PathBuf),
    #[error("{action} {path:?}")]
    Io { action: &'static str, path: std::path::PathBuf, source: std::io::Error },
}

/// A build's status.
pub type BuildStatus = Status;
/// A release's status.
pub type ReleaseStatus = Status;

pub type Result<T> = std::result::Result<T, StoreError>;

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    connection: Arc<Mutex<Connection>>,
    key: Arc<SealingKey>,
}

impl Store {
    /// Opens or makes the database `windlass.db` and the key file `secret.key` below `directory`.
    pub fn open(directory: &Path) -> Result<Self> {
        let key = SealingKey::load_or_create(&directory.join("secret.key"))?;
        let file = directory.join("windlass.db");
        let mut connection = Connection::open(&file)?;
        // SQLite gives the same mode to the files it makes beside it.
        let closed = std::fs::Permissions::from_mode(0o600);
        let failed =
            |source| StoreError::Io { action: "close to others", path: file.clone(), source };
        std::fs::set_permissions(&file, closed).map_err(failed)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // An acknowledged change must survive a power cut, not only a crash.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "cache_size", -2_000)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        migrations::apply(&mut connection)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), key: Arc::new(key) })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic in another method rolled its transaction back; the connection is sound.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a value that was stored as text through `FromStr`.
fn parsed<T: std::str::FromStr>(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}

/// As [`parsed`], for a column that may be NULL.
fn parsed_optional<T: std::str::FromStr>(
    row: &rusqlite::Row<'_>,
    column: &str,
) -> rusqlite::Result<Option<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    match row.get::<_, Option<String>>(column)? {
        Some(_) => parsed(row, column).map(Some),
        None => Ok(None),
    }
}

/// Reads a JSON column.
fn json<T: serde::de::DeserializeOwned>(
    row: &rusqlite::Row<'_>,
    column: &str,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Unreadable(error.to_string()))
}

/// Turns a uniqueness violation into [`StoreError::Taken`].
fn taken(what: &str) -> impl FnOnce(rusqlite::Error) -> StoreError + '_ {
    move |error| match &error {
        rusqlite::Error::SqliteFailure(failure, _)
            if failure.code == rusqlite::ErrorCode::ConstraintViolation =>
        {
            StoreError::Taken(what.to_owned())
        }
        _ => StoreError::Database(error),
    }
}

#[cfg(test)]
mod cron_tests;
#[cfg(test)]
mod people_tests;
#[cfg(test)]
mod pushed_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod webhook_tests;
