//! What people and ACME do with certificates. A change that the router does not take is undone.

use super::select::{Choice, Host};
use crate::access::random_secret;
use crate::platform::now_ms;
use crate::records::{App, Certificate, Domain, User};
use crate::{Platform, PlatformError, Result};
use std::collections::BTreeSet;
use windlass_core::certificate::{
    CertificateDetails, CertificateError, CheckedCertificate, Origin, check, covers, details,
};
use windlass_core::ids::{AppId, CertificateId};

/// A certificate as people see it.
#[derive(Clone, Debug)]
pub struct CertificateView {
    pub certificate: Certificate,
    pub details: CertificateDetails,
    /// The hosts of the app for which it is shown.
    pub hosts: Vec<String>,
    /// The domains for which it is shown.
    pub domains: Vec<Domain>,
}

/// What a chain and a key would be good for.
#[derive(Clone, Debug)]
pub struct CertificateCheck {
    pub details: CertificateDetails,
    pub warnings: Vec<String>,
}

impl From<CertificateError> for PlatformError {
    fn from(error: CertificateError) -> Self {
        let text = error.to_string();
        let mut letters = text.chars();
        let first = letters.next().into_iter().flat_map(char::to_uppercase);
        Self::Invalid(format!("{}{}.", first.collect::<String>(), letters.as_str()))
    }
}

impl Platform {
    /// Returns the certificates of an app and those of the platform that are shown for it, oldest
    /// first.
    pub fn app_certificates(&self, app: &App) -> Result<Vec<CertificateView>> {
        let certificates = self.certificates_for(app)?;
        let choice = Choice::new(&certificates, now_ms());
        let hosts = self.certificate_hosts(app)?;
        let domains = self.store().domains(app.id)?;
        let mut views = Vec::new();
        for certificate in &certificates {
            let is_shown =
                |host: &&Host| choice.best(host).is_some_and(|best| best.id == certificate.id);
            let shown: Vec<String> =
                hosts.iter().filter(is_shown).map(|host| host.name.clone()).collect();
            if certificate.app.is_none() && shown.is_empty() {
                continue;
            }
            views.push(CertificateView {
                certificate: certificate.clone(),
                details: details(&certificate.chain_pem)?,
                domains: domains
                    .iter()
                    .filter(|domain| shown.iter().any(|host| host == domain.hostname.as_str()))
                    .cloned()
                    .collect(),
                hosts: shown,
            });
        }
        Ok(views)
    }

    /// Returns one of them, by its id or name, or a host for which it is shown.
    pub fn app_certificate(&self, app: &App, wanted: &str) -> Result<CertificateView> {
        let views = self.app_certificates(app)?;
        let is_named = |view: &&CertificateView| {
            view.certificate.name == wanted || view.certificate.id.to_string() == wanted
        };
        let found = views.iter().find(is_named);
        let found = found.or_else(|| views.iter().find(|v| v.hosts.iter().any(|h| h == wanted)));
        found.cloned().ok_or(PlatformError::NotFound { resource: "sni endpoint" })
    }

    /// Checks a chain and a key as [`Platform::add_certificate`] does, and keeps nothing.
    pub fn check_certificate(
        &self,
        app: &App,
        chain_pem: &str,
        key_pem: &str,
    ) -> Result<CertificateCheck> {
        let checked = check(chain_pem, key_pem, now_ms())?;
        let warnings = self.warnings(app, &checked)?;
        Ok(CertificateCheck { details: checked.details, warnings })
    }

    /// Takes a certificate that somebody brought; returns it and what may not be as it was meant.
    pub async fn add_certificate(
        &self,
        user: &User,
        app: &App,
        chain_pem: &str,
        key_pem: &str,
    ) -> Result<(CertificateView, Vec<String>)> {
        let checked = check(chain_pem, key_pem, now_ms())?;
        let warnings = self.warnings(app, &checked)?;
        let own = self.store().certificates_of(Some(app.id))?;
        let imported = own.iter().filter(|own| own.origin == Origin::Imported);
        if let Some(same) = imported.clone().find(|own| is_same(&own.names, &checked.details.names))
        {
            return Err(PlatformError::Invalid(format!(
                "{} has {} for the same names already: replace it with `windlass certs:update`.",
                app.name, same.name
            )));
        }
        let most = windlass_core::limits::CERTIFICATES_PER_APP;
        if imported.count() >= most {
            return Err(PlatformError::Invalid(format!(
                "An app can have at most {most} certificates of its own."
            )));
        }
        let certificate = self.keep(Some(app.id), Origin::Imported, None, checked).await?;
        let message = format!("Add {} certificate by user {}", certificate.name, user.email);
        self.logs().append(app.id, "app[api]", &message);
        Ok((self.app_certificate(app, &certificate.name)?, warnings))
    }

