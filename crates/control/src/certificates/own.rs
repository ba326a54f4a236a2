//! The certificates of the server itself: what its API shows.

use super::PrivateCertificates;
use super::authority::{self, permits};
use crate::platform::now_ms;
use crate::{Platform, Result};
use std::path::Path;
use std::sync::PoisonError;
use windlass_core::certificate::{Origin, check, covers};

/// Names by which clients of the API reach a server on their own machine.
const LOCAL_NAMES: &[&str] = &["localhost", "api.localhost", "git.localhost", "registry.localhost"];

/// A certificate that the API can show.
#[derive(Clone, Debug)]
pub struct OwnCertificate {
    /// The names that it is for, in lower case.
    pub names: Vec<String>,
    pub chain_pem: String,
    pub key_pem: String,
}

type FromFiles = std::result::Result<OwnCertificate, String>;

/// The one of the private authority, kept as long as the server runs.
#[derive(Clone, Debug)]
pub(super) struct Issued {
    certificate: OwnCertificate,
    not_after: u64,
}

impl Platform {
    /// Returns the certificates that the API can show, in the order in which they are tried: the
    /// one in the files of `api.certificate_file`, those of the platform that are for the API's
    /// host, and one of the private authority, whose chain ends with the authority's own.
    pub fn own_certificates(&self) -> Result<Vec<OwnCertificate>> {
        let now = now_ms();
        let host = self.api_host();
        let mut found = Vec::new();
        match self.certificate_of_files(now) {
            Some(Ok(certificate)) => found.push(certificate),
            Some(Err(reason)) => {
                tracing::error!(reason, "api.certificate_file and api.key_file cannot be used");
            }
            None => {}
        }
        let mut platform = self.store().certificates_of(None)?;
        platform.retain(|known| known.origin != Origin::Private && known.not_after > now);
        platform.sort_by_key(|known| (known.origin, std::cmp::Reverse(known.not_after)));
        let names_host = |name: &String| covers(name, &host);
        found.extend(platform.into_iter().filter(|known| known.names.iter().any(names_host)).map(
            |known| OwnCertificate {
                names: known.names,
                chain_pem: known.chain_pem,
                key_pem: known.key_pem,
            },
        ));
        if self.settings().private_certificates != PrivateCertificates::Off {
            found.push(self.private_own_certificate(&host, now)?);
        }
        Ok(found)
    }

    /// Returns the host in the API's URL, in lower case.
    fn api_host(&self) -> String {
        let url = &self.settings().api_url;
        let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or_default();
        let name_end = authority.rfind(']').map_or(0, |end| end + 1);
        let end = authority[name_end..].find(':').map_or(authority.len(), |at| name_end + at);
        authority[..end].to_ascii_lowercase()
    }

    fn certificate_of_files(&self, now: u64) -> Option<FromFiles> {
        let (chain, key) = self.settings().api_certificate.as_ref()?;
        Some(read_files(chain, key, now))
    }

    fn private_own_certificate(&self, host: &str, now: u64) -> Result<OwnCertificate> {
        let authority = self.authority(now)?;
        let issued = &self.certificate_sync().own;
        let mut issued = issued.lock().unwrap_or_else(PoisonError::into_inner);
        let is_signed_by =
            |known: &Issued| known.certificate.chain_pem.ends_with(&authority.certificate_pem);
        if let Some(known) = &*issued
            && is_signed_by(known)
            && !authority::is_due(known.not_after, now)
        {
            return Ok(known.certificate.clone());
        }
        let domain = &self.settings().domain;
        let below = ["api", "git", "registry"].map(|label| format!("{label}.{domain}"));
        let mut names: Vec<String> = LOCAL_NAMES.iter().map(ToString::to_string).collect();
        for name in below.into_iter().chain([host.to_owned()]) {
            let is_name = name.parse::<std::net::IpAddr>().is_err() && !name.starts_with('[');
            if is_name && !names.contains(&name) && permits(&authority, &name) {
                names.push(name);
            }
        }
        let (chain_pem, key_pem) = authority::issue(&authority, &names, now)?;
        let not_after = windlass_core::certificate::details(&chain_pem)?.not_after;
        let chain_pem = format!("{chain_pem}{}", authority.certificate_pem);
        let certificate = OwnCertificate { names, chain_pem, key_pem };
        *issued = Some(Issued { certificate: certificate.clone(), not_after });
        Ok(certificate)
    }
}

fn read_files(chain: &Path, key: &Path, now: u64) -> FromFiles {
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let checked = check(&read(chain)?, &read(key)?, now).map_err(|error| error.to_string())?;
    Ok(OwnCertificate {
        names: checked.details.names,
        chain_pem: checked.chain_pem,
        key_pem: checked.key_pem,
    })
}
