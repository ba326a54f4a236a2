//! The zone that this server answers for as its authoritative name server.

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// The label of the zone's name server below it.
const NAME_SERVER: &str = "ns1";

/// A zone: every host name in it leads to the router.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Zone {
    /// In lower case, without final dot.
    pub name: String,
    /// Where questions are answered.
    pub listen: SocketAddr,
    /// The addresses at which the router is reached from outside. Not empty.
    pub addresses: Vec<IpAddr>,
}

/// A record to set in the zone above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentRecord {
    pub name: String,
    /// `NS`, `A` or `AAAA`
    pub kind: &'static str,
    pub value: String,
}

impl Zone {
    /// Returns the name of the zone's name server.
    #[must_use]
    pub fn name_server(&self) -> String {
        format!("{NAME_SERVER}.{}", self.name)
    }

    /// Returns whether a name, also a wildcard, is in the zone.
    #[must_use]
    pub fn contains(&self, hostname: &str) -> bool {
        is_within(hostname, &self.name)
    }

    /// Returns the records by which the zone above leads here: whose it is, and where that is.
    #[must_use]
    pub fn parent_records(&self) -> Vec<ParentRecord> {
        let name_server = self.name_server();
        let owner =
            ParentRecord { name: self.name.clone(), kind: "NS", value: name_server.clone() };
        let addresses = self.addresses.iter().map(|address| ParentRecord {
            name: name_server.clone(),
            kind: if address.is_ipv4() { "A" } else { "AAAA" },
            value: address.to_string(),
        });
        std::iter::once(owner).chain(addresses).collect()
    }
}

/// Returns whether a name, also a wildcard, is `domain` or below it.
#[must_use]
pub fn is_within(hostname: &str, domain: &str) -> bool {
    let hostname = hostname.strip_prefix("*.").unwrap_or(hostname);
    hostname.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_above_is_told_the_name_server_and_its_addresses() {
        let zone = Zone {
            name: "apps.example.com".to_owned(),
            listen: ([0, 0, 0, 0], 53).into(),
            addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        };
        let records: Vec<_> = zone
            .parent_records()
            .into_iter()
            .map(|record| format!("{} {} {}", record.name, record.kind, record.value))
            .collect();
        assert_eq!(
            records,
            [
                "apps.example.com NS ns1.apps.example.com",
                "ns1.apps.example.com A 192.0.2.1",
                "ns1.apps.example.com AAAA 2001:db8::1",
            ]
        );
        assert!(zone.contains("apps.example.com") && zone.contains("*.a.apps.example.com"));
        assert!(!zone.contains("myapps.example.com") && !zone.contains("example.com"));
    }
}
