//! Custom domains. The default one (`<app>.<domain>`) is derived, not stored.

use crate::{Result, Store, parsed, parsed_optional, taken};
use rusqlite::params;
use windlass_core::ids::{AppId, CertificateId, DomainId};
use windlass_core::names::Hostname;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    pub id: DomainId,
    pub app: AppId,
    pub hostname: Hostname,
    /// The certificate that somebody chose for it; `None`: whichever covers it.
    pub certificate: Option<CertificateId>,
    pub created_at: u64,
}

impl Store {
    pub fn insert_domain(&self, domain: &Domain) -> Result<()> {
        self.connection()
            .execute(
                "INSERT INTO domains (id, app, hostname, created_at) VALUES (?1, ?2, ?3, ?4)",
                params![
                    domain.id.to_string(),
                    domain.app.to_string(),
                    domain.hostname.as_str(),
                    domain.created_at as i64
                ],
            )
            .map_err(taken(&format!("the domain {}", domain.hostname)))?;
        Ok(())
    }

    pub fn domains(&self, app: AppId) -> Result<Vec<Domain>> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT * FROM domains WHERE app = ?1 ORDER BY hostname")?;
        let rows = statement.query_map([app.to_string()], domain_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the domains of all apps.
    pub fn all_domains(&self) -> Result<Vec<Domain>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT * FROM domains ORDER BY hostname")?;
        let rows = statement.query_map([], domain_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns whether the app had such a domain.
    pub fn delete_domain(&self, app: AppId, id: DomainId) -> Result<bool> {
        let deleted = self.connection().execute(
            "DELETE FROM domains WHERE app = ?1 AND id = ?2",
            [app.to_string(), id.to_string()],
        )?;
        Ok(deleted > 0)
    }
}

fn domain_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Domain> {
    Ok(Domain {
        id: parsed(row, "id")?,
        app: parsed(row, "app")?,
        hostname: parsed(row, "hostname")?,
        certificate: parsed_optional(row, "certificate")?,
        created_at: row.get::<_, i64>("created_at")? as u64,
    })
}
