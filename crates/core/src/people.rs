//! What people and teams are called.

use std::fmt;
use std::str::FromStr;

/// The longest address that mail takes.
const MAXIMUM_ADDRESS: usize = 254;
/// As on Heroku.
const TEAM_NAME_LENGTHS: std::ops::RangeInclusive<usize> = 2..=30;
const MAXIMUM_PERSON_NAME: usize = 100;
const MAXIMUM_PASSKEY_NAME: usize = 60;

/// The text cannot be what it is given as.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPerson {
    #[error(
        "{0:?} is no e-mail address: it needs a name, an @ and a domain, and at most {MAXIMUM_ADDRESS} characters"
    )]
    Address(String),
    #[error(
        "{0:?} is no name for a team: it needs 2 to 30 lower-case letters, digits and dashes, with a letter first and no dash last"
    )]
    Team(String),
    #[error(
        "a person's name needs 1 to {MAXIMUM_PERSON_NAME} characters, none of them a control character"
    )]
    Name,
    #[error(
        "a passkey's name needs 1 to {MAXIMUM_PASSKEY_NAME} characters, none of them a control character"
    )]
    Passkey,
}

/// An e-mail address: how people are told apart. Kept in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailAddress(String);

impl EmailAddress {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for EmailAddress {
    type Err = InvalidPerson;
    fn from_str(text: &str) -> Result<Self, InvalidPerson> {
        let wrong = || InvalidPerson::Address(text.chars().take(60).collect());
        let text = text.trim();
        let (name, domain) = text.rsplit_once('@').ok_or_else(wrong)?;
        let is_plain = |text: &str, more: &str| {
            let allowed =
                |byte: u8| byte.is_ascii_alphanumeric() || more.as_bytes().contains(&byte);
            !text.is_empty() && text.bytes().all(allowed)
        };
        let valid = text.len() <= MAXIMUM_ADDRESS
            && is_plain(name, "!#$%&'*+/=?^_`{|}~.-")
            && is_plain(domain, ".-")
            && !domain.starts_with(['.', '-'])
            && !domain.ends_with(['.', '-']);
        if valid { Ok(Self(text.to_ascii_lowercase())) } else { Err(wrong()) }
    }
}

/// A team's name, unique on the server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TeamName(String);

impl TeamName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TeamName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for TeamName {
    type Err = InvalidPerson;
    fn from_str(text: &str) -> Result<Self, InvalidPerson> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let valid = TEAM_NAME_LENGTHS.contains(&text.len())
            && text.bytes().all(allowed)
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && !text.ends_with('-')
            // Its endpoints stand beside a team's.
            && !matches!(text, "apps" | "permissions" | "invitations");
        let wrong = || InvalidPerson::Team(text.chars().take(60).collect());
        valid.then(|| Self(text.to_owned())).ok_or_else(wrong)
    }
}

/// Returns what a person calls one of their passkeys, without blanks around it.
///
/// # Errors
/// Too long, empty or with control characters.
pub fn passkey_name(text: &str) -> Result<String, InvalidPerson> {
    let text = text.trim();
    let valid = (1..=MAXIMUM_PASSKEY_NAME).contains(&text.chars().count())
        && !text.chars().any(char::is_control);
    if valid { Ok(text.to_owned()) } else { Err(InvalidPerson::Passkey) }
}

/// Returns what a person is called, without blanks around it.
///
/// # Errors
/// Too long, empty or with control characters.
pub fn person_name(text: &str) -> Result<String, InvalidPerson> {
    let text = text.trim();
    let valid = (1..=MAXIMUM_PERSON_NAME).contains(&text.chars().count())
        && !text.chars().any(char::is_control);
    if valid { Ok(text.to_owned()) } else { Err(InvalidPerson::Name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_other_text() {
        for (text, expected) in [
            ("Ada@Example.com", "ada@example.com"),
            (" owner@localhost ", "owner@localhost"),
            ("a.b+c@x-y.example", "a.b+c@x-y.example"),
        ] {
            assert_eq!(text.parse::<EmailAddress>().unwrap().as_str(), expected);
        }
        let long = format!("{}@x.example", "a".repeat(300));
        for text in ["", "@", "a@", "@b", "a b@c", "a@b/c", "a@.b", "a@b.", "a\n@b", "~", &long] {
            assert!(text.parse::<EmailAddress>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_are_checked() {
        assert_eq!("makers-2".parse::<TeamName>().unwrap().as_str(), "makers-2");
        for text in ["", "a", "2ab", "-ab", "ab-", "Ab", "a b", "apps", "a/b", &"a".repeat(31)] {
            assert!(text.parse::<TeamName>().is_err(), "{text:?}");
        }
        assert_eq!(person_name("  Ada Lovelace ").unwrap(), "Ada Lovelace");
        assert!(person_name(" ").is_err() && person_name("a\u{7}b").is_err());
        assert_eq!(passkey_name(" Laptop ").unwrap(), "Laptop");
        assert!(passkey_name("").is_err() && passkey_name(&"a".repeat(61)).is_err());
        assert!(person_name(&"ä".repeat(100)).is_ok() && person_name(&"ä".repeat(101)).is_err());
    }
}
