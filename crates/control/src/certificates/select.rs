//! Which certificate is shown for which host: a pure function.

use crate::records::Certificate;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use windlass_core::certificate::covers;
use windlass_core::ids::{AppId, CertificateId};
use windlass_core::route::RouteCertificate;

/// A host of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub app: AppId,
    /// In lower case; `*.example.com` is reached at one label or more.
    pub name: String,
    /// What somebody chose for it.
    pub chosen: Option<CertificateId>,
}

/// The certificates that there are, by whose they are.
pub(crate) struct Choice<'a> {
    of_apps: HashMap<AppId, Vec<&'a Certificate>>,
    of_platform: Vec<&'a Certificate>,
    now: u64,
}

impl<'a> Choice<'a> {
    pub fn new(certificates: &'a [Certificate], now: u64) -> Self {
        let mut choice = Self { of_apps: HashMap::new(), of_platform: Vec::new(), now };
        for certificate in certificates {
            match certificate.app {
                Some(app) => choice.of_apps.entry(app).or_default().push(certificate),
                None => choice.of_platform.push(certificate),
            }
        }
        choice
    }

    fn of_app(&self, app: AppId) -> impl Iterator<Item = &'a Certificate> {
        self.of_apps.get(&app).into_iter().flatten().copied()
    }

    /// Returns the certificate for a host: one that is valid goes before one that has expired, the
    /// chosen one before others, then by origin, the app's own before the platform's, and the one
    /// that lasts longest.
    pub fn best(&self, host: &Host) -> Option<&'a Certificate> {
        let candidates = self.of_app(host.app).chain(self.of_platform.iter().copied());
        candidates
            .filter(|candidate| candidate.names.iter().any(|name| covers(name, &host.name)))
            .min_by_key(|candidate| {
                let is_chosen = host.chosen == Some(candidate.id);
                (
                    candidate.not_after <= self.now,
                    !is_chosen,
                    candidate.origin,
                    candidate.app.is_none(),
                    Reverse(candidate.not_after),
                    candidate.id,
                )
            })
    }

    /// Returns the certificate for clients that name no host, or an unknown one: the platform's.
    fn default(&self) -> Option<&'a Certificate> {
        self.of_platform.iter().copied().min_by_key(|candidate| {
            let is_over = candidate.not_after <= self.now;
            (is_over, candidate.origin, Reverse(candidate.not_after), candidate.id)
        })
    }

    /// Returns what the router should have.
    pub fn table(&self, hosts: &[Host]) -> Vec<RouteCertificate> {
        let mut chosen: BTreeMap<CertificateId, (&Certificate, BTreeSet<String>)> = BTreeMap::new();
        let named: BTreeSet<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
        let below = hosts.iter().flat_map(|host| self.below(host));
        let below = below.filter(|host| !named.contains(host.name.as_str()));
        for host in hosts.iter().cloned().chain(below) {
            if let Some(certificate) = self.best(&host) {
                let entry = chosen.entry(certificate.id);
                entry.or_insert((certificate, BTreeSet::new())).1.insert(host.name);
            }
        }
        let default = self.default();
        if let Some(default) = default {
            chosen.entry(default.id).or_insert((default, BTreeSet::new()));
        }
        let certificates = chosen.into_values().map(|(certificate, hosts)| RouteCertificate {
            hosts: hosts.into_iter().collect(),
            is_default: default.is_some_and(|default| default.id == certificate.id),
            chain_pem: certificate.chain_pem.clone(),
            key_pem: certificate.key_pem.clone(),
        });
        certificates.collect()
    }

    /// Returns the names of certificates that lead to an app by its wildcard.
    fn below(&self, host: &Host) -> Vec<Host> {
        let Some(suffix) = host.name.strip_prefix('*') else { return Vec::new() };
        let names = self.of_app(host.app).flat_map(|certificate| &certificate.names);
        let is_below = |name: &&String| name.len() > suffix.len() && name.ends_with(suffix);
        let below = names.filter(is_below).filter(|name| **name != host.name);
        below.map(|name| Host { name: name.clone(), ..host.clone() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_core::certificate::Origin;

    const NOW: u64 = 1_000;

    fn certificate(
        app: Option<AppId>,
        origin: Origin,
        names: &[&str],
        not_after: u64,
    ) -> Certificate {
        Certificate {
            id: CertificateId::random(),
            app,
            name: format!("{origin}-{}", names[0]),
            origin,
            names: names.iter().map(ToString::to_string).collect(),
            chain_pem: format!("{origin} {names:?} {not_after}"),
            key_pem: String::new(),
            not_after,
            created_at: 0,
            updated_at: 0,
        }
    }

    fn host(app: AppId, name: &str) -> Host {
        Host { app, name: name.to_owned(), chosen: None }
    }

    #[test]
    fn valid_before_chosen_before_imported_before_acme_before_private() {
        use Origin::{Acme, Imported, Private};
        let (app, other) = (AppId::random(), AppId::random());
        let name = "www.example.com";
        let mut certificates = vec![
            certificate(Some(other), Imported, &[name], 9_000),
            certificate(None, Private, &["*.example.com"], 9_000),
            certificate(None, Imported, &["*.example.net"], 9_000),
        ];
        let mut wanted = host(app, name);
        let best = |certificates: &[Certificate], host: &Host| {
            Choice::new(certificates, NOW).best(host).map(|found| found.id)
        };
        // Never another app's.
        assert_eq!(best(&certificates, &wanted), Some(certificates[1].id));
        for (origin, names, not_after) in [
            (Private, &[name][..], 2_000),
            (Acme, &["other.example.com", name], 2_000),
            (Acme, &[name], 3_000),
            (Imported, &["*.example.com"], 1_500),
        ] {
            let better = certificate(Some(app), origin, names, not_after);
            certificates.push(better.clone());
            assert_eq!(best(&certificates, &wanted), Some(better.id), "{origin} {not_after}");
        }
        certificates.push(certificate(Some(app), Imported, &[name], NOW));
        assert_ne!(best(&certificates, &wanted), certificates.last().map(|expired| expired.id));
        wanted.chosen = Some(certificates[4].id);
        assert_eq!(best(&certificates, &wanted), wanted.chosen);
        wanted.chosen = certificates.last().map(|expired| expired.id);
        assert_ne!(best(&certificates, &wanted), wanted.chosen, "it has expired");
        let expired_alone = &certificates[certificates.len() - 1..];
        assert_eq!(best(expired_alone, &wanted), wanted.chosen, "better than none");
        assert_eq!(best(&certificates, &host(app, "example.com")), None);
    }

    #[test]
    fn the_router_gets_each_certificate_once_with_its_hosts() {
        let (app, other) = (AppId::random(), AppId::random());
        let mine = certificate(
            Some(app),
            Origin::Imported,
            &["*.example.com", "a.b.example.com", "taken.example.com", "elsewhere.net"],
            9_000,
        );
        let platform = certificate(None, Origin::Acme, &["*.apps.example.net"], 9_000);
        let older = certificate(None, Origin::Acme, &["*.apps.example.net"], 8_000);
        let unused = certificate(Some(other), Origin::Imported, &["unused.org"], 9_000);
        let certificates = [mine.clone(), platform.clone(), older, unused];
        let hosts = [
            host(app, "app.apps.example.net"),
            host(app, "*.example.com"),
            host(other, "taken.example.com"),
            host(other, "other.apps.example.net"),
        ];
        let table = Choice::new(&certificates, NOW).table(&hosts);
        let shown: BTreeMap<&str, (Vec<&str>, bool)> = table
            .iter()
            .map(|shown| {
                let hosts = shown.hosts.iter().map(String::as_str).collect();
                (shown.chain_pem.as_str(), (hosts, shown.is_default))
            })
            .collect();
        assert_eq!(shown.len(), 2);
        assert_eq!(
            shown[mine.chain_pem.as_str()],
            (vec!["*.example.com", "a.b.example.com"], false)
        );
        assert_eq!(
            shown[platform.chain_pem.as_str()],
            (vec!["app.apps.example.net", "other.apps.example.net"], true)
        );
    }
}
