//! What the router answers to authorities, and its coming and going.

use crate::Platform;
use std::sync::{Mutex, MutexGuard, PoisonError};
use windlass_core::challenges::{AlpnCertificate, Challenges};
use windlass_core::route::RouterUnavailable;

/// All challenges that are open.
#[derive(Default)]
pub(super) struct OpenChallenges {
    open: Mutex<Challenges>,
    /// Held from reading to the router's answer, so that the last told is the newest.
    turn: tokio::sync::Mutex<()>,
}

/// One challenge.
#[derive(Clone)]
pub(super) enum Challenge {
    Http { host: String, token: String, key_authorization: String },
    Alpn { host: String, certificate: AlpnCertificate },
    Txt { name: String, value: String },
}

impl OpenChallenges {
    fn open(&self) -> MutexGuard<'_, Challenges> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(open: &mut Challenges, challenge: Challenge) {
    match challenge {
        Challenge::Http { host, token, key_authorization } => {
            open.http.entry(host).or_default().insert(token, key_authorization);
        }
        Challenge::Alpn { host, certificate } => {
            open.alpn.insert(host, certificate);
        }
        Challenge::Txt { name, value } => {
            open.txt.entry(name).or_default().insert(value);
        }
    }
}

fn remove(open: &mut Challenges, challenge: &Challenge) {
    match challenge {
        Challenge::Http { host, token, .. } => {
            if let Some(tokens) = open.http.get_mut(host) {
                tokens.remove(token);
            }
            open.http.retain(|_, tokens| !tokens.is_empty());
        }
        Challenge::Alpn { host, .. } => {
            open.alpn.remove(host);
        }
        Challenge::Txt { name, value } => {
            if let Some(values) = open.txt.get_mut(name) {
                values.remove(value);
            }
            open.txt.retain(|_, values| !values.is_empty());
        }
    }
}

impl Platform {
    /// Opens a challenge; it is answered when this returns.
    pub(super) async fn open_challenge(
        &self,
        challenge: Challenge,
    ) -> Result<(), RouterUnavailable> {
        add(&mut self.acme().challenges.open(), challenge);
        self.sync_challenges().await
    }

    /// Takes challenges back.
    pub(super) async fn close_challenges(&self, challenges: &[Challenge]) {
        if challenges.is_empty() {
            return;
        }
        {
            let mut open = self.acme().challenges.open();
            challenges.iter().for_each(|challenge| remove(&mut open, challenge));
        }
        if let Err(error) = self.sync_challenges().await {
            tracing::warn!(%error, "the router may still answer challenges that are over");
        }
    }

    /// Tells the router all challenges that are open.
    pub(crate) async fn sync_challenges(&self) -> Result<(), RouterUnavailable> {
        let open = &self.acme().challenges;
        let _turn = open.turn.lock().await;
        let challenges = open.open().clone();
        self.routes().set_challenges(challenges).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_can_be_taken_back_and_leaves_nothing() {
        let http = |token: &str| Challenge::Http {
            host: "a.example.com".to_owned(),
            token: token.to_owned(),
            key_authorization: format!("{token}.thumb"),
        };
        let txt = |value: &str| Challenge::Txt {
            name: "_acme-challenge.example.com".to_owned(),
            value: value.to_owned(),
        };
        let certificate =
            AlpnCertificate { certificate_pem: "c".to_owned(), key_pem: "k".to_owned() };
        let alpn = Challenge::Alpn { host: "a.example.com".to_owned(), certificate };
        let all = [http("one"), http("two"), txt("one"), txt("two"), alpn];
        let mut open = Challenges::default();
        all.iter().cloned().for_each(|challenge| add(&mut open, challenge));
        assert_eq!(open.http["a.example.com"].len(), 2);
        assert_eq!(open.txt["_acme-challenge.example.com"].len(), 2);
        remove(&mut open, &all[0]);
        assert_eq!(open.key_authorization("a.example.com", "one"), None);
        assert_eq!(open.key_authorization("a.example.com", "two"), Some("two.thumb"));
        all.iter().for_each(|challenge| remove(&mut open, challenge));
        assert!(open.is_empty());
    }
}
