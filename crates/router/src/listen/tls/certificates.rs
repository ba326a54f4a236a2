//! The certificate table: an immutable snapshot, found by the name that a client asks for.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::Arc;
use windlass_core::route::RouteCertificate;

/// A certificate that was sent cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the certificate for {hosts} cannot be used: {reason}")]
pub(crate) struct InvalidCertificate {
    hosts: String,
    reason: String,
}

/// All certificates at one moment.
#[derive(Default, Debug)]
pub(super) struct CertificateTable {
    exact: HashMap<Box<str>, Arc<CertifiedKey>>,
    /// `*.example.com` without its star and dot.
    wildcards: HashMap<Box<str>, Arc<CertifiedKey>>,
    /// For clients that name no host, or one that has no certificate.
    default: Option<Arc<CertifiedKey>>,
    /// As they were sent, with what they have become.
    sent: Vec<(RouteCertificate, Arc<CertifiedKey>)>,
    generation: u64,
}

impl CertificateTable {
    /// Reads certificates, except those that `before` has read already.
    pub fn new(
        certificates: Vec<RouteCertificate>,
        before: &Self,
        generation: u64,
    ) -> Result<Self, InvalidCertificate> {
        let known: HashMap<(&str, &str), &Arc<CertifiedKey>> = before
            .sent
            .iter()
            .map(|(sent, key)| ((sent.chain_pem.as_str(), sent.key_pem.as_str()), key))
            .collect();
        let mut table = Self { generation, ..Self::default() };
        for certificate in certificates {
            let found = known.get(&(certificate.chain_pem.as_str(), certificate.key_pem.as_str()));
            let key = match found {
                Some(key) => Arc::clone(key),
                None => read(&certificate)?,
            };
            table.put(certificate, key);
        }
        Ok(table)
    }

    /// The same without those that cannot be used.
    pub fn of_usable(certificates: Vec<RouteCertificate>) -> Self {
        let mut table = Self::default();
        for certificate in certificates {
            match read(&certificate) {
                Ok(key) => table.put(certificate, key),
                Err(error) => tracing::warn!(%error, "a saved certificate is left out"),
            }
        }
        table
    }

    fn put(&mut self, certificate: RouteCertificate, key: Arc<CertifiedKey>) {
        for host in &certificate.hosts {
            let host = host.to_ascii_lowercase();
            match host.strip_prefix("*.") {
                Some(suffix) => self.wildcards.insert(suffix.into(), Arc::clone(&key)),
                None => self.exact.insert(host.into(), Arc::clone(&key)),
            };
        }
        if certificate.is_default {
            self.default = Some(Arc::clone(&key));
        }
        self.sent.push((certificate, key));
    }

    /// Returns the certificate for a name: of exactly this name, else of a wildcard, which stands
    /// for one label, else the default one.
    pub fn find(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let Some(name) = name else { return self.default.as_ref() };
        let lower;
        let name = match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => {
                lower = name.to_ascii_lowercase();
                lower.as_str()
            }
            false => name,
        };
        self.exact
            .get(name)
            .or_else(|| self.wildcards.get(name.split_once('.')?.1))
            .or(self.default.as_ref())
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub fn sent(&self) -> &[(RouteCertificate, Arc<CertifiedKey>)] {
        &self.sent
    }
}

fn read(certificate: &RouteCertificate) -> Result<Arc<CertifiedKey>, InvalidCertificate> {
    let read = certified_key(&certificate.chain_pem, &certificate.key_pem);
    read.map(Arc::new)
        .map_err(|reason| InvalidCertificate { hosts: certificate.hosts.join(", "), reason })
}

/// Reads a chain and its key and checks that they belong together.
pub(super) fn certified_key(chain_pem: &str, key_pem: &str) -> Result<CertifiedKey, String> {
    let certified = unchecked_key(chain_pem, key_pem)?;
    certified.keys_match().map_err(|error| error.to_string())?;
    Ok(certified)
}

/// The same for the certificate of a challenge: it is refused by whoever reads it as one, for it
/// must have a critical extension that only its authority knows.
pub(super) fn unchecked_key(chain_pem: &str, key_pem: &str) -> Result<CertifiedKey, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).collect();
    let chain = chain.map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes());
    let key = key.map_err(|error| error.to_string())?;
    let signing = rustls::crypto::ring::sign::any_supported_type(&key);
    Ok(CertifiedKey::new(chain, signing.map_err(|error| error.to_string())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(hosts: &[&str], is_default: bool) -> RouteCertificate {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let made = rcgen::generate_simple_self_signed(hosts.clone()).unwrap();
        let (chain_pem, key_pem) = (made.cert.pem(), made.signing_key.serialize_pem());
        RouteCertificate { hosts, is_default, chain_pem, key_pem }
    }

    #[test]
    fn exact_names_win_over_wildcards_over_the_default() {
        let sent = vec![
            certificate(&["www.example.com"], false),
            certificate(&["*.example.com", "Example.com"], false),
        ];
        let mut table =
            CertificateTable::new(sent.clone(), &CertificateTable::default(), 1).unwrap();
        let position = |table: &CertificateTable, name| {
            let found = table.find(name)?;
            table.sent().iter().position(|(_, key)| Arc::ptr_eq(key, found))
        };
        for (name, expected) in [
            (Some("www.example.com"), Some(0)),
            (Some("WWW.example.com"), Some(0)),
            (Some("api.example.com"), Some(1)),
            (Some("example.com"), Some(1)),
            (Some("a.b.example.com"), None),
            (Some("com"), None),
            (None, None),
        ] {
            assert_eq!(position(&table, name), expected, "{name:?}");
        }
        let more = [sent, vec![certificate(&["apps.example.net"], true)]].concat();
        let before = table.find(Some("example.com")).cloned().unwrap();
        table = CertificateTable::new(more, &table, 2).unwrap();
        for (name, expected) in [(None, 2), (Some("other.org"), 2), (Some("api.example.com"), 1)] {
            assert_eq!(position(&table, name), Some(expected), "{name:?}");
        }
        assert!(Arc::ptr_eq(&before, table.find(Some("example.com")).unwrap()), "read again");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let good = certificate(&["a.test", "b.test"], false);
        let other = certificate(&["a.test"], false);
        let wrong_key = RouteCertificate { key_pem: other.key_pem.clone(), ..good.clone() };
        let said = CertificateTable::new(vec![wrong_key], &CertificateTable::default(), 1);
        let said = said.unwrap_err().to_string();
        assert!(said.starts_with("the certificate for a.test, b.test cannot be used: "), "{said}");
        let broken = RouteCertificate { chain_pem: "nothing".to_owned(), ..other };
        let table = CertificateTable::of_usable(vec![broken, good]);
        assert_eq!(table.sent().len(), 1);
    }
}