    /// Replaces a certificate that somebody brought.
    pub async fn update_certificate(
        &self,
        user: &User,
        app: &App,
        name: &str,
        chain_pem: &str,
        key_pem: &str,
    ) -> Result<(CertificateView, Vec<String>)> {
        let before = self.imported(app, name)?;
        let checked = check(chain_pem, key_pem, now_ms())?;
        let warnings = self.warnings(app, &checked)?;
        let certificate = self.keep(Some(app.id), Origin::Imported, Some(before), checked).await?;
        let message = format!("Update {} certificate by user {}", certificate.name, user.email);
        self.logs().append(app.id, "app[api]", &message);
        Ok((self.app_certificate(app, &certificate.name)?, warnings))
    }

    /// Removes a certificate that somebody brought, or one that an authority issued.
    pub async fn remove_certificate(
        &self,
        user: &User,
        app: &App,
        name: &str,
    ) -> Result<CertificateView> {
        let view = self.app_certificate(app, name)?;
        let certificate = &view.certificate;
        let is_ours = certificate.origin == Origin::Private || certificate.app.is_none();
        if is_ours {
            return Err(PlatformError::Invalid(format!(
                "{} is the platform's own and stays as long as it is needed.",
                certificate.name
            )));
        }
        if certificate.origin == Origin::Acme && self.has_automatic_certificates(app)? {
            return Err(PlatformError::Invalid(format!(
                "{} would only be issued again: switch that off first with `windlass certs:auto:disable`.",
                certificate.name
            )));
        }
        let turn = self.certificate_sync().change().await;
        self.store().delete_certificate(certificate.id)?;
        if let Err(error) = self.sync_certificates().await {
            self.store().save_certificate(certificate)?;
            for domain in view.domains.iter().filter(|d| d.certificate == Some(certificate.id)) {
                self.store().set_domain_certificate(domain.id, Some(certificate.id))?;
            }
            return Err(error);
        }
        drop(turn);
        if certificate.origin == Origin::Acme {
            self.forget_automatic(&certificate.names)?;
        }
        let message = format!("Remove {} certificate by user {}", certificate.name, user.email);
        self.logs().append(app.id, "app[api]", &message);
        Ok(view)
    }

    /// Takes a certificate for `names`, and replaces the one of the same origin that was for the
    /// same names. Without an app it is for the platform's own domain. Returns when it is in force.
    pub async fn put_certificate(
        &self,
        app: Option<AppId>,
        origin: Origin,
        names: &[String],
        chain_pem: &str,
        key_pem: &str,
    ) -> Result<CertificateDetails> {
        let checked = check(chain_pem, key_pem, now_ms())?;
        let details = checked.details.clone();
        if let Some(missing) = names.iter().find(|name| !details.covers(name)) {
            let message = format!("The certificate is not for {missing}.");
            return Err(PlatformError::Invalid(message));
        }
        let own = self.store().certificates_of(app)?.into_iter();
        let mut same = own.filter(|own| own.origin == origin);
        let before = same.find(|own| is_same(&own.names, &details.names));
        self.keep(app, origin, before, checked).await?;
        Ok(details)
    }

    /// Stores a certificate in the place of `before` and puts it in force.
    async fn keep(
        &self,
        app: Option<AppId>,
        origin: Origin,
        before: Option<Certificate>,
        checked: CheckedCertificate,
    ) -> Result<Certificate> {
        let _turn = self.certificate_sync().change().await;
        let now = now_ms();
        let certificate = Certificate {
            id: before.as_ref().map_or_else(CertificateId::random, |before| before.id),
            app,
            name: match &before {
                Some(before) => before.name.clone(),
                None => new_name(&checked.details.names),
            },
            origin,
            names: checked.details.names,
            chain_pem: checked.chain_pem,
            key_pem: checked.key_pem,
            not_after: checked.details.not_after,
            created_at: before.as_ref().map_or(now, |before| before.created_at),
            updated_at: now,
        };
        self.store().save_certificate(&certificate)?;
        if let Err(error) = self.sync_certificates().await {
            match &before {
                Some(before) => self.store().save_certificate(before)?,
                None => drop(self.store().delete_certificate(certificate.id)?),
            }
            return Err(error);
        }
        Ok(certificate)
    }

