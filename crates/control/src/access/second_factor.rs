//! The second factor: one-time passwords by time (RFC 6238) and recovery codes.

use super::random_secret;
use crate::platform::now_ms;
use crate::records::{SecondFactor, Store, User};
use crate::{Platform, PlatformError, Result};
use ring::hmac;
use windlass_core::ids::UserId;

/// A new code every 30 seconds, as authenticator apps expect it.
const STEP_SECONDS: u64 = 30;
const DIGITS: usize = 6;
/// Clocks may differ by so many steps.
const TOLERATED_STEPS: u64 = 1;
const RECOVERY_CODES: usize = 10;

/// A second factor that has been proposed: its secret is shown this once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposedFactor {
    /// In base 32, as people type it.
    pub secret: String,
    /// `otpauth://…`, as authenticator apps read it from a picture.
    pub url: String,
}

/// How things stand with somebody's second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FactorStatus {
    pub enabled: bool,
    pub recovery_codes_left: u32,
}

impl Platform {
    pub fn has_second_factor(&self, user: UserId) -> Result<bool> {
        let factor = self.store().second_factor(user)?;
        Ok(factor.is_some_and(|factor| factor.confirmed_at.is_some()))
    }

    pub fn second_factor_status(&self, user: &User) -> Result<FactorStatus> {
        let enabled = self.has_second_factor(user.id)?;
        let left = self.store().recovery_codes_left(user.id)?;
        Ok(FactorStatus { enabled, recovery_codes_left: left })
    }

    /// Makes a secret for an authenticator app. It is asked for only after it was confirmed.
    ///
    /// # Errors
    /// There is a second factor already.
    pub fn propose_second_factor(&self, user: &User) -> Result<ProposedFactor> {
        if self.has_second_factor(user.id)? {
            let message = "There is a second factor already: disable it first.";
            return Err(PlatformError::Conflict(message.to_owned()));
        }
        let secret = random_secret().into_bytes();
        // 160 bits, as RFC 4226 recommends: 40 hexadecimal digits are 20 bytes.
        let secret: Vec<u8> = secret.chunks(2).filter_map(hexadecimal).collect();
        self.store().propose_second_factor(user.id, &secret)?;
        let text = base32(&secret);
        let label = format!("Windlass:{}", user.email);
        let label: String = label.bytes().map(url_encoded).collect();
        let url = format!(
            "otpauth://totp/{label}?secret={text}&issuer=Windlass&algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}"
        );
        Ok(ProposedFactor { secret: text, url })
    }

    /// Puts a proposed second factor into force once its app shows the right code. Returns the
    /// recovery codes, which are not kept.
    pub fn confirm_second_factor(&self, user: &User, code: &str) -> Result<Vec<String>> {
        let factor = self.store().second_factor(user.id)?;
        let Some(factor) = factor.filter(|factor| factor.confirmed_at.is_none()) else {
            let message = "There is no second factor to confirm.";
            return Err(PlatformError::Conflict(message.to_owned()));
        };
        self.check_code(user, &factor, code)?;
        let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| recovery_code()).collect();
        self.store().confirm_second_factor(user.id, &codes, now_ms())?;
        Ok(codes)
    }

    /// Goes back to tokens alone; needs a code.
    pub fn disable_second_factor(&self, user: &User, code: Option<&str>) -> Result<()> {
        self.require_second_factor(user, code)?;
        Ok(self.store().delete_second_factor(user.id)?)
    }

    /// Refuses somebody who has a second factor and does not show it. Whoever has none passes.
    ///
    /// # Errors
    /// [`PlatformError::TwoFactor`] without a code or with a wrong one,
    /// [`PlatformError::TooMany`] after too many wrong ones.
    pub fn require_second_factor(&self, user: &User, code: Option<&str>) -> Result<()> {
        let factor = self.store().second_factor(user.id)?;
        match (factor.filter(|factor| factor.confirmed_at.is_some()), code) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(PlatformError::TwoFactor("needs your two-factor code")),
            (Some(factor), Some(code)) => self.check_code(user, &factor, code),
        }
    }

    fn check_code(&self, user: &User, factor: &SecondFactor, code: &str) -> Result<()> {
        self.guard().second_factor_may_be_tried(user.id)?;
        let code: String = code.chars().filter(|c| !c.is_whitespace()).take(40).collect();
        let step = matching_step(&factor.secret, &code, now_ms() / 1_000, factor.last_step);
        let right = match step {
            Some(step) => self.store().use_step(user.id, step)?,
            None => self.store().use_recovery_code(user.id, &code.to_ascii_lowercase())?,
        };
        self.guard().second_factor_was_tried(user.id, right);
        if right { Ok(()) } else { Err(PlatformError::TwoFactor("got a wrong two-factor code")) }
    }
}

