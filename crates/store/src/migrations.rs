//! Numbered schema migrations; `user_version` is the number of the last one applied.

use crate::{Result, StoreError};
use rusqlite::Connection;

const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_buildpacks.sql"),
    include_str!("migrations/0003_git.sql"),
    include_str!("migrations/0004_registries.sql"),
    include_str!("migrations/0005_volumes.sql"),
    include_str!("migrations/0006_network_links.sql"),
    include_str!("migrations/0007_deploys.sql"),
    include_str!("migrations/0008_release_manifest.sql"),
    include_str!("migrations/0009_cron.sql"),
    include_str!("migrations/0010_certificates.sql"),
    include_str!("migrations/0011_acme.sql"),
    include_str!("migrations/0012_routing.sql"),
    include_str!("migrations/0013_people.sql"),
    include_str!("migrations/0014_slugs.sql"),
    include_str!("migrations/0015_pipelines.sql"),
    include_str!("migrations/0016_webhooks.sql"),
    include_str!("migrations/0017_passkeys.sql"),
    include_str!("migrations/0018_indexes.sql"),
];

/// Returns the number of the last migration.
pub fn known() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// Brings the schema up to date. Each migration runs in one transaction with its number, so an
/// interrupted start finds either the old or the new schema.
pub fn apply(connection: &mut Connection) -> Result<()> {
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = known();
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    for (number, sql) in (1u32..).zip(MIGRATIONS).skip(found as usize) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}
