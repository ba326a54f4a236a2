//! Certificates with their keys, which are sealed, and the private authority.

use crate::{Result, Store, StoreError, json, parsed, parsed_optional, taken, to_json};
use rusqlite::{OptionalExtension, Row, params};
use windlass_core::certificate::Origin;
use windlass_core::ids::{AppId, CertificateId, DomainId};

/// A certificate, whoever issued it.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    pub id: CertificateId,
    /// `None`: for the platform's own domain.
    pub app: Option<AppId>,
    /// `quick-harbor-12345`, for people.
    pub name: String,
    pub origin: Origin,
    /// Host names in lower case, in the certificate's order.
    pub names: Vec<String>,
    pub chain_pem: String,
    pub key_pem: String,
    pub not_after: u64,
    pub created_at: u64,
    pub updated_at: u64,
}

/// The key is not shown.
impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Certificate");
        shown.field("name", &self.name).field("origin", &self.origin).field("names", &self.names);
        shown.finish_non_exhaustive()
    }
}

/// The private authority's certificate and key.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateAuthority {
    pub certificate_pem: String,
    pub key_pem: String,
    /// The endings of names that it may sign for.
    pub permitted: Vec<String>,
}

impl Store {
    /// Stores a certificate; one with the same id is replaced.
    pub fn save_certificate(&self, certificate: &Certificate) -> Result<()> {
        let sealed = self.key.seal(certificate.key_pem.as_bytes())?;
        self.connection()
            .execute(
                "INSERT INTO certificates
                 (id, app, name, origin, names, chain, key, not_after, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                 ON CONFLICT (id) DO UPDATE
                 SET names = ?5, chain = ?6, key = ?7, not_after = ?8, updated_at = ?10",
                params![
                    certificate.id.to_string(),
                    certificate.app.map(|app| app.to_string()),
                    certificate.name,
                    certificate.origin.as_str(),
                    to_json(&certificate.names)?,
                    certificate.chain_pem,
                    sealed,
                    certificate.not_after as i64,
                    certificate.created_at as i64,
                    certificate.updated_at as i64
                ],
            )
            .map_err(taken(&format!("the certificate name {}", certificate.name)))?;
        Ok(())
    }

    /// Returns all certificates, oldest first.
    pub fn certificates(&self) -> Result<Vec<Certificate>> {
        self.certificates_by("SELECT * FROM certificates ORDER BY created_at, id", &[])
    }

    /// Returns the certificates of an app, or with `None` of the platform, oldest first.
    pub fn certificates_of(&self, app: Option<AppId>) -> Result<Vec<Certificate>> {
        let query = "SELECT * FROM certificates WHERE app IS ?1 ORDER BY created_at, id";
        self.certificates_by(query, &[app.map(|app| app.to_string())])
    }

    fn certificates_by(
        &self,
        query: &str,
        arguments: &[Option<String>],
    ) -> Result<Vec<Certificate>> {
        let rows: Vec<(Certificate, Vec<u8>)> = {
            let connection = self.connection();
            let mut statement = connection.prepare_cached(query)?;
            let rows = statement.query_map(rusqlite::params_from_iter(arguments), from_row)?;
            rows.collect::<rusqlite::Result<_>>()?
        };
        let opened = rows.into_iter().map(|(certificate, sealed)| {
            Ok(Certificate { key_pem: self.open_text(&sealed)?, ..certificate })
        });
        opened.collect()
    }

    /// Returns whether there was such a certificate.
    pub fn delete_certificate(&self, id: CertificateId) -> Result<bool> {
        let connection = self.connection();
        let deleted =
            connection.execute("DELETE FROM certificates WHERE id = ?1", [id.to_string()])?;
        Ok(deleted > 0)
    }

    /// Chooses the certificate of a domain; `None`: whichever covers it.
    pub fn set_domain_certificate(
        &self,
        domain: DomainId,
        certificate: Option<CertificateId>,
    ) -> Result<()> {
        self.connection().execute(
            "UPDATE domains SET certificate = ?2 WHERE id = ?1",
            params![domain.to_string(), certificate.map(|id| id.to_string())],
        )?;
        Ok(())
    }

    /// Returns the private authority, if there is one.
    pub fn certificate_authority(&self) -> Result<Option<CertificateAuthority>> {
        let found: Option<(String, Vec<u8>, Vec<String>)> = self
            .connection()
            .query_row("SELECT * FROM certificate_authority", [], |row| {
                Ok((row.get("certificate")?, row.get("key")?, json(row, "permitted")?))
            })
            .optional()?;
        let opened = found.map(|(certificate_pem, sealed, permitted)| {
            Ok(CertificateAuthority {
                certificate_pem,
                key_pem: self.open_text(&sealed)?,
                permitted,
            })
        });
        opened.transpose()
    }

    /// Replaces the private authority.
    pub fn set_certificate_authority(&self, authority: &CertificateAuthority) -> Result<()> {
        self.connection().execute(
            "INSERT OR REPLACE INTO certificate_authority (id, certificate, key, permitted)
             VALUES (1, ?1, ?2, ?3)",
            params![
                authority.certificate_pem,
                self.key.seal(authority.key_pem.as_bytes())?,
                to_json(&authority.permitted)?
            ],
        )?;
        Ok(())
    }

    fn open_text(&self, sealed: &[u8]) -> Result<String> {
        String::from_utf8(self.key.open(sealed)?)
            .map_err(|error| StoreError::Unreadable(error.to_string()))
    }
}

/// Returns the certificate without its key, and the sealed key.
fn from_row(row: &Row<'_>) -> rusqlite::Result<(Certificate, Vec<u8>)> {
    let certificate = Certificate {
        id: parsed(row, "id")?,
        app: parsed_optional(row, "app")?,
        name: row.get("name")?,
        origin: parsed(row, "origin")?,
        names: json(row, "names")?,
        chain_pem: row.get("chain")?,
        key_pem: String::new(),
        not_after: row.get::<_, i64>("not_after")? as u64,
        created_at: row.get::<_, i64>("created_at")? as u64,
        updated_at: row.get::<_, i64>("updated_at")? as u64,
    };
    Ok((certificate, row.get("key")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Domain;
    use crate::tests::{app, store};

    fn certificate(app: Option<AppId>, name: &str) -> Certificate {
        Certificate {
            id: CertificateId::random(),
            app,
            name: name.to_owned(),
            origin: Origin::Imported,
            names: vec!["www.example.com".to_owned()],
            chain_pem: "chain".to_owned(),
            key_pem: "a secret key".to_owned(),
            not_after: 5,
            created_at: 1,
            updated_at: 1,
        }
    }

    #[test]
    fn keys_are_sealed_and_certificates_go_with_their_app() {
        let (directory, store, user) = store();
        let app = app(&store, &user, "bibly");
        let own = certificate(Some(app.id), "calm-bay-1");
        let platform = certificate(None, "calm-bay-2");
        store.save_certificate(&own).unwrap();
        store.save_certificate(&platform).unwrap();
        let renewed = Certificate { key_pem: "another key".into(), updated_at: 9, ..own.clone() };
        store.save_certificate(&renewed).unwrap();
        assert_eq!(store.certificates_of(Some(app.id)).unwrap(), [renewed]);
        assert_eq!(store.certificates_of(None).unwrap(), std::slice::from_ref(&platform));
        assert_eq!(store.certificates().unwrap().len(), 2);
        let authority = CertificateAuthority {
            certificate_pem: "root".into(),
            key_pem: "root key".into(),
            permitted: vec!["localhost".into()],
        };
        assert!(store.certificate_authority().unwrap().is_none());
        store.set_certificate_authority(&authority).unwrap();
        assert!(store.certificate_authority().unwrap() == Some(authority));
        for file in std::fs::read_dir(directory.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            for secret in ["a secret key", "another key", "root key"] {
                let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
                assert!(!found, "{secret} is readable");
            }
        }
        store.delete_app(app.id).unwrap();
        assert_eq!(store.certificates().unwrap(), std::slice::from_ref(&platform));
        assert!(store.delete_certificate(platform.id).unwrap());
        assert!(!store.delete_certificate(platform.id).unwrap());
    }

    #[test]
    fn a_domain_keeps_its_choice_as_long_as_the_certificate_is_there() {
        let (_directory, store, user) = store();
        let app = app(&store, &user, "bibly");
        let (first, second) =
            (certificate(Some(app.id), "calm-bay-1"), certificate(Some(app.id), "calm-bay-1"));
        store.save_certificate(&first).unwrap();
        let taken = store.save_certificate(&second).unwrap_err().to_string();
        assert_eq!(taken, "the certificate name calm-bay-1 is taken");
        let domain = Domain {
            id: DomainId::random(),
            app: app.id,
            hostname: "www.example.com".parse().unwrap(),
            certificate: None,
            created_at: 1,
        };
        store.insert_domain(&domain).unwrap();
        let chosen = || store.domains(app.id).unwrap()[0].certificate;
        store.set_domain_certificate(domain.id, Some(first.id)).unwrap();
        assert_eq!(chosen(), Some(first.id));
        store.set_domain_certificate(domain.id, None).unwrap();
        assert_eq!(chosen(), None);
        store.set_domain_certificate(domain.id, Some(first.id)).unwrap();
        store.delete_certificate(first.id).unwrap();
        assert_eq!(chosen(), None);
    }
}