    /// Chooses the certificate of a domain by its name or id; `None`: whichever covers it.
    pub async fn choose_domain_certificate(
        &self,
        user: &User,
        app: &App,
        hostname_or_id: &str,
        wanted: Option<&str>,
    ) -> Result<Domain> {
        let find = || -> Result<Domain> {
            let mut domains = self.store().domains(app.id)?.into_iter();
            let is_wanted = |domain: &Domain| {
                domain.hostname.as_str() == hostname_or_id
                    || domain.id.to_string() == hostname_or_id
            };
            domains.find(is_wanted).ok_or(PlatformError::NotFound { resource: "domain" })
        };
        let domain = find()?;
        let chosen = match wanted {
            Some(wanted) => {
                Some(self.certificate_covering(app, domain.hostname.as_str(), wanted)?)
            }
            None => None,
        };
        let turn = self.certificate_sync().change().await;
        self.store().set_domain_certificate(domain.id, chosen)?;
        if let Err(error) = self.sync_certificates().await {
            self.store().set_domain_certificate(domain.id, domain.certificate)?;
            return Err(error);
        }
        drop(turn);
        let message = format!("Update {} domain by user {}", domain.hostname, user.email);
        self.logs().append(app.id, "app[api]", &message);
        find()
    }

    /// Returns the app's certificate of this name or id if it is one for `host`.
    pub fn certificate_covering(
        &self,
        app: &App,
        host: &str,
        wanted: &str,
    ) -> Result<CertificateId> {
        let own = self.store().certificates_of(Some(app.id))?;
        let found = own.iter().find(|own| own.name == wanted || own.id.to_string() == wanted);
        let found = found.ok_or(PlatformError::NotFound { resource: "sni endpoint" })?;
        if !found.names.iter().any(|name| covers(name, &host.to_ascii_lowercase())) {
            return Err(PlatformError::Invalid(format!(
                "{} is not for {host}: it is for {}.",
                found.name,
                found.names.join(", ")
            )));
        }
        Ok(found.id)
    }

    fn imported(&self, app: &App, name: &str) -> Result<Certificate> {
        let certificate = self.app_certificate(app, name)?.certificate;
        match certificate.origin {
            Origin::Imported => Ok(certificate),
            origin => Err(PlatformError::Invalid(format!(
                "{} is {origin} and is renewed by itself: add yours with `windlass certs:add`, it goes before.",
                certificate.name
            ))),
        }
    }

    /// Returns what may not be as it was meant.
    fn warnings(&self, app: &App, checked: &CheckedCertificate) -> Result<Vec<String>> {
        let hosts = self.certificate_hosts(app)?;
        let is_used = |name: &&String| {
            hosts.iter().any(|host| {
                let is_below =
                    host.name.strip_prefix('*').is_some_and(|suffix| name.ends_with(suffix));
                covers(name, &host.name) || is_below
            })
        };
        let unused: Vec<&str> = checked
            .details
            .names
            .iter()
            .filter(|name| !is_used(name))
            .map(String::as_str)
            .collect();
        let mut warnings = checked.warnings.clone();
        if self.settings().https_port.is_none() {
            warnings.push("this server takes no requests over TLS: its owner switches that on by setting router.https_listen".to_owned());
        }
        if !unused.is_empty() {
            warnings.push(format!(
                "no domain of {} is named {}: what is missing is added with `windlass domains:add`",
                app.name,
                unused.join(", ")
            ));
        }
        Ok(warnings)
    }
}

fn is_same(names: &[String], others: &[String]) -> bool {
    let set = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
    set(names) == set(others)
}

/// Makes a name for people: `www-example-com-1a2b3c`.
pub(super) fn new_name(names: &[String]) -> String {
    let first = names.first().map_or("certificate", String::as_str).replacen('*', "any", 1);
    let plain: String =
        first.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(60).collect();
    format!("{plain}-{}", &random_secret()[..6])
}