/// Takes the second factor from somebody, whatever they have lost.
pub(super) fn forget(store: &Store, user: UserId) -> Result<()> {
    Ok(store.delete_second_factor(user)?)
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Fifty random bits in two groups, easily copied by hand.
fn recovery_code() -> String {
    let digits = random_secret();
    format!("{}-{}", &digits[..6], &digits[6..12])
}

/// Returns the time step whose code it is, of those that are near and later than `used`.
fn matching_step(secret: &[u8], code: &str, now_seconds: u64, used: u64) -> Option<u64> {
    let now = now_seconds / STEP_SECONDS;
    (now.saturating_sub(TOLERATED_STEPS)..=now + TOLERATED_STEPS).filter(|step| *step > used).find(
        |step| {
            let right = one_time_password(secret, *step);
            // Both are of public length; only their content must not be told by time.
            right.len() == code.len()
                && right.bytes().zip(code.bytes()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
        },
    )
}

/// RFC 4226, section 5.3.
fn one_time_password(secret: &[u8], counter: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &counter.to_be_bytes());
    let bytes = tag.as_ref();
    let offset = usize::from(bytes[bytes.len() - 1] & 0x0f);
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[offset..offset + 4]);
    let number = u32::from_be_bytes(four) & 0x7fff_ffff;
    format!("{:0DIGITS$}", number % 10_u32.pow(6))
}

/// RFC 4648, without padding.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::new();
    let (mut bits, mut count) = (0u32, 0);
    for byte in bytes {
        bits = (bits << 8) | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(char::from(ALPHABET[(bits >> count) as usize & 31]));
        }
        bits &= (1 << count) - 1;
    }
    if count > 0 {
        text.push(char::from(ALPHABET[(bits << (5 - count)) as usize & 31]));
    }
    text
}

fn url_encoded(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'@' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    #[test]
    fn passwords_are_those_of_the_rfcs() {
        // RFC 4226, appendix D.
        let expected = ["755224", "287082", "359152", "969429", "338314", "254676", "287922"];
        for (counter, code) in (0..).zip(expected) {
            assert_eq!(one_time_password(SECRET, counter), code);
        }
        // RFC 6238, appendix B, the last six digits.
        for (seconds, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")]
        {
            assert_eq!(matching_step(SECRET, code, seconds, 0), Some(seconds / 30), "{seconds}");
        }
    }

    #[test]
    fn a_code_is_good_for_its_time_and_once() {
        let at = 1_111_111_109;
        assert!(matching_step(SECRET, "081804", at + 30, 0).is_some(), "clocks differ");
        assert!(matching_step(SECRET, "081804", at + 90, 0).is_none());
        assert!(matching_step(SECRET, "081804", at, at / 30).is_none(), "it was used");
        for wrong in ["", "08180", "0818044", "081805", "ab1804"] {
            assert!(matching_step(SECRET, wrong, at, 0).is_none(), "{wrong}");
        }
    }

    #[test]
    fn secrets_are_written_as_apps_read_them() {
        for (bytes, text) in [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foobar", "MZXW6YTBOI")] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
        assert_eq!(base32(SECRET), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(recovery_code().len(), 13);
    }
}
