//! The loop: what is wanted, what is due, and seeing to it.

use super::client::Client;
use super::order::Failed;
use super::{AcmeSettings, is_shown_again};
use crate::Platform;
use crate::platform::now_ms;
use crate::records::Certificate;
use std::collections::BTreeMap;
use std::time::Duration;
use windlass_core::acme::{CertificateState, FailureKind, Share, Step, Subject, Way, next};
use windlass_core::certificate::{Origin, covers};

/// How long nothing is looked at, at most: names also change in ways that nobody tells of.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// Certificates that are seen to at a time.
const AT_ONCE: usize = 4;

pub(super) fn jitter() -> Share {
    fastrand::u16(..)
}

impl Platform {
    /// Sees to automatic certificates, from now on.
    pub fn spawn_acme(&self) {
        if self.settings().public.acme.is_none() {
            return;
        }
        let weak = self.downgrade();
        tokio::spawn(async move {
            loop {
                let Some(platform) = Self::upgrade(&weak) else { return };
                let wait = match platform.acme_round(now_ms()) {
                    Ok(wait) => wait,
                    Err(error) => {
                        tracing::error!(%error, "automatic certificates could not be looked at");
                        LOOK_AGAIN
                    }
                };
                let woken = platform.acme().wake.notified();
                let _ = tokio::time::timeout(wait, woken).await;
            }
        });
    }

    /// Begins what is due, and returns how long there is nothing to do.
    fn acme_round(&self, now: u64) -> crate::Result<Duration> {
        let Some(settings) = &self.settings().public.acme else { return Ok(LOOK_AGAIN) };
        let without = self.store().apps_without_acme()?;
        let mut states = self.store().acme_certificates(&settings.directory)?;
        let mut wait = LOOK_AGAIN;
        for subject in self.certificate_subjects()? {
            let state = states.remove(subject.name()).unwrap_or_default();
            let is_off = subject.app.is_some_and(|app| without.contains(&app));
            if is_off || matches!(subject.way, Way::Impossible(_)) {
                continue;
            }
            match next(&state, now) {
                Step::Wait { until } => {
                    wait = wait.min(Duration::from_millis(until - now));
                    if self.is_to_be_asked_about(&subject, &state, now) && self.begin(&subject) {
                        tokio::spawn(self.clone().ask_when_to_renew(subject));
                    }
                }
                Step::Check | Step::Order => {
                    if self.is_covered(&subject)? || !self.begin(&subject) {
                        continue;
                    }
                    let platform = self.clone();
                    tokio::spawn(async move { platform.attend(subject, state).await });
                }
            }
        }
        self.forget_unwanted(&states)?;
        Ok(wait)
    }

    /// Forgets a certificate that somebody has removed: another one is asked for.
    pub(crate) fn forget_automatic(&self, names: &[String]) -> crate::Result<()> {
        // It is known by one of them, and authorities have an order of their own.
        for name in names {
            self.store().delete_acme_certificate(name)?;
        }
        self.wake_acme();
        Ok(())
    }

    /// Returns whether somebody has brought a certificate for all names, which goes first.
    fn is_covered(&self, subject: &Subject) -> crate::Result<bool> {
        let certificates = self.store().certificates_of(subject.app)?;
        let imported = || certificates.iter().filter(|one| one.origin == Origin::Imported);
        let is_covered =
            |host: &String| imported().any(|one| one.names.iter().any(|name| covers(name, host)));
        Ok(subject.names.iter().all(is_covered))
    }

