//! Settings of TLS and of proxies in front of the router.

use std::net::SocketAddr;
use std::path::PathBuf;
use windlass_control::certificates::PrivateCertificates;
use windlass_core::route::ListenOptions;
use windlass_core::routing_settings::Network;

/// How the API is served over TLS.
#[derive(Clone, Debug, Default)]
pub struct ApiTlsConfig {
    pub listen: Option<SocketAddr>,
    pub certificate_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
}

impl ApiTlsConfig {
    /// Returns what is wrong with the settings together.
    pub fn fault(&self) -> Option<String> {
        (self.certificate_file.is_some() != self.key_file.is_some())
            .then(|| "api.certificate_file and api.key_file go together".to_owned())
    }

    /// Returns the files of a certificate and its key.
    pub fn certificate(&self) -> Option<(PathBuf, PathBuf)> {
        self.certificate_file.clone().zip(self.key_file.clone())
    }
}

/// These settings as they were given.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    pub https_listen: Option<SocketAddr>,
    pub https_public_port: Option<u16>,
    pub trusted_proxies: Vec<Network>,
    pub proxy_protocol: bool,
    pub h2c: bool,
    pub http3: bool,
    pub private_certificates: PrivateCertificates,
}

impl TlsConfig {
    pub fn empty() -> Self {
        Self {
            https_listen: None,
            https_public_port: None,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            h2c: true,
            http3: false,
            private_certificates: PrivateCertificates::Off,
        }
    }

    /// Returns what is wrong with the settings together.
    pub fn fault(&self) -> Option<String> {
        if self.http3 && self.https_listen.is_none() {
            return Some(
                "router.http3 needs router.https_listen: it is served beside it".to_owned(),
            );
        }
        (self.proxy_protocol && self.trusted_proxies.is_empty()).then(|| {
            "router.proxy_protocol needs router.trusted_proxies: only from those a PROXY header is taken".to_owned()
        })
    }

    /// Returns what the router has to know.
    pub fn options(&self) -> ListenOptions {
        ListenOptions {
            https: self.https_listen,
            https_public_port: self.https_public_port,
            trusted_proxies: self.trusted_proxies.clone(),
            proxy_protocol: self.proxy_protocol,
            without_h2c: !self.h2c,
            http3: self.http3,
            ssh: false,
        }
    }
}

pub(super) fn networks(text: &str) -> Result<Vec<Network>, String> {
    let expected = "expected addresses and networks with blanks between, for example 10.0.0.0/8";
    let parsed = text.split_whitespace().map(str::parse).collect::<Result<_, _>>();
    parsed.map_err(|_| expected.to_owned())
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off".to_owned()),
    }
}

pub(super) fn private_certificates(text: &str) -> Result<PrivateCertificates, String> {
    match text {
        "off" => Ok(PrivateCertificates::Off),
        "auto" => Ok(PrivateCertificates::PrivateNames),
        "on" => Ok(PrivateCertificates::Domain),
        _ => Err("expected auto, on or off".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_or_refused() {
        assert_eq!(networks("").unwrap(), Vec::new());
        assert_eq!(networks(" 10.0.0.0/8  ::1 ").unwrap().len(), 2);
        assert!(networks("10.0.0.0/8,::1").is_err() && networks("10.0.0.0/40").is_err());
        assert!(switch("on").unwrap() && !switch("off").unwrap() && switch("yes").is_err());
        assert_eq!(private_certificates("auto").unwrap(), PrivateCertificates::PrivateNames);
        assert!(private_certificates("").is_err());
    }

    #[test]
    fn http3_is_served_beside_tls() {
        let mut config = TlsConfig { http3: true, ..TlsConfig::empty() };
        assert!(config.fault().unwrap().contains("router.https_listen"));
        config.https_listen = Some("127.0.0.1:8443".parse().unwrap());
        assert_eq!(config.fault(), None);
        assert!(config.options().http3);
    }

    #[test]
    fn proxy_headers_are_taken_from_somebody() {
        let mut config = TlsConfig { proxy_protocol: true, ..TlsConfig::empty() };
        assert!(config.fault().unwrap().contains("router.trusted_proxies"));
        config.trusted_proxies = networks("10.0.0.0/8").unwrap();
        assert_eq!(config.fault(), None);
        assert!(config.options().proxy_protocol);
    }
}
