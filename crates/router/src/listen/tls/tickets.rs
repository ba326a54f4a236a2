//! Session tickets: what a client brings back to begin again without a whole handshake. Their keys
//! go to the next router with the sockets, and are never on a disk.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::server::ProducesTickets;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::io;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

/// How long a key makes tickets.
const ROTATION: Duration = Duration::from_secs(6 * 60 * 60);
/// Keys whose tickets are opened: the one in use and those before it.
const KEPT: usize = 3;
/// How long a ticket is opened at least, in seconds.
const LIFETIME: u32 = 12 * 60 * 60;
const NAME: usize = 16;
const SECRET: usize = 32;

/// The keys of a router, newest first.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct TicketKeys(Vec<[u8; SECRET]>);

pub(super) struct Tickets {
    keys: RwLock<Keys>,
    random: SystemRandom,
}

struct Keys {
    /// Newest first.
    known: VecDeque<Key>,
    next_at: Instant,
}

struct Key {
    name: [u8; NAME],
    secret: [u8; SECRET],
    sealing: LessSafeKey,
}

impl Key {
    fn new(secret: [u8; SECRET]) -> io::Result<Self> {
        let unusable = |_| io::Error::other("a key of session tickets cannot be used");
        let sealing = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &secret).map_err(unusable)?);
        let mut name = [0; NAME];
        let digest = ring::digest::digest(&ring::digest::SHA256, &secret);
        name.copy_from_slice(&digest.as_ref()[..NAME]);
        Ok(Self { name, secret, sealing })
    }

    fn random(random: &SystemRandom) -> io::Result<Self> {
        let mut secret = [0; SECRET];
        random.fill(&mut secret).map_err(|_| io::Error::other("there is no randomness"))?;
        Self::new(secret)
    }
}

impl Tickets {
    /// Begins with a new key, and opens the tickets of `earlier` ones.
    pub fn new(earlier: TicketKeys) -> io::Result<Self> {
        let random = SystemRandom::new();
        let mut known = VecDeque::from([Key::random(&random)?]);
        for secret in earlier.0.into_iter().take(KEPT - 1) {
            known.push_back(Key::new(secret)?);
        }
        let keys = Keys { known, next_at: Instant::now() + ROTATION };
        Ok(Self { keys: RwLock::new(keys), random })
    }

    pub fn keys(&self) -> TicketKeys {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        TicketKeys(keys.known.iter().map(|key| key.secret).collect())
    }

    fn rotate(&self, now: Instant) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if now < keys.next_at {
            return;
        }
        // Without randomness the key in use has to do for longer.
        if let Ok(key) = Key::random(&self.random) {
            keys.known.push_front(key);
            keys.known.truncate(KEPT);
        }
        keys.next_at = now + ROTATION;
    }
}

/// The keys are not shown.
impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let now = Instant::now();
        let is_due = now >= self.keys.read().unwrap_or_else(PoisonError::into_inner).next_at;
        if is_due {
            self.rotate(now);
        }
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.known.front()?;
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(NAME + NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        ticket.extend_from_slice(&key.name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(plain);
        let (head, body) = ticket.split_at_mut(NAME + NONCE_LEN);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = key.sealing.seal_in_place_separate_tag(nonce, Aad::from(head), body).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (head, sealed) = ticket.split_at_checked(NAME + NONCE_LEN)?;
        let (name, nonce) = head.split_at(NAME);
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.known.iter().find(|key| key.name == *name)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let length = key.sealing.open_in_place(nonce, Aad::from(head), &mut sealed).ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_are_opened_by_the_next_router_and_by_nobody_else() {
        let first = Tickets::new(TicketKeys::default()).unwrap();
        let ticket = first.encrypt(b"session").unwrap();
        assert_eq!(first.decrypt(&ticket).as_deref(), Some(b"session".as_slice()));
        let said = serde_json::to_string(&first.keys()).unwrap();
        let next = Tickets::new(serde_json::from_str(&said).unwrap()).unwrap();
        assert_eq!(next.decrypt(&ticket).as_deref(), Some(b"session".as_slice()));
        assert!(first.decrypt(&next.encrypt(b"session").unwrap()).is_none());
        assert!(Tickets::new(TicketKeys::default()).unwrap().decrypt(&ticket).is_none());
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert!(first.decrypt(&changed).is_none(), "{at}");
            assert!(first.decrypt(&ticket[..at]).is_none(), "{at}");
        }
    }

    #[test]
    fn keys_are_used_for_a_while_and_then_forgotten() {
        let tickets = Tickets::new(TicketKeys::default()).unwrap();
        let ticket = tickets.encrypt(b"session").unwrap();
        let mut now = Instant::now();
        tickets.rotate(now);
        assert_eq!(tickets.keys().0.len(), 1, "too early");
        for round in 1..=KEPT {
            now += ROTATION + Duration::from_secs(1);
            tickets.rotate(now);
            assert_eq!(tickets.decrypt(&ticket).is_some(), round < KEPT, "{round}");
        }
        assert_eq!(tickets.keys().0.len(), KEPT);
    }
}
