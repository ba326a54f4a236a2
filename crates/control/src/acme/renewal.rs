//! Asks the authority when it wants a certificate to be renewed (ARI, RFC 9773).

use super::client::{Client, ClientError};
use super::round::jitter;
use crate::Platform;
use crate::platform::now_ms;
use crate::records::Certificate;
use instant_acme::CertificateIdentifier;
use serde::Deserialize;
use windlass_core::acme::{CertificateState, RenewalWindow, Subject, ask_again};
use windlass_core::certificate::{Origin, RenewalId, renewal_id};

/// What is known of an authority's wishes about one certificate, until the server ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wishes {
    /// When to ask next.
    ask_at: u64,
    /// It has answered, and so knows the certificate.
    is_known: bool,
}

/// The part of an authority's directory that matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Directory {
    renewal_info: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RenewalInfo {
    suggested_window: SuggestedWindow,
}

#[derive(Deserialize)]
struct SuggestedWindow {
    #[serde(deserialize_with = "timestamp")]
    start: jiff::Timestamp,
    #[serde(deserialize_with = "timestamp")]
    end: jiff::Timestamp,
}

fn timestamp<'de, D: serde::Deserializer<'de>>(text: D) -> Result<jiff::Timestamp, D::Error> {
    String::deserialize(text)?.parse().map_err(serde::de::Error::custom)
}

/// What an authority answers.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    window: RenewalWindow,
    /// When it wants to be asked again.
    retry_after: Option<u64>,
}

impl Client {
    /// Returns what the authority says of a certificate; `None` when it never says anything.
    fn renewal(&self, directory: &str, id: &RenewalId) -> Result<Option<Answer>, ClientError> {
        let (directory, _) = self.get::<Directory>(directory)?;
        let Some(url) = directory.renewal_info else { return Ok(None) };
        let url = format!("{}/{}", url.trim_end_matches('/'), identifier(id));
        let (RenewalInfo { suggested_window }, retry_after) = self.get(&url)?;
        let ms = |time: jiff::Timestamp| u64::try_from(time.as_millisecond()).unwrap_or(0);
        let window =
            RenewalWindow { start: ms(suggested_window.start), end: ms(suggested_window.end) };
        Ok(Some(Answer { window, retry_after }))
    }
}

fn identifier(id: &RenewalId) -> CertificateIdentifier<'static> {
    CertificateIdentifier::new(
        id.authority_key.as_slice().into(),
        id.serial_number.as_slice().into(),
    )
}

impl Platform {
    /// Returns whether it is time to ask about a certificate.
    pub(super) fn is_to_be_asked_about(
        &self,
        subject: &Subject,
        state: &CertificateState,
        now: u64,
    ) -> bool {
        let wishes = self.acme().state().wishes.get(subject.name()).copied().unwrap_or_default();
        state.issued.is_some() && state.failure.is_none() && wishes.ask_at <= now
    }

    /// A certificate was issued just now: there is time until the authority is asked about it.
    pub(super) fn expect_no_wishes(&self, subject: &Subject) {
        let wishes = Wishes { ask_at: ask_again(None, now_ms()), is_known: false };
        self.acme().state().wishes.insert(subject.name().to_owned(), wishes);
    }

    /// Asks about a certificate, and notes what comes of it.
    pub(super) async fn ask_when_to_renew(self, subject: Subject) {
        let wishes = self.renewal_wishes(&subject).await;
        let mut state = self.acme().state();
        state.wishes.insert(subject.name().to_owned(), wishes);
        state.names.remove(subject.name());
    }

    async fn renewal_wishes(&self, subject: &Subject) -> Wishes {
        let (name, now) = (subject.name(), now_ms());
        let nothing = Wishes { ask_at: ask_again(Some(u64::MAX), now), is_known: false };
        let Some(settings) = self.settings().public.acme.clone() else { return nothing };
        let id = self.automatic_certificate(subject).and_then(|one| renewal_id(&one.chain_pem));
        let Some(id) = id else { return nothing };
        let directory = settings.directory.clone();
        let asked = tokio::task::spawn_blocking(move || {
            Client::new(&settings)?.renewal(&settings.directory, &id)
        });
        let answer = match asked.await {
            Ok(Ok(Some(answer))) => answer,
            Ok(Ok(None)) => return nothing,
            Ok(Err(error)) => {
                tracing::debug!(%error, name, "the authority does not say when to renew");
                return Wishes { ask_at: ask_again(None, now), is_known: false };
            }
            Err(_) => return nothing,
        };
        // What has become of it meanwhile counts.
        if let Ok(Some(mut state)) = self.store().acme_certificate(&directory, name)
            && state.suggested(answer.window, jitter())
        {
            let at = state.issued.map_or(0, |issued| issued.renew_at);
            let at = jiff::Timestamp::from_millisecond(i64::try_from(at).unwrap_or(i64::MAX));
            tracing::info!(name, at = %at.unwrap_or_default(), "the authority wants a certificate renewed");
            let saved = self.store().save_acme_certificate(&directory, name, subject.app, &state);
            if let Err(error) = saved {
                tracing::error!(%error, name, "when to renew a certificate is not kept");
            }
        }
        Wishes { ask_at: ask_again(answer.retry_after, now), is_known: true }
    }

    /// Returns what an order replaces, as authorities that say when to renew want to be told. One
    /// that refused is not told again.
    pub(super) fn replaced(
        &self,
        subject: &Subject,
        state: &CertificateState,
    ) -> Option<CertificateIdentifier<'static>> {
        let is_known = self.acme().state().wishes.get(subject.name())?.is_known;
        if !is_known || state.failure.is_some() {
            return None;
        }
        renewal_id(&self.automatic_certificate(subject)?.chain_pem).map(|id| identifier(&id))
    }

    fn automatic_certificate(&self, subject: &Subject) -> Option<Certificate> {
        let is_its = |one: &Certificate| {
            one.origin == Origin::Acme && one.names.iter().any(|name| name == subject.name())
        };
        let certificates = self.store().certificates_of(subject.app).ok()?;
        certificates.into_iter().rev().find(is_its)
    }
}
