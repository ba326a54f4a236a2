//! Settings of how the world reaches this server: its addresses, its zone, its certificates.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use windlass_control::PublicSettings;
use windlass_control::acme::AcmeSettings;
use windlass_core::acme::ChallengeKind;
use windlass_core::zone::Zone;

/// These settings as they were given.
#[derive(Clone, Debug)]
pub struct PublicConfig {
    pub addresses: Vec<IpAddr>,
    pub zone: Option<String>,
    pub dns_listen: SocketAddr,
    pub acme_email: Option<String>,
    pub acme_directory: String,
    pub acme_ca_bundle: Option<PathBuf>,
    pub acme_challenges: Vec<ChallengeKind>,
    pub acme_name_server: Option<SocketAddr>,
}

impl PublicConfig {
    pub fn empty() -> Self {
        Self {
            addresses: Vec::new(),
            zone: None,
            dns_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            acme_email: None,
            acme_directory: String::new(),
            acme_ca_bundle: None,
            acme_challenges: Vec::new(),
            acme_name_server: None,
        }
    }

    /// Returns what is wrong with the settings together.
    pub fn fault(&self) -> Option<String> {
        (self.zone.is_some() && self.addresses.is_empty()).then(|| {
            "dns.zone needs public_addresses: a zone has to say where its names lead".to_owned()
        })
    }

    /// Returns the zone to answer for.
    pub fn zone(&self) -> Option<Zone> {
        let name = self.zone.clone()?;
        Some(Zone { name, listen: self.dns_listen, addresses: self.addresses.clone() })
    }

    /// Returns what the control plane has to know; `zone_listen` is where the zone is answered.
    /// Without TLS nothing can be proved by it.
    pub fn settings(&self, zone_listen: Option<SocketAddr>, has_https: bool) -> PublicSettings {
        let acme = self.acme_email.clone().map(|email| AcmeSettings {
            email,
            directory: self.acme_directory.clone(),
            ca_bundle: self.acme_ca_bundle.clone(),
            challenges: self
                .acme_challenges
                .iter()
                .copied()
                .filter(|kind| has_https || *kind != ChallengeKind::TlsAlpn01)
                .collect(),
        });
        PublicSettings {
            addresses: self.addresses.clone(),
            zone: self
                .zone()
                .map(|zone| Zone { listen: zone_listen.unwrap_or(zone.listen), ..zone }),
            name_server: self.acme_name_server,
            acme,
        }
    }
}

pub(super) fn addresses(text: &str) -> Result<Vec<IpAddr>, String> {
    let parsed = text.split_whitespace().map(str::parse).collect::<Result<_, _>>();
    parsed.map_err(|_| "expected IP addresses with blanks between".to_owned())
}

pub(super) fn email(text: &str) -> Result<String, String> {
    let is_one = text.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && host.contains('.') && !text.contains(char::is_whitespace)
    });
    if is_one { Ok(text.to_owned()) } else { Err("expected an e-mail address".to_owned()) }
}

pub(super) fn challenges(text: &str) -> Result<Vec<ChallengeKind>, String> {
    let known = [ChallengeKind::Http01, ChallengeKind::TlsAlpn01];
    let parsed: Option<Vec<_>> = text
        .split_whitespace()
        .map(|word| known.into_iter().find(|kind| kind.as_str() == word))
        .collect();
    parsed
        .filter(|kinds| !kinds.is_empty())
        .ok_or_else(|| "expected http-01, tls-alpn-01, or both with a blank between".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_or_refused() {
        assert_eq!(addresses("").unwrap(), Vec::<IpAddr>::new());
        assert_eq!(addresses(" 192.0.2.1  2001:db8::1 ").unwrap().len(), 2);
        assert!(addresses("192.0.2.1:53").is_err());
        assert!(email("me@example.com").is_ok());
        for bad in ["me", "@example.com", "me@localhost", "me you@example.com"] {
            assert!(email(bad).is_err(), "{bad}");
        }
        let both = [ChallengeKind::TlsAlpn01, ChallengeKind::Http01];
        assert_eq!(challenges("tls-alpn-01 http-01").unwrap(), both);
        assert!(challenges("").is_err() && challenges("dns-01").is_err());
    }

    #[test]
    fn a_zone_has_to_lead_somewhere() {
        let mut config =
            PublicConfig { zone: Some("a.example".to_owned()), ..PublicConfig::empty() };
        assert!(config.fault().unwrap().contains("public_addresses"));
        config.addresses = vec![[192, 0, 2, 1].into()];
        assert_eq!(config.fault(), None);
        assert_eq!(config.zone().unwrap().addresses, config.addresses);
        assert!(config.settings(None, true).acme.is_none(), "off until somebody agrees");
    }
}
