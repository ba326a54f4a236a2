//! What a device says of a ceremony: fixed fields, then what it tells of a new credential.

use super::{MAXIMUM_CREDENTIAL_ID, Refused, cbor};

mod flag {
    pub(super) const PRESENT: u8 = 1;
    pub(super) const VERIFIED: u8 = 1 << 2;
    pub(super) const BACKUP_ELIGIBLE: u8 = 1 << 3;
    pub(super) const BACKED_UP: u8 = 1 << 4;
    pub(super) const CREDENTIAL: u8 = 1 << 6;
    pub(super) const EXTENSIONS: u8 = 1 << 7;
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct AuthenticatorData<'a> {
    relying_party_hash: &'a [u8],
    flags: u8,
    pub(super) sign_count: u32,
    pub(super) credential: Option<AttestedCredential<'a>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct AttestedCredential<'a> {
    pub(super) id: &'a [u8],
    /// In COSE form.
    pub(super) public_key: &'a [u8],
}

impl<'a> AuthenticatorData<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Refused> {
        Self::read(bytes).ok_or(Refused::Unreadable("what the device says"))
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (relying_party_hash, rest) = bytes.split_at_checked(32)?;
        let (&flags, rest) = rest.split_first()?;
        let (count, mut rest) = rest.split_first_chunk::<4>()?;
        let mut credential = None;
        if flags & flag::CREDENTIAL != 0 {
            let (found, after) = attested(rest)?;
            credential = Some(found);
            rest = after;
        }
        if flags & flag::EXTENSIONS != 0 {
            let (extensions, after) = cbor::read(rest)?;
            matches!(extensions, cbor::Value::Map(_)).then_some(())?;
            rest = after;
        }
        let sign_count = u32::from_be_bytes(*count);
        rest.is_empty().then_some(Self { relying_party_hash, flags, sign_count, credential })
    }

    /// Refuses what was made for another server, or without making sure of the person.
    pub(super) fn check(&self, relying_party_hash: &[u8; 32]) -> Result<(), Refused> {
        if self.relying_party_hash != relying_party_hash {
            return Err(Refused::OtherRelyingParty);
        }
        if self.flags & flag::PRESENT == 0 {
            return Err(Refused::NotPresent);
        }
        if self.flags & flag::VERIFIED == 0 {
            return Err(Refused::NotVerified);
        }
        if self.backed_up() && !self.backup_eligible() {
            return Err(Refused::Contradiction);
        }
        Ok(())
    }

    pub(super) fn backup_eligible(&self) -> bool {
        self.flags & flag::BACKUP_ELIGIBLE != 0
    }

    pub(super) fn backed_up(&self) -> bool {
        self.flags & flag::BACKED_UP != 0
    }
}

fn attested(bytes: &[u8]) -> Option<(AttestedCredential<'_>, &[u8])> {
    // The model of the device: nobody asks.
    let (_, rest) = bytes.split_at_checked(16)?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    if !(1..=MAXIMUM_CREDENTIAL_ID).contains(&length) {
        return None;
    }
    let (id, rest) = rest.split_at_checked(length)?;
    let (_, after) = cbor::read(rest)?;
    let public_key = &rest[..rest.len() - after.len()];
    Some((AttestedCredential { id, public_key }, after))
}