    /// What is left is of names that are not there any more; their certificates go too.
    fn forget_unwanted(&self, states: &BTreeMap<String, CertificateState>) -> crate::Result<()> {
        let under_way = self.acme().state().names.clone();
        let gone: Vec<_> = states.keys().filter(|name| !under_way.contains(*name)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let certificates = self.store().certificates()?;
        for name in gone {
            self.acme().state().wishes.remove(name);
            self.store().delete_acme_certificate(name)?;
            let is_its =
                |one: &&Certificate| one.origin == Origin::Acme && one.names.contains(name);
            for certificate in certificates.iter().filter(is_its) {
                self.store().delete_certificate(certificate.id)?;
            }
        }
        let platform = self.clone();
        tokio::spawn(async move { platform.sync_certificates_or_later().await });
        Ok(())
    }

    /// Notes that a certificate is seen to, unless it is already, or as many as may be are.
    fn begin(&self, subject: &Subject) -> bool {
        let mut state = self.acme().state();
        state.names.len() < AT_ONCE && state.names.insert(subject.name().to_owned())
    }

    /// Does for one certificate what is to be done until there is nothing for now.
    async fn attend(self, subject: Subject, mut state: CertificateState) {
        let Some(settings) = self.settings().public.acme.clone() else { return };
        let mut is_held_back = false;
        loop {
            let before = state.clone();
            match next(&state, now_ms()) {
                Step::Wait { .. } => break,
                Step::Check => match self.check_names(&subject).await {
                    Ok(()) => state.checked(now_ms()),
                    Err(why) => {
                        state.failed(FailureKind::NotHere, why, None, now_ms(), jitter());
                    }
                },
                Step::Order => {
                    is_held_back = !self.acme().state().pace.begin(now_ms());
                    if is_held_back {
                        break;
                    }
                    self.order_once(&settings, &subject, &mut state).await;
                }
            }
            self.tell(&subject, &before, &state);
            let (name, directory) = (subject.name(), &settings.directory);
            let saved = self.store().save_acme_certificate(directory, name, subject.app, &state);
            if let Err(error) = saved {
                tracing::error!(%error, name, "what is known of a certificate is not kept");
                break;
            }
        }
        self.acme().state().names.remove(subject.name());
        if !is_held_back {
            self.wake_acme();
        }
    }

    async fn order_once(
        &self,
        settings: &AcmeSettings,
        subject: &Subject,
        state: &mut CertificateState,
    ) {
        let client = match Client::new(settings) {
            Ok(client) => client,
            Err(error) => {
                let (kind, message) = (FailureKind::Unavailable, error.to_string());
                state.failed(kind, message, None, now_ms(), jitter());
                return;
            }
        };
        let outcome = match self.obtain(settings, subject, state, &client).await {
            Ok(issue) => self
                .put_certificate(
                    subject.app,
                    Origin::Acme,
                    &subject.names,
                    &issue.chain_pem,
                    &issue.key_pem,
                )
                .await
                .map_err(Failed::from),
            Err(failed) => Err(failed),
        };
        let now = now_ms();
        match outcome {
            Ok(certificate) => {
                state.issued(certificate.not_before, certificate.not_after, jitter());
                self.expect_no_wishes(subject);
            }
            Err(failed) => {
                let retry_after = client.retry_after();
                if failed.kind == FailureKind::RateLimited {
                    self.acme().state().pace.refused(retry_after, now);
                }
                state.failed(failed.kind, failed.message, retry_after, now, jitter());
            }
        }
    }

    /// Says in the app's log what has happened, once.
    fn tell(&self, subject: &Subject, before: &CertificateState, now: &CertificateState) {
        let names = subject.names.join(", ");
        let message = match (&now.failure, now.issued) {
            (Some(failure), _) if is_shown_again(before.failure.as_ref(), failure) => {
                format!("No certificate for {names} yet: {}", failure.message)
            }
            (None, Some(issued)) if before.issued != now.issued => {
                let end = i64::try_from(issued.not_after).unwrap_or(i64::MAX);
                let end = jiff::Timestamp::from_millisecond(end).unwrap_or_default();
                format!("Certificate for {names} issued, valid until {end:.0}")
            }
            _ => return,
        };
        tracing::info!("{message}");
        if let Some(app) = subject.app {
            self.logs().append(app, "app[acm]", &message);
        }
    }
}
