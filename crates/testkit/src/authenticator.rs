//! A device with one passkey, in software: it answers a server's questions as Web Authentication
//! says, with ES256, and lies where a test wants it to.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

/// Flags of authenticator data.
pub const PRESENT: u8 = 1;
pub const VERIFIED: u8 = 1 << 2;
pub const BACKUP_ELIGIBLE: u8 = 1 << 3;
pub const BACKED_UP: u8 = 1 << 4;
const CREDENTIAL: u8 = 1 << 6;

/// How browser and device go about it.
#[derive(Clone, Debug)]
pub struct Ceremony {
    /// Where the browser is.
    pub origin: String,
    /// The host that the device believes to be asked by.
    pub relying_party: String,
    /// What the server asked, in base64url.
    pub challenge: String,
    pub flags: u8,
    pub cross_origin: bool,
}

impl Ceremony {
    /// One as it should be.
    #[must_use]
    pub fn at(origin: &str, relying_party: &str, challenge: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            relying_party: relying_party.to_owned(),
            challenge: challenge.to_owned(),
            flags: PRESENT | VERIFIED,
            cross_origin: false,
        }
    }

    fn client_data(&self, kind: &str) -> Vec<u8> {
        let said = json!({
            "type": kind, "challenge": self.challenge, "origin": self.origin,
            "crossOrigin": self.cross_origin,
        });
        said.to_string().into_bytes()
    }
}

/// A device with one passkey.
pub struct Authenticator {
    key: EcdsaKeyPair,
    random: SystemRandom,
    pub credential_id: Vec<u8>,
    /// Whose it is, as the server said.
    pub user_handle: Vec<u8>,
    /// How often it was used; 0 is not counted on.
    pub sign_count: u32,
}

/// The answer to the question for a new credential.
#[derive(Clone, Debug)]
pub struct Created {
    pub client_data: Vec<u8>,
    pub attestation_object: Vec<u8>,
}

/// The answer to the question for a proof.
#[derive(Clone, Debug)]
pub struct Given {
    pub credential_id: Vec<u8>,
    pub user_handle: Vec<u8>,
    pub client_data: Vec<u8>,
    pub authenticator_data: Vec<u8>,
    pub signature: Vec<u8>,
}

impl Authenticator {
    /// Makes a key and an identifier for it.
    #[must_use]
    pub fn new(user_handle: &[u8]) -> Self {
        let (random, kind) = (SystemRandom::new(), &ECDSA_P256_SHA256_ASN1_SIGNING);
        let document = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(kind, document.as_ref(), &random).unwrap();
        let credential_id = key.public_key().as_ref()[1..21].to_vec();
        Self { key, random, credential_id, user_handle: user_handle.to_vec(), sign_count: 0 }
    }

    /// The public key in COSE form.
    #[must_use]
    pub fn public_key(&self) -> Vec<u8> {
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        [&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32], x, &[0x22, 0x58, 32], y].concat()
    }

    fn authenticator_data(&self, ceremony: &Ceremony, flags: u8) -> Vec<u8> {
        let hash = digest(ceremony.relying_party.as_bytes());
        [&hash[..], &[flags], &self.sign_count.to_be_bytes()].concat()
    }

    /// Answers `navigator.credentials.create`.
    #[must_use]
    pub fn create(&self, ceremony: &Ceremony) -> Created {
        let mut data = self.authenticator_data(ceremony, ceremony.flags | CREDENTIAL);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.credential_id.len()).unwrap().to_be_bytes());
        data.extend(&self.credential_id);
        data.extend(self.public_key());
        let length = u8::try_from(data.len()).expect("it is short");
        let head = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58";
        Created {
            client_data: ceremony.client_data("webauthn.create"),
            attestation_object: [&head[..], &[length], &data].concat(),
        }
    }

    /// Answers `navigator.credentials.get`.
    #[must_use]
    pub fn get(&self, ceremony: &Ceremony) -> Given {
        let client_data = ceremony.client_data("webauthn.get");
        let authenticator_data = self.authenticator_data(ceremony, ceremony.flags);
        let signed = [&authenticator_data[..], &digest(&client_data)].concat();
        let signature = self.key.sign(&self.random, &signed).unwrap().as_ref().to_vec();
        Given {
            credential_id: self.credential_id.clone(),
            user_handle: self.user_handle.clone(),
            client_data,
            authenticator_data,
            signature,
        }
    }
}

impl Created {
    /// As the script on the server's pages sends it.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "clientDataJSON": URL_SAFE_NO_PAD.encode(&self.client_data),
            "attestationObject": URL_SAFE_NO_PAD.encode(&self.attestation_object),
            "transports": ["internal"],
        })
    }
}

impl Given {
    /// As the script on the server's pages sends it.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "id": URL_SAFE_NO_PAD.encode(&self.credential_id),
            "userHandle": URL_SAFE_NO_PAD.encode(&self.user_handle),
            "clientDataJSON": URL_SAFE_NO_PAD.encode(&self.client_data),
            "authenticatorData": URL_SAFE_NO_PAD.encode(&self.authenticator_data),
            "signature": URL_SAFE_NO_PAD.encode(&self.signature),
        })
    }
}

fn digest(bytes: &[u8]) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().to_vec()
}
