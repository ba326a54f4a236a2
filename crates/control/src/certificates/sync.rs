//! Gets the certificates to the router, and keeps those of the private authority up to date.

use super::PrivateCertificates;
use super::authority::{self, is_below, is_private_name, permits};
use super::operations::new_name;
use super::own::Issued;
use super::select::{Choice, Host};
use crate::access::random_secret;
use crate::platform::now_ms;
use crate::records::{App, Certificate, CertificateAuthority};
use crate::{Platform, PlatformError, Result};
use ring::digest::{Digest, SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use tokio::sync::{Mutex, MutexGuard};
use windlass_core::certificate::Origin;
use windlass_core::ids::{AppId, CertificateId};
use windlass_core::route::RouteCertificate;

/// Keeps the router's certificates in step with the store.
#[derive(Default)]
pub(crate) struct CertificateSync {
    /// Held by whoever changes certificates, from the change until the router has taken it.
    change: Mutex<()>,
    /// What the router was told last; held from reading the store to its answer.
    told: Mutex<Option<Vec<u8>>>,
    /// The router could not be told; housekeeping tries again.
    is_pending: AtomicBool,
    /// Hosts with a certificate that everybody trusts.
    public: RwLock<BTreeSet<String>>,
    /// The certificate of the private authority that the API shows.
    pub(super) own: std::sync::Mutex<Option<Issued>>,
}

/// The root of the private authority as people see it.
#[derive(Clone, Debug)]
pub struct AuthorityView {
    pub certificate_pem: String,
    /// SHA-256 in hexadecimal digits.
    pub fingerprint: String,
    pub not_after: u64,
    /// The endings of names that it can vouch for.
    pub permitted: Vec<String>,
}

impl CertificateSync {
    pub async fn change(&self) -> MutexGuard<'_, ()> {
        self.change.lock().await
    }
}

impl Platform {
    /// Tells the router what has changed; in force when it returns.
    pub(crate) async fn sync_certificates(&self) -> Result<()> {
        self.tell_certificates(false).await
    }

    /// Tells the router all, whatever it was told before: for one that was started again.
    pub(crate) async fn send_certificates_or_later(&self) {
        self.said(self.tell_certificates(true).await);
    }

    async fn tell_certificates(&self, always: bool) -> Result<()> {
        if self.settings().https_port.is_none() {
            return Ok(());
        }
        let sync = self.certificate_sync();
        let mut told = sync.told.lock().await;
        if let Err(error) = self.issue_private_certificates() {
            tracing::error!(%error, "private certificates could not be issued");
        }
        let certificates = self.store().certificates()?;
        let choice = Choice::new(&certificates, now_ms());
        let hosts = self.all_certificate_hosts()?;
        let table = choice.table(&hosts);
        let trusted = hosts.iter().filter(|host| {
            choice.best(host).is_some_and(|certificate| certificate.origin != Origin::Private)
        });
        let trusted = trusted.map(|host| host.name.clone()).collect();
        let print = fingerprint(&table);
        let is_new = told.as_deref() != Some(print.as_ref());
        let sent = match is_new || always {
            true => self.routes().set_certificates(table).await,
            false => Ok(()),
        };
        sync.is_pending.store(sent.is_err(), Ordering::Relaxed);
        // What a router that did not answer has is not known.
        *told = sent.is_ok().then(|| print.as_ref().to_vec());
        sent.map_err(|error| PlatformError::internal("the router has no new certificates", error))?;
        *sync.public.write().unwrap_or_else(PoisonError::into_inner) = trusted;
        Ok(())
    }

    /// The same where the caller goes on without it.
    pub(crate) async fn sync_certificates_or_later(&self) {
        self.said(self.sync_certificates().await);
    }

