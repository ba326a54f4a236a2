//! What is said between this server and the script on its pages: the options of Web
//! Authentication with bytes in base64url, and what devices answer.

use serde::Deserialize;
use serde_json::{Value, json};
use windlass_control::access::{NewPasskey, PasskeyProof, user_handle};
use windlass_control::records::{Passkey, User};
use windlass_core::webauthn::{
    ALGORITHMS, CHALLENGE_LIFETIME, Challenge, RelyingParty, from_base64url, to_base64url,
};

/// Returns what a device is asked to make a passkey.
pub(super) fn creation_options(
    party: &RelyingParty,
    challenge: &Challenge,
    user: &User,
    known: &[Passkey],
) -> Value {
    let algorithms: Vec<_> =
        ALGORITHMS.iter().map(|alg| json!({"type": "public-key", "alg": alg})).collect();
    let known: Vec<_> = known
        .iter()
        .map(|passkey| {
            let id = to_base64url(&passkey.credential_id);
            json!({"type": "public-key", "id": id, "transports": passkey.transports})
        })
        .collect();
    json!({"publicKey": {
        "rp": {"id": party.id(), "name": format!("Windlass at {}", party.id())},
        "user": {
            "id": to_base64url(&user_handle(user.id)),
            "name": user.email,
            "displayName": user.name.as_deref().unwrap_or(&user.email),
        },
        "challenge": challenge.text(),
        "pubKeyCredParams": algorithms,
        "timeout": milliseconds(),
        "attestation": "none",
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": true,
            "userVerification": "required",
        },
        "excludeCredentials": known,
    }})
}

/// Returns what a device is asked to say whose it is: of whomever it has a passkey.
pub(crate) fn request_options(party: &RelyingParty, challenge: &Challenge) -> Value {
    json!({"publicKey": {
        "rpId": party.id(),
        "challenge": challenge.text(),
        "timeout": milliseconds(),
        "userVerification": "required",
    }})
}

fn milliseconds() -> u64 {
    u64::try_from(CHALLENGE_LIFETIME.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    attestation_object: String,
    #[serde(default)]
    transports: Vec<String>,
}

/// Reads the answer of a device that has made a passkey.
pub(super) fn made(name: String, answer: &str) -> Option<NewPasskey> {
    let made: Made = serde_json::from_str(answer).ok()?;
    Some(NewPasskey {
        name,
        client_data: from_base64url(&made.client_data)?,
        attestation_object: from_base64url(&made.attestation_object)?,
        transports: made.transports,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    id: String,
    #[serde(default)]
    user_handle: String,
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    authenticator_data: String,
    signature: String,
}

/// Reads the answer of a device that proves whose it is.
pub(crate) fn proof_of(answer: &str) -> Option<PasskeyProof> {
    let given: Given = serde_json::from_str(answer).ok()?;
    Some(PasskeyProof {
        credential_id: from_base64url(&given.id)?,
        user_handle: from_base64url(&given.user_handle)?,
        client_data: from_base64url(&given.client_data)?,
        authenticator_data: from_base64url(&given.authenticator_data)?,
        signature: from_base64url(&given.signature)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_the_script_writes_them() {
        let answer = r#"{"id":"AQI","userHandle":"","clientDataJSON":"e30","authenticatorData":"AA","signature":"_-8"}"#;
        let proof = proof_of(answer).unwrap();
        assert_eq!((proof.credential_id, proof.signature), (vec![1, 2], vec![0xff, 0xef]));
        assert!(proof.user_handle.is_empty());
        let answer = r#"{"clientDataJSON":"e30","attestationObject":"oA","transports":["usb"]}"#;
        let new = made("Key".into(), answer).unwrap();
        assert_eq!((new.client_data.as_slice(), new.transports.len()), (&b"{}"[..], 1));
        for wrong in ["", "{}", "[]", r#"{"clientDataJSON":"!","attestationObject":""}"#] {
            assert!(proof_of(wrong).is_none() && made(String::new(), wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn devices_are_told_to_make_sure_of_the_person() {
        let party = RelyingParty::of_url("http://localhost:8081").unwrap();
        let challenge = windlass_control::access::new_challenge();
        let options = request_options(&party, &challenge);
        assert_eq!(options["publicKey"]["userVerification"], "required");
        assert_eq!(options["publicKey"]["rpId"], "localhost");
        assert!(options["publicKey"].get("allowCredentials").is_none(), "no name is typed");
    }
}
