//! Who may see an app: names and passwords by HTTP Basic authentication.
//!
//! A password is slow to check by design. What was checked is remembered, so that a client pays
//! once; what is new is checked one at a time, off the threads that carry requests, and only a few
//! times for a client that guesses.

use super::Answer;
use super::rate::{RateLimiter, retry_after};
use base64::prelude::{BASE64_STANDARD, Engine};
use http::{HeaderValue, StatusCode, header};
use ring::{hmac, pbkdf2};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use windlass_core::routing_settings::{BasicUser, PasswordHash};

/// Credentials that are remembered for one app, right and wrong ones.
const REMEMBERED: usize = 4_096;
/// Wrong guesses that one client has at once, and the time in which it earns another.
const GUESSES: u32 = 10;
const GUESS_EVERY: Duration = Duration::from_secs(3);
/// Passwords that may wait to be checked, of all apps.
const WAITING: usize = 64;

/// One at a time: whoever guesses keeps at most one core busy.
static CHECKING: Semaphore = Semaphore::const_new(1);
static WAITING_ROOM: Semaphore = Semaphore::const_new(WAITING);
/// Credentials are remembered under a key that nobody has outside of this process.
static KEY: LazyLock<hmac::Key> = LazyLock::new(|| {
    let bytes: [[u8; 16]; 4] = std::array::from_fn(|_| *uuid::Uuid::new_v4().as_bytes());
    hmac::Key::new(hmac::HMAC_SHA256, bytes.as_flattened())
});

type Digest = [u8; 32];

pub(super) struct Authentication {
    users: Arc<[BasicUser]>,
    known: Mutex<HashMap<Digest, bool>>,
    guesses: RateLimiter,
}

impl Authentication {
    pub fn new(users: &[BasicUser]) -> Option<Self> {
        (!users.is_empty()).then(|| Self {
            users: users.into(),
            known: Mutex::default(),
            guesses: RateLimiter::with(GUESS_EVERY, GUESSES),
        })
    }

    /// Returns what to answer unless the credentials are right.
    pub async fn refuse(&self, header: Option<&[u8]>, client: IpAddr) -> Option<Answer> {
        let Some(credentials) = header.and_then(Credentials::read) else {
            return Some(unauthorized());
        };
        let digest = credentials.digest();
        let right = match self.recall(&digest) {
            Some(right) => right,
            None => {
                if let Some(wait) = self.guesses.wait(client) {
                    return Some(later(wait));
                }
                let Ok(_waiting) = WAITING_ROOM.try_acquire() else {
                    return Some(later(Duration::from_secs(1)));
                };
                let right = match self.check(credentials, client).await {
                    Ok(right) => right,
                    Err(wait) => return Some(later(wait)),
                };
                self.remember(digest, right);
                right
            }
        };
        (!right).then(unauthorized)
    }

    /// Checks what is new, and counts it if it is a wrong guess; fails with the time to wait for a
    /// client that has guessed too often.
    async fn check(&self, credentials: Credentials, client: IpAddr) -> Result<bool, Duration> {
        let Ok(_alone) = CHECKING.acquire().await else { return Ok(false) };
        // Whoever guesses many at once has guessed others meanwhile.
        if let Some(wait) = self.guesses.wait(client) {
            return Err(wait);
        }
        let users = Arc::clone(&self.users);
        let check = move || users.iter().any(|user| credentials.are_of(user));
        let right = tokio::task::spawn_blocking(check).await.unwrap_or(false);
        if !right {
            self.guesses.take(client);
        }
        Ok(right)
    }

    fn recall(&self, digest: &Digest) -> Option<bool> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(digest).copied()
    }

    fn remember(&self, digest: Digest, right: bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            // Guesses fill it; the few who know a password stay.
            known.retain(|_, right| *right);
        }
        if known.len() < REMEMBERED {
            known.insert(digest, right);
        }
    }
}

struct Credentials(Vec<u8>);

impl Credentials {
    fn read(header: &[u8]) -> Option<Self> {
        let (scheme, rest) = header.split_at_checked(6)?;
        if !scheme.eq_ignore_ascii_case(b"basic ") {
            return None;
        }
        // A password of 1,000 characters is long enough.
        let encoded = Some(rest.trim_ascii()).filter(|encoded| encoded.len() <= 1_500)?;
        let text = BASE64_STANDARD.decode(encoded).ok()?;
        text.contains(&b':').then_some(Self(text))
    }

    fn digest(&self) -> Digest {
        let mut digest = [0; 32];
        digest.copy_from_slice(hmac::sign(&KEY, &self.0).as_ref());
        digest
    }

    fn are_of(&self, user: &BasicUser) -> bool {
        let Some(at) = self.0.iter().position(|byte| *byte == b':') else { return false };
        let (name, password) = (&self.0[..at], &self.0[at + 1..]);
        name == user.name.as_bytes() && matches(password, &user.password)
    }
}

fn matches(password: &[u8], hash: &PasswordHash) -> bool {
    let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
    pbkdf2::verify(algorithm, hash.iterations, &hash.salt, password, &hash.hash).is_ok()
}

fn unauthorized() -> Answer {
    let challenge = HeaderValue::from_static("Basic realm=\"Restricted\", charset=\"UTF-8\"");
    Answer::new(StatusCode::UNAUTHORIZED, "This app wants a name and a password.")
        .with(header::WWW_AUTHENTICATE, challenge)
}

fn later(wait: Duration) -> Answer {
    Answer::new(
        StatusCode::TOO_MANY_REQUESTS,
        "Too many passwords are being tried. Please try again later.",
    )
    .with(header::RETRY_AFTER, retry_after(wait))
}
