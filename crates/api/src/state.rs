//! What every handler can reach.

use crate::heroku::browser_login::BrowserLogins;
use crate::heroku::passkeys::OpenPages;
use ring::hmac;
use ring::rand::SystemRandom;
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::watch;
use windlass_control::Platform;

/// The state behind all routes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ApiState(Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) platform: Platform,
    /// Signs the URLs of output streams; new with every start, so that such URLs do not outlive it.
    stream_key: hmac::Key,
    /// Those who log in by a browser.
    pub(crate) browser_logins: BrowserLogins,
    /// Those who see to their passkeys.
    pub(crate) passkey_pages: OpenPages,
    /// Turns true when connections that left HTTP behind must end.
    closing: watch::Sender<bool>,
}

impl Deref for ApiState {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl ApiState {
    pub(crate) fn new(platform: Platform) -> Self {
        Self(Arc::new(Parts {
            platform,
            stream_key: random_key(),
            browser_logins: BrowserLogins::default(),
            passkey_pages: OpenPages::default(),
            closing: watch::Sender::new(false),
        }))
    }

    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Returns once [`ApiState::close`] was called.
    pub(crate) async fn closed(&self) {
        let mut closing = self.closing.subscribe();
        // The sender lives in `self`, so this cannot fail while we wait.
        let _ = closing.wait_for(|closing| *closing).await;
    }

    /// Returns the signature, in hexadecimal digits, that makes `path` a URL that nobody can guess.
    pub(crate) fn sign(&self, path: &str) -> String {
        hmac::sign(&self.stream_key, path.as_bytes())
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    pub(crate) fn is_signed(&self, path: &str, signature: &str) -> bool {
        let digits = signature.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return false;
        }
        let tag: Vec<u8> = (0..64)
            .step_by(2)
            .filter_map(|at| u8::from_str_radix(signature.get(at..at + 2)?, 16).ok())
            .collect();
        hmac::verify(&self.stream_key, path.as_bytes(), &tag).is_ok()
    }
}

fn random_key() -> hmac::Key {
    match hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()) {
        Ok(key) => key,
        // Linux hands out random bytes always once it is up; if not, nothing here is safe.
        Err(_) => panic!("the system gives no random numbers"),
    }
}
