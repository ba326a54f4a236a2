//! What the router answers to a certificate authority that checks who a name belongs to (ACME).

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Where HTTP-01 challenges are asked for; a token follows.
pub const HTTP_PATH: &str = "/.well-known/acme-challenge/";

/// The protocol in the TLS handshake by which TLS-ALPN-01 challenges are asked for.
pub const ALPN_PROTOCOL: &[u8] = b"acme-tls/1";

/// The label below which DNS-01 challenges are asked for.
pub const DNS_LABEL: &str = "_acme-challenge";

/// All challenges that are open. Replaced as a whole; kept in memory only.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Challenges {
    /// HTTP-01: for a host in lower case, the key authorisation of each token.
    #[serde(default)]
    pub http: BTreeMap<String, BTreeMap<String, String>>,
    /// TLS-ALPN-01: for a host in lower case, what to show in the handshake.
    #[serde(default)]
    pub alpn: BTreeMap<String, AlpnCertificate>,
    /// DNS-01: for a full name in lower case without final dot, the values of its TXT records.
    #[serde(default)]
    pub txt: BTreeMap<String, BTreeSet<String>>,
}

/// A certificate that answers a challenge and is good for nothing else.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct AlpnCertificate {
    pub certificate_pem: String,
    pub key_pem: String,
}

/// The key is not shown.
impl std::fmt::Debug for AlpnCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlpnCertificate").finish_non_exhaustive()
    }
}

impl Challenges {
    /// Returns what to answer to a request of this host for this token.
    #[must_use]
    pub fn key_authorization(&self, host: &str, token: &str) -> Option<&str> {
        self.http.get(host)?.get(token).map(String::as_str)
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.http.is_empty() && self.alpn.is_empty() && self.txt.is_empty()
    }
}

/// Returns the name at which the DNS-01 challenge of a name is asked for; of a wildcard it is that
/// of the name below which it stands.
#[must_use]
pub fn dns_name(hostname: &str) -> String {
    format!("{DNS_LABEL}.{}", hostname.strip_prefix("*.").unwrap_or(hostname))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_answers_for_its_host_only() {
        let tokens = BTreeMap::from([("t1".to_owned(), "t1.thumb".to_owned())]);
        let challenges = Challenges {
            http: BTreeMap::from([("a.example.com".to_owned(), tokens)]),
            ..Challenges::default()
        };
        assert_eq!(challenges.key_authorization("a.example.com", "t1"), Some("t1.thumb"));
        assert_eq!(challenges.key_authorization("a.example.com", "t2"), None);
        assert_eq!(challenges.key_authorization("b.example.com", "t1"), None);
        assert!(!challenges.is_empty() && Challenges::default().is_empty());
    }

    #[test]
    fn a_wildcard_is_proved_at_the_name_below_which_it_stands() {
        assert_eq!(dns_name("*.apps.example.com"), "_acme-challenge.apps.example.com");
        assert_eq!(dns_name("www.example.com"), "_acme-challenge.www.example.com");
    }
}