    fn said(&self, outcome: Result<()>) {
        if let Err(error) = outcome {
            tracing::error!(%error, "certificates are not up to date; trying again");
            self.certificate_sync().is_pending.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) async fn sync_certificates_if_pending(&self) {
        if self.certificate_sync().is_pending.load(Ordering::Relaxed) {
            self.sync_certificates_or_later().await;
        }
    }

    /// Returns whether a host has a certificate that everybody trusts.
    pub(crate) fn has_public_certificate(&self, host: &str) -> bool {
        let sync = self.certificate_sync();
        sync.public.read().unwrap_or_else(PoisonError::into_inner).contains(host)
    }

    /// Returns the certificates that could be shown for an app.
    pub(super) fn certificates_for(&self, app: &App) -> Result<Vec<Certificate>> {
        let mut certificates = self.store().certificates_of(Some(app.id))?;
        certificates.extend(self.store().certificates_of(None)?);
        Ok(certificates)
    }

    /// Returns the hosts of an app, its own one first.
    pub(super) fn certificate_hosts(&self, app: &App) -> Result<Vec<Host>> {
        let own = Host { app: app.id, name: self.default_hostname(app), chosen: None };
        let custom = self.store().domains(app.id)?.into_iter().map(|domain| Host {
            app: app.id,
            name: domain.hostname.to_string(),
            chosen: domain.certificate,
        });
        Ok(std::iter::once(own).chain(custom).collect())
    }

    fn all_certificate_hosts(&self) -> Result<Vec<Host>> {
        let apps = self.store().apps()?;
        let own = apps.iter().map(|app| Host {
            app: app.id,
            name: self.default_hostname(app),
            chosen: None,
        });
        let custom = self.store().all_domains()?.into_iter().map(|domain| Host {
            app: domain.app,
            name: domain.hostname.to_string(),
            chosen: domain.certificate,
        });
        Ok(own.chain(custom).collect())
    }

    /// Issues certificates to hosts that have no other, and those anew that are due.
    fn issue_private_certificates(&self) -> Result<()> {
        if self.settings().private_certificates == PrivateCertificates::Off {
            return Ok(());
        }
        let (now, certificates) = (now_ms(), self.store().certificates()?);
        let mut own: BTreeMap<AppId, &Certificate> = BTreeMap::new();
        for certificate in certificates.iter().filter(|known| known.origin == Origin::Private) {
            own.extend(certificate.app.map(|app| (app, certificate)));
        }
        let wanted = self.wanted_private_names(&certificates, now)?;
        let is_good = |app: &AppId, names: &[String]| {
            let known = own.get(app);
            known.is_some_and(|k| k.names == names && !authority::is_due(k.not_after, now))
        };
        let missing = wanted.iter().filter(|(app, names)| !is_good(app, names));
        let missing: Vec<(&AppId, &Vec<String>)> = missing.collect();
        if !missing.is_empty() {
            let authority = self.authority(now)?;
            for (app, names) in missing {
                self.issue(&authority, *app, names, own.get(app).copied(), now)?;
            }
        }
        // What is not needed any more goes.
        for (_, certificate) in own.iter().filter(|(app, _)| !wanted.contains_key(app)) {
            self.store().delete_certificate(certificate.id)?;
        }
        Ok(())
    }

    /// Returns the names for which there is no certificate but a private one, of each app.
    fn wanted_private_names(
        &self,
        certificates: &[Certificate],
        now: u64,
    ) -> Result<BTreeMap<AppId, Vec<String>>> {
        let others: Vec<Certificate> =
            certificates.iter().filter(|other| other.origin != Origin::Private).cloned().collect();
        let choice = Choice::new(&others, now);
        let mut wanted: BTreeMap<AppId, Vec<String>> = BTreeMap::new();
        for host in self.all_certificate_hosts()? {
            let has_other = choice.best(&host).is_some_and(|best| best.not_after > now);
            if !has_other && self.may_have_private(&host.name) {
                wanted.entry(host.app).or_default().push(host.name);
            }
        }
        Ok(wanted)
    }

    fn may_have_private(&self, name: &str) -> bool {
        match self.settings().private_certificates {
            PrivateCertificates::Off => false,
            PrivateCertificates::PrivateNames => is_private_name(name),
            PrivateCertificates::Domain => {
                is_private_name(name) || is_below(name, &self.settings().domain)
            }
        }
    }

    fn issue(
        &self,
        authority: &CertificateAuthority,
        app: AppId,
        names: &[String],
        before: Option<&Certificate>,
        now: u64,
    ) -> Result<()> {
        let (chain_pem, key_pem) = authority::issue(authority, names, now)?;
        let details = windlass_core::certificate::details(&chain_pem)?;
        let certificate = Certificate {
            id: before.map_or_else(CertificateId::random, |before| before.id),
            app: Some(app),
            name: before.map_or_else(|| new_name(names), |before| before.name.clone()),
            origin: Origin::Private,
            names: names.to_vec(),
            chain_pem,
            key_pem,
            not_after: details.not_after,
            created_at: before.map_or(now, |before| before.created_at),
            updated_at: now,
        };
        Ok(self.store().save_certificate(&certificate)?)
    }

    /// Returns the private authority, which is made when it is first asked for, and anew when it
    /// may not sign for the platform's domain or is about to end.
    pub(super) fn authority(&self, now: u64) -> Result<CertificateAuthority> {
        let domain = &self.settings().domain;
        if let Some(known) = self.store().certificate_authority()? {
            let not_after = windlass_core::certificate::end(&known.certificate_pem)?;
            if permits(&known, domain) && !authority::is_due(not_after, now) {
                return Ok(known);
            }
            tracing::warn!(
                domain,
                "the private authority is replaced: install it again with `windlass trust`"
            );
            for old in self.store().certificates()? {
                if old.origin == Origin::Private {
                    self.store().delete_certificate(old.id)?;
                }
            }
        }
        let made = authority::make(domain, &random_secret()[..4], now)?;
        self.store().set_certificate_authority(&made)?;
        Ok(made)
    }

    /// Returns the root of the private authority, which is made if there is none yet.
    pub fn certificate_authority(&self) -> Result<AuthorityView> {
        if self.settings().private_certificates == PrivateCertificates::Off {
            return Err(PlatformError::Invalid(
                "This server has no authority of its own: its owner switches it on by setting router.private_certificates.".to_owned(),
            ));
        }
        let authority = self.authority(now_ms())?;
        let der = CertificateDer::from_pem_slice(authority.certificate_pem.as_bytes());
        let der = der.map_err(|error| {
            PlatformError::internal("the private authority cannot be read", error)
        })?;
        let digest = digest(&SHA256, &der);
        Ok(AuthorityView {
            fingerprint: digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect(),
            not_after: windlass_core::certificate::end(&authority.certificate_pem)?,
            certificate_pem: authority.certificate_pem,
            permitted: authority.permitted,
        })
    }
}

/// Returns something that is another for every other table.
fn fingerprint(table: &[RouteCertificate]) -> Digest {
    let mut text = Vec::new();
    for certificate in table {
        text.extend_from_slice(certificate.hosts.join(" ").as_bytes());
        text.push(u8::from(certificate.is_default));
        text.extend_from_slice(certificate.chain_pem.as_bytes());
        text.extend_from_slice(certificate.key_pem.as_bytes());
    }
    digest(&SHA256, &text)
}
