//! What `windlass_core::webauthn` makes of a device's answers, right and wrong ones, with a device in
//! software.

use std::time::{Duration, Instant};
use windlass_core::webauthn::{
    Asserted, Assertion, CHALLENGE_LIFETIME, Challenge, KnownCredential, Refused, Registered,
    RelyingParty, check_assertion, check_registration,
};
use windlass_testkit::authenticator::{
    Authenticator, BACKED_UP, BACKUP_ELIGIBLE, Ceremony, Created, Given, PRESENT, VERIFIED,
};

const ORIGIN: &str = "https://api.example.com";
const HOST: &str = "api.example.com";

fn party() -> RelyingParty {
    RelyingParty::of_url(ORIGIN).unwrap()
}

/// A ceremony as it should be, and what it answers.
fn asked(now: Instant) -> (Challenge, Ceremony) {
    let challenge = Challenge::new([7; 32], now);
    let ceremony = Ceremony::at(ORIGIN, HOST, &challenge.text());
    (challenge, ceremony)
}

fn registered(bend: impl FnOnce(&mut Ceremony)) -> Result<Registered, Refused> {
    created(bend, |_| {})
}

fn created(
    bend: impl FnOnce(&mut Ceremony),
    tamper: impl FnOnce(&mut Created),
) -> Result<Registered, Refused> {
    let now = Instant::now();
    let (challenge, mut ceremony) = asked(now);
    bend(&mut ceremony);
    let mut made = Authenticator::new(b"ada").create(&ceremony);
    tamper(&mut made);
    check_registration(&party(), challenge, now, &made.client_data, &made.attestation_object)
}

/// Proves with a device that has counted to `count`, of which 5 and no backup is known.
fn proved(
    count: u32,
    bend: impl FnOnce(&mut Ceremony),
    tamper: impl FnOnce(&mut Given),
) -> Result<Asserted, Refused> {
    let now = Instant::now();
    let (challenge, mut ceremony) = asked(now);
    bend(&mut ceremony);
    let mut device = Authenticator::new(b"ada");
    device.sign_count = count;
    let mut given = device.get(&ceremony);
    tamper(&mut given);
    check(&device, challenge, now, &given)
}

fn check(
    device: &Authenticator,
    challenge: Challenge,
    now: Instant,
    given: &Given,
) -> Result<Asserted, Refused> {
    let known =
        KnownCredential { public_key: &device.public_key(), sign_count: 5, backup_eligible: false };
    let given = Assertion {
        client_data: &given.client_data,
        authenticator_data: &given.authenticator_data,
        signature: &given.signature,
    };
    check_assertion(&party(), challenge, now, known, given)
}

#[test]
fn right_answers_are_taken() {
    let made = registered(|ceremony| ceremony.flags |= BACKUP_ELIGIBLE | BACKED_UP).unwrap();
    assert_eq!((made.credential_id.len(), made.sign_count), (20, 0));
    assert!(made.backup_eligible && made.backed_up);
    let once_more = proved(6, |_| {}, |_| {}).unwrap();
    assert_eq!(once_more, Asserted { sign_count: 6, backed_up: false });
}

/// Makes a ceremony wrong.
type Bend = fn(&mut Ceremony);

/// What both ceremonies refuse, and with which reason.
fn bent() -> [(Bend, Refused); 12] {
    let other = |origin: &str| Refused::OtherOrigin(origin.to_owned());
    [
        (|c| c.origin = "https://evil.example".into(), other("https://evil.example")),
        (|c| c.origin = "http://api.example.com".into(), other("http://api.example.com")),
        (|c| c.origin += ":8443", other("https://api.example.com:8443")),
        (|c| c.origin += ".evil.example", other("https://api.example.com.evil.example")),
        (|c| c.relying_party = "evil.example".into(), Refused::OtherRelyingParty),
        (|c| c.relying_party = "example.com".into(), Refused::OtherRelyingParty),
        (|c| c.challenge = Challenge::new([8; 32], Instant::now()).text(), Refused::OtherChallenge),
        (|c| c.challenge.clear(), Refused::OtherChallenge),
        (|c| c.flags = PRESENT, Refused::NotVerified),
        (|c| c.flags = VERIFIED, Refused::NotPresent),
        (|c| c.flags |= BACKED_UP, Refused::Contradiction),
        (|c| c.cross_origin = true, Refused::Framed),
    ]
}

