//! Automatic certificates (ACME): what people ask of them.
//!
//! - `round` finds what is wanted and due, and sees to it; `windlass_core::acme` decides,
//! - `check` finds out whether a name leads here, before an authority is asked,
//! - `order` has one certificate issued,
//! - `renewal` asks the authority when it wants a certificate to be renewed,
//! - `account` keeps the account at the authority, `client` speaks HTTP to it,
//! - `challenges` says at the router what the authority looks for.

mod account;
mod challenges;
mod check;
mod client;
mod order;
mod renewal;
mod round;

use crate::platform::now_ms;
use crate::records::{App, User};
use crate::{Platform, PlatformError, Result};
pub(crate) use check::resolver;

use challenges::OpenChallenges;
use renewal::Wishes;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use windlass_core::acme::{
    AppNames, CertificateState, ChallengeKind, Failure, Names, Pace, Status, Subject, Way, subjects,
};

/// How automatic certificates are had.
#[derive(Clone, Debug)]
pub struct AcmeSettings {
    /// Whom the authority writes to. To give it is to agree to the authority's terms.
    pub email: String,
    /// The URL of the authority's directory.
    pub directory: String,
    /// PEM certificates that vouch for the authority's own server instead of the public ones.
    pub ca_bundle: Option<PathBuf>,
    /// How names may be proved, what is preferred first. Names in the zone are always proved by a
    /// DNS record where nothing else will do.
    pub challenges: Vec<ChallengeKind>,
}

/// What is under way.
#[derive(Default)]
pub(crate) struct Acme {
    challenges: OpenChallenges,
    /// Something is wanted now.
    wake: Notify,
    state: Mutex<UnderWay>,
    account_turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct UnderWay {
    /// The first names of certificates that are seen to.
    names: BTreeSet<String>,
    pace: Pace,
    /// By the first names of certificates.
    wishes: BTreeMap<String, Wishes>,
}

impl Acme {
    fn state(&self) -> MutexGuard<'_, UnderWay> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An automatic certificate as people see it.
#[derive(Clone, Debug)]
pub struct AutomaticCertificate {
    pub names: Vec<String>,
    /// Whether it is the platform's, for all apps.
    pub is_shared: bool,
    pub state: CertificateState,
    pub status: Status,
    /// What is wrong and what to do.
    pub reason: Option<String>,
}

/// Why there is nothing automatic here.
const SWITCHED_OFF: &str = "Automatic certificates are switched off on this server: its owner switches them on by setting acme.email, which agrees to the authority's terms of service.";

impl Platform {
    /// Returns whether the app gets certificates by itself.
    pub fn has_automatic_certificates(&self, app: &App) -> Result<bool> {
        let is_on = self.settings().public.acme.is_some();
        Ok(is_on && !self.store().apps_without_acme()?.contains(&app.id))
    }

    /// Switches automatic certificates of an app on or off. Those that were issued stay until they
    /// expire.
    pub fn set_automatic_certificates(&self, user: &User, app: &App, wanted: bool) -> Result<()> {
        self.acme_settings()?;
        self.store().set_acme(app.id, wanted)?;
        let what = if wanted { "Enable" } else { "Disable" };
        let message = format!("{what} automatic certificates by user {}", user.email);
        self.logs().append(app.id, "app[api]", &message);
        self.wake_acme();
        Ok(())
    }

    /// Tries again now what has failed, as far as the authority's limits allow.
    pub fn refresh_automatic_certificates(&self, app: &App) -> Result<()> {
        let directory = &self.acme_settings()?.directory;
        if !self.has_automatic_certificates(app)? {
            return Err(PlatformError::Invalid(format!(
                "Automatic certificates are off for {}: switch them on with windlass certs:auto:enable.",
                app.name
            )));
        }
        for subject in self.subjects_of(app)? {
            let name = subject.name();
            if self.acme().state().names.contains(name) {
                continue;
            }
            let mut state = self.store().acme_certificate(directory, name)?.unwrap_or_default();
            state.hurry(now_ms());
            self.store().save_acme_certificate(directory, name, subject.app, &state)?;
        }
        self.wake_acme();
        Ok(())
    }

    /// Returns the automatic certificates that an app's names have or will have.
    pub fn automatic_certificates(&self, app: &App) -> Result<Vec<AutomaticCertificate>> {
        let Some(acme) = &self.settings().public.acme else { return Ok(Vec::new()) };
        if !self.has_automatic_certificates(app)? {
            return Ok(Vec::new());
        }
        let now = now_ms();
        let views = self.subjects_of(app)?.into_iter().map(|subject| {
            let state = self.store().acme_certificate(&acme.directory, subject.name())?;
            let state = state.unwrap_or_default();
            let (status, reason) = match &subject.way {
                Way::Impossible(why) => (Status::Failed, Some(why.clone())),
                _ => {
                    let reason = state.failure.as_ref().map(|failure| failure.message.clone());
                    (state.status(now), reason)
                }
            };
            let is_shared = subject.app.is_none();
            Ok(AutomaticCertificate { names: subject.names, is_shared, state, status, reason })
        });
        views.collect()
    }

    /// Returns the automatic certificate of each of the app's host names that wants one.
    pub fn automatic_certificates_by_host(
        &self,
        app: &App,
    ) -> Result<BTreeMap<String, AutomaticCertificate>> {
        let own = self.default_hostname(app);
        let views = self.automatic_certificates(app)?.into_iter();
        let named = views.map(|view| {
            let host = if view.is_shared { own.clone() } else { view.names.join(" ") };
            (host, view)
        });
        Ok(named.collect())
    }

    fn acme_settings(&self) -> Result<&AcmeSettings> {
        let settings = self.settings().public.acme.as_ref();
        settings.ok_or_else(|| PlatformError::Invalid(SWITCHED_OFF.to_owned()))
    }

    /// Returns all certificates that can be had by themselves, also of apps that want none.
    fn certificate_subjects(&self) -> Result<Vec<Subject>> {
        let mut domains = BTreeMap::<_, Vec<String>>::new();
        for domain in self.store().all_domains()? {
            domains.entry(domain.app).or_default().push(domain.hostname.to_string());
        }
        let apps = self.store().apps()?.into_iter().map(|app| AppNames {
            app: app.id,
            default_host: self.default_hostname(&app),
            domains: domains.remove(&app.id).unwrap_or_default(),
        });
        Ok(self.subjects_among(apps.collect()))
    }

    /// Returns those of one app, the one that it shares with all others included.
    fn subjects_of(&self, app: &App) -> Result<Vec<Subject>> {
        let domains = self.store().domains(app.id)?.into_iter();
        Ok(self.subjects_among(vec![AppNames {
            app: app.id,
            default_host: self.default_hostname(app),
            domains: domains.map(|domain| domain.hostname.to_string()).collect(),
        }]))
    }

    fn subjects_among(&self, apps: Vec<AppNames>) -> Vec<Subject> {
        subjects(&Names {
            platform_domain: self.settings().domain.clone(),
            zone: self.settings().public.zone.as_ref().map(|zone| zone.name.clone()),
            apps,
        })
    }

    /// Something about names has changed: see to their certificates now.
    pub(crate) fn wake_acme(&self) {
        self.acme().wake.notify_one();
    }
}

/// Whether a failure is news to those who read the log.
fn is_shown_again(before: Option<&Failure>, now: &Failure) -> bool {
    before.is_none_or(|before| before.kind != now.kind || before.message != now.message)
}
