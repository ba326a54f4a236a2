use super::*;
use serde_json::{Value, json};

fn client() -> Client {
    Client::new(&AcmeSettings {
        email: "me@example.com".to_owned(),
        directory: "https://ca.example/directory".to_owned(),
        ca_bundle: None,
        challenges: vec![ChallengeKind::Http01],
    })
    .unwrap()
}

fn meaning(problem: Value) -> Failed {
    let problem: Problem = serde_json::from_value(problem).unwrap();
    Failed::of(&Error::Api(problem), &client())
}

#[test]
fn what_the_authority_says_is_sorted_by_what_helps_against_it() {
    let name = |name: &str| format!("urn:ietf:params:acme:error:{name}");
    let table = [
        (json!({"type": name("rateLimited"), "status": 429}), FailureKind::RateLimited),
        (json!({"type": "about:blank", "status": 429}), FailureKind::RateLimited),
        (json!({"type": name("serverInternal"), "status": 500}), FailureKind::Unavailable),
        (json!({"type": "about:blank", "status": 503}), FailureKind::Unavailable),
        (json!({"type": name("badNonce"), "status": 400}), FailureKind::Unavailable),
        (json!({"type": name("accountDoesNotExist"), "status": 400}), FailureKind::Unavailable),
        (json!({"type": name("rejectedIdentifier"), "status": 400}), FailureKind::Refused),
        (json!({"type": name("unauthorized"), "status": 403}), FailureKind::Refused),
        (json!({"type": name("caa"), "status": 403}), FailureKind::Refused),
        (json!({}), FailureKind::Refused),
    ];
    for (problem, kind) in table {
        let failed = meaning(problem.clone());
        assert_eq!(failed.kind, kind, "{problem}");
        let is_gone = problem["type"].as_str().is_some_and(|t| t.ends_with("DoesNotExist"));
        assert_eq!(failed.forget_account, is_gone, "{problem}");
    }
    let unreached = Failed::of(&Error::Str("no nonce"), &client());
    assert_eq!(unreached.kind, FailureKind::Unavailable);
}

#[test]
fn its_words_about_single_names_are_passed_on() {
    let failed = meaning(json!({
        "type": "urn:ietf:params:acme:error:rejectedIdentifier",
        "detail": "some names are not taken",
        "subproblems": [
            {"detail": "a.example.com is on a list", "identifier": {"type": "dns", "value": "a.example.com"}},
        ],
    }));
    assert_eq!(
        failed.message,
        "The certificate authority refuses: some names are not taken; a.example.com is on a list"
    );
}

#[test]
fn the_certificate_of_a_challenge_is_for_its_name_and_critical() {
    let made = alpn_certificate("www.example.com", &[7; 32]).unwrap();
    let details = windlass_core::certificate::details(&made.certificate_pem).unwrap();
    assert_eq!(details.names, ["www.example.com"]);
    let bytes = base64_of(&made.certificate_pem);
    // id-pe-acmeIdentifier, critical, and the digest as an octet string in an octet string.
    let mut extension =
        vec![0x06, 8, 0x2b, 6, 1, 5, 5, 7, 1, 31, 0x01, 1, 0xff, 0x04, 34, 0x04, 32];
    extension.extend([7; 32]);
    assert!(bytes.windows(extension.len()).any(|part| part == extension));
    assert!(made.key_pem.contains("PRIVATE KEY"));
}

fn base64_of(pem: &str) -> Vec<u8> {
    use base64::Engine;
    let text: String = pem.lines().filter(|line| !line.starts_with("---")).collect();
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}