#[test]
fn answers_to_other_questions_are_refused() {
    for (number, (bend, why)) in bent().into_iter().enumerate() {
        assert_eq!(registered(bend).as_ref(), Err(&why), "{number}");
        assert_eq!(proved(6, bend, |_| {}), Err(why), "{number}");
    }
    let eligible = |ceremony: &mut Ceremony| ceremony.flags |= BACKUP_ELIGIBLE;
    assert_eq!(proved(6, eligible, |_| {}), Err(Refused::Contradiction), "it was not at first");
}

#[test]
fn one_ceremony_is_not_the_other() {
    let now = Instant::now();
    let device = Authenticator::new(b"ada");
    let (challenge, ceremony) = asked(now);
    let (made, given) = (device.create(&ceremony), device.get(&ceremony));
    let swapped = Given { client_data: made.client_data, ..given.clone() };
    assert_eq!(check(&device, challenge, now, &swapped), Err(Refused::OtherCeremony));
    let (challenge, _) = asked(now);
    let object = made.attestation_object;
    let swapped = check_registration(&party(), challenge, now, &given.client_data, &object);
    assert_eq!(swapped, Err(Refused::OtherCeremony));
}

#[test]
fn tampered_answers_are_refused() {
    let tampered = |tamper: fn(&mut Given)| proved(6, |_| {}, tamper);
    assert_eq!(tampered(|given| given.signature[8] ^= 1), Err(Refused::Signature));
    assert_eq!(tampered(|given| given.signature.clear()), Err(Refused::Signature));
    // The count, and the blanks that JSON takes: both are signed.
    assert_eq!(tampered(|given| given.authenticator_data[36] ^= 1), Err(Refused::Signature));
    assert_eq!(tampered(|given| given.client_data.push(b' ')), Err(Refused::Signature));
    let (now, (challenge, ceremony)) = (Instant::now(), asked(Instant::now()));
    let given = Authenticator::new(b"ada").get(&ceremony);
    let other = Authenticator::new(b"ada");
    assert_eq!(check(&other, challenge, now, &given), Err(Refused::Signature), "another key");
}

#[test]
fn what_is_cut_or_longer_cannot_be_read() {
    let whole = Authenticator::new(b"ada").create(&asked(Instant::now()).1).attestation_object;
    for length in 0..whole.len() {
        let cut = created(|_| {}, |made| made.attestation_object.truncate(length));
        assert!(matches!(cut, Err(Refused::Unreadable(_))), "{length}: {cut:?}");
    }
    let longer = created(|_| {}, |made| made.attestation_object.push(0));
    assert!(matches!(longer, Err(Refused::Unreadable(_))), "{longer:?}");
    let longer = proved(6, |_| {}, |given| given.authenticator_data.push(0));
    assert!(matches!(longer, Err(Refused::Unreadable(_))), "{longer:?}");
    for said in [&b""[..], b"null", b"{}", b"{\"type\":1}", b"\xff"] {
        let odd = proved(6, |_| {}, |given| given.client_data = said.to_vec());
        assert!(matches!(odd, Err(Refused::Unreadable(_))), "{odd:?}");
    }
}

#[test]
fn a_challenge_ends() {
    let (asked_at, mut device) = (Instant::now(), Authenticator::new(b"ada"));
    device.sign_count = 6;
    let (challenge, ceremony) = asked(asked_at);
    let given = device.get(&ceremony);
    let late = asked_at + CHALLENGE_LIFETIME;
    assert_eq!(check(&device, challenge, late, &given), Err(Refused::Expired));
    let (challenge, _) = asked(asked_at);
    let in_time = late - Duration::from_secs(1);
    assert!(check(&device, challenge, in_time, &given).is_ok());
}

#[test]
fn a_device_that_counts_must_count_on() {
    for count in [0, 4, 5] {
        assert_eq!(proved(count, |_| {}, |_| {}), Err(Refused::Copied), "{count}");
    }
    assert!(proved(u32::MAX, |_| {}, |_| {}).is_ok());
}
