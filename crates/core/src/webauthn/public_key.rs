//! Public keys in COSE form (RFC 9053), and signatures of theirs.

use super::{Refused, cbor};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};

/// What passkeys may sign with, the favourite first, by COSE's numbers: ES256, EdDSA with Ed25519,
/// and RS256, which some of Windows' need.
pub const ALGORITHMS: [i64; 3] = [-7, -8, -257];

/// The numbers of COSE that are used here.
mod label {
    pub(super) const KEY_TYPE: i64 = 1;
    pub(super) const ALGORITHM: i64 = 3;
    pub(super) const CURVE: i64 = -1;
    pub(super) const X: i64 = -2;
    pub(super) const Y: i64 = -3;
    pub(super) const RSA_MODULUS: i64 = -1;
    pub(super) const RSA_EXPONENT: i64 = -2;
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum PublicKey {
    /// An uncompressed point of P-256.
    Es256(Vec<u8>),
    Ed25519(Vec<u8>),
    Rs256 {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
}

impl PublicKey {
    /// Reads a key that fills `bytes`.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        match cbor::read(bytes) {
            Some((value, [])) => Self::of(&value).ok_or(Refused::Algorithm),
            _ => Err(Refused::Unreadable("its public key")),
        }
    }

    fn of(key: &cbor::Value<'_>) -> Option<Self> {
        let number = |label| key.at(label).and_then(cbor::Value::integer);
        let bytes = |label| key.at(label).and_then(cbor::Value::bytes);
        let coordinate = |label| bytes(label).filter(|bytes| bytes.len() == 32);
        let kind = (number(label::KEY_TYPE)?, number(label::ALGORITHM)?);
        Some(match kind {
            (2, -7) if number(label::CURVE)? == 1 => {
                Self::Es256([&[4], coordinate(label::X)?, coordinate(label::Y)?].concat())
            }
            (1, -8) if number(label::CURVE)? == 6 => Self::Ed25519(coordinate(label::X)?.to_vec()),
            (3, -257) => Self::Rs256 {
                modulus: bytes(label::RSA_MODULUS)?.to_vec(),
                exponent: bytes(label::RSA_EXPONENT)?.to_vec(),
            },
            _ => return None,
        })
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Refused> {
        let verified = match self {
            Self::Es256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, signature)
            }
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
            Self::Rs256 { modulus, exponent } => RsaPublicKeyComponents { n: modulus, e: exponent }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
        };
        verified.map_err(|_| Refused::Signature)
    }
}

#[cfg(test)]
mod tests {
    use super::super::from_base64url;
    use super::*;
    use ring::rand::SystemRandom;
    use ring::signature::{Ed25519KeyPair, KeyPair};

    #[test]
    fn ed25519_keys_are_taken() {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        let x = pair.public_key().as_ref();
        let cose = [&[0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32], x].concat();
        let key = PublicKey::parse(&cose).unwrap();
        let signature = pair.sign(b"message");
        assert_eq!(key.verify(b"message", signature.as_ref()), Ok(()));
        assert_eq!(key.verify(b"massage", signature.as_ref()), Err(Refused::Signature));
    }

    /// A key and a signature that OpenSSL made.
    #[test]
    fn rsa_keys_are_taken() {
        let modulus = from_base64url("qg1Vss4hovD0jg-hUOOMhK7y2AlJK022eR1pgMaOoajxDf_ZYzXBdeYdHhaC_rEEtjyCk925wyeBw3lsFctLO_IA96TLZ66RgzAj_eYhb0X6qWvIwIniIWcm_62fT8lByWHcA_85hzR-ZTEk8fvsJ0I6DUe25Kn2GbINWXLv2ZLtqGXO-PzguqPN7dVMTfmqVRzaWwhyyrE0Fbj08_UST1euJHdukZJEMgja2O8CdKv5wKB7X7FQLVVHLPuTkYlTsO6YK0XG_PTNcIohW7I2aABSm_OQ8dba39v-UInHTOSKRo9fS6qWjSmOMYEBfvPFVc59BhLyz_aILMlpz46NPw").unwrap();
        let signature = from_base64url("JF75eHLUtCing0v1dTFnVW76-IaX88nFtaXt7BY1_gwekz7vBc9BXFxBjmi_w3yJ1R6ZVXJnYSmzZIWOAX9gUmS-hpEe0wTPy6YIyAy6oBc0nJ7bvjvE8rQ5hyW3CWLaIr_aFrs8iZFuoX47se8LoJQ1N1rvmp_tD6ZsgxuIlgaciFhb5-tRdsWEn6w5Ys6wbiwzXlKnNDN_-f36knwIX8LcKBhHhQOG5Kg9r3x41rdMdSL4netaUCqF2JHBSjIMI-tTM_gyAIH6DNT4iF2A786kpPh5lRefEMWWFkJlbG82_Zcs5qJTFeg8SATb1fWJKMUI4XZurDMk4szI1qb7GA").unwrap();
        let head = [0xa4, 1, 3, 3, 0x39, 1, 0, 0x20, 0x59, 1, 0];
        let cose = [&head[..], &modulus, &[0x21, 0x43, 1, 0, 1]].concat();
        let key = PublicKey::parse(&cose).unwrap();
        let message = b"authenticator data and the hash";
        assert_eq!(key.verify(message, &signature), Ok(()));
        assert_eq!(key.verify(&message[1..], &signature), Err(Refused::Signature));
    }

    #[test]
    fn other_keys_are_refused() {
        for (cose, why) in [
            // Another curve; another algorithm; a coordinate that is too short.
            (&[0xa4, 1, 1, 3, 0x27, 0x20, 7, 0x21, 0x41, 1][..], Refused::Algorithm),
            (&[0xa2, 1, 2, 3, 0x38, 0x22], Refused::Algorithm),
            (&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x41, 1, 0x22, 0x41, 1], Refused::Algorithm),
            (&[0xa0], Refused::Algorithm),
            (&[], Refused::Unreadable("its public key")),
            (&[0xa0, 0], Refused::Unreadable("its public key")),
        ] {
            assert_eq!(PublicKey::parse(cose), Err(why), "{cose:x?}");
        }
    }
}
