use super::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::time::Duration;

const DAY: u64 = 24 * 60 * 60;
/// The first moment of 2026-11-22.
const NOW: u64 = 1_795_305_600_000;

/// Makes it valid until so many days after now.
fn set_validity(params: &mut CertificateParams, days: i64) {
    let now = rcgen::date_time_ymd(2026, 11, 22);
    let distance = Duration::from_secs(days.unsigned_abs() * DAY);
    params.not_before = now - Duration::from_secs(90 * DAY);
    params.not_after = if days < 0 { now - distance } else { now + distance };
}

struct Signed {
    pem: String,
    key: KeyPair,
    params: CertificateParams,
}

fn params(name: &str, names: &[&str], valid_days: i64) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    set_validity(&mut params, valid_days);
    params
}

fn authority(name: &str, parent: Option<&Signed>, valid_days: i64) -> Signed {
    let mut params = params(name, &[], valid_days);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    sign(params, parent)
}

fn leaf(names: &[&str], parent: Option<&Signed>) -> Signed {
    sign(params("leaf", names, 30), parent)
}

fn sign(params: CertificateParams, parent: Option<&Signed>) -> Signed {
    let key = KeyPair::generate().unwrap();
    let certificate = match parent {
        Some(parent) => {
            let issuer = Issuer::from_params(&parent.params, &parent.key);
            params.signed_by(&key, &issuer).unwrap()
        }
        None => params.self_signed(&key).unwrap(),
    };
    Signed { pem: certificate.pem(), key, params }
}

#[test]
fn a_chain_is_taken_and_described() {
    let root = authority("Root", None, 3_650);
    let middle = authority("Middle", Some(&root), 365);
    let leaf = leaf(&["WWW.example.com", "*.example.com"], Some(&middle));
    let text = format!("Bag Attributes\n  x: y\n{}\nsubject: me\n{}", leaf.pem, middle.pem);
    let checked = check(&text, &leaf.key.serialize_pem(), NOW).unwrap();
    let details = &checked.details;
    assert_eq!(details.names, ["www.example.com", "*.example.com"]);
    assert_eq!((details.subject.as_str(), details.issuer.as_str()), ("/CN=leaf", "/CN=Middle"));
    assert_eq!(details.not_after, NOW + 30 * DAY * 1_000);
    assert!(!details.is_self_signed && checked.warnings.is_empty(), "{:?}", checked.warnings);
    // What is kept has nothing else in it, and is read again as the same.
    assert!(checked.chain_pem.starts_with("-----BEGIN CERTIFICATE-----\n"));
    assert!(!checked.chain_pem.contains("subject"));
    let again = check(&checked.chain_pem, &checked.key_pem, NOW).unwrap();
    assert_eq!(again.chain_pem, checked.chain_pem);
    assert_eq!(super::details(&checked.chain_pem).unwrap(), *details);
    assert_eq!(end(&root.pem).unwrap(), NOW + 3_650 * DAY * 1_000);
    // The root may be there too.
    let whole = format!("{}{}{}", leaf.pem, middle.pem, root.pem);
    assert!(check(&whole, &leaf.key.serialize_pem(), NOW).is_ok());
}

#[test]
fn what_a_server_cannot_use_is_refused_in_one_line() {
    let root = authority("Root", None, 3_650);
    let middle = authority("Middle", Some(&root), 365);
    let namesake = authority("Middle", None, 365);
    let leaf = leaf(&["www.example.com"], Some(&middle));
    let key = leaf.key.serialize_pem();
    let other_key = KeyPair::generate().unwrap().serialize_pem();
    let old = sign(params("old", &["www.example.com"], -1), None);
    let mut young = params("young", &["www.example.com"], 10);
    young.not_before = rcgen::date_time_ymd(2026, 11, 27);
    let young = sign(young, None);
    let old_middle = authority("Old", Some(&root), -1);
    let below_old = sign(params("leaf", &["www.example.com"], 30), Some(&old_middle));
    let nameless = sign(params("not a host", &[], 30), None);
    let damaged = leaf.pem.replacen("MII", "M!!", 1);
    let cut = format!("{}{}", &leaf.pem[..60], "\n-----END CERTIFICATE-----\n");
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let weird = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let join = |parts: &[&Signed]| parts.iter().map(|part| part.pem.as_str()).collect::<String>();
    let table = [
        ("nothing", String::new(), key.clone(), "is not PEM"),
        ("binary", "0\u{82}\u{3}".to_owned(), key.clone(), "is not PEM"),
        ("swapped", key.clone(), leaf.pem.clone(), "give the certificate first"),
        ("damaged", damaged, key.clone(), "is damaged"),
        ("cut off", cut, key.clone(), "certificate 1 of the chain cannot be read"),
        (
            "wrong key",
            join(&[&leaf, &middle]),
            other_key,
            "the key does not belong to the certificate (/CN=leaf)",
        ),
        (
            "key of another",
            join(&[&middle, &leaf]),
            key.clone(),
            "the key belongs to certificate 2, which has to come first",
        ),
        (
            "out of order",
            join(&[&leaf, &root, &middle]),
            key.clone(),
            "certificate 1 (/CN=leaf) was not signed by the one after it",
        ),
        (
            "forged issuer",
            join(&[&leaf, &namesake]),
            key.clone(),
            "was not signed by the one after it",
        ),
        ("expired", old.pem.clone(), old.key.serialize_pem(), "expired on 2026-11-21"),
        ("not yet", young.pem.clone(), young.key.serialize_pem(), "not valid before 2026-11-27"),
        (
            "expired issuer",
            join(&[&below_old, &old_middle]),
            below_old.key.serialize_pem(),
            "certificate 2 of the chain (/CN=Old) expired on",
        ),
        ("no name", nameless.pem.clone(), nameless.key.serialize_pem(), "for no host name"),
        ("no key", leaf.pem.clone(), leaf.pem.clone(), "the key is not PEM"),
        ("encrypted key", leaf.pem.clone(), encrypted.to_owned(), "the key is encrypted"),
        ("unknown key", leaf.pem.clone(), weird.to_owned(), "the key cannot be used"),
        ("long", leaf.pem.repeat(11), key, "has 11 certificates"),
    ];
    for (what, chain, key, expected) in table {
        let error = check(&chain, &key, NOW).map(|_| ()).expect_err(what).to_string();
        assert!(error.contains(expected), "{what}: {error}");
        assert_eq!(error.lines().count(), 1, "{what}: {error}");
    }
}

#[test]
fn what_clients_may_not_like_is_said() {
    let root = authority("Root", None, 3_650);
    let alone = leaf(&["www.example.com"], Some(&root));
    let said = |signed: &Signed| {
        let checked = check(&signed.pem, &signed.key.serialize_pem(), NOW).unwrap();
        (checked.details.names, checked.warnings.join("; "))
    };
    assert!(said(&alone).1.contains("add the issuer's certificate"));
    assert!(said(&leaf(&["a.example.com"], None)).1.contains("signed by itself"));
    let common = sign(params("Www.Example.com", &[], 30), Some(&root));
    let (names, warnings) = said(&common);
    assert_eq!(names, ["www.example.com"]);
    assert!(warnings.contains("only as common name"));
}

#[test]
fn a_wildcard_covers_one_label() {
    for (name, host, expected) in [
        ("example.com", "example.com", true),
        ("example.com", "www.example.com", false),
        ("*.example.com", "www.example.com", true),
        ("*.example.com", "*.example.com", true),
        ("*.example.com", "a.b.example.com", false),
        ("*.example.com", "example.com", false),
        ("*.example.com", ".example.com", false),
        ("www.example.com", "*.example.com", false),
    ] {
        assert_eq!(covers(name, host), expected, "{name} {host}");
    }
}

#[test]
fn origins_are_text_and_have_an_order() {
    for origin in [Origin::Imported, Origin::Acme, Origin::Private] {
        assert_eq!(origin.to_string().parse::<Origin>().unwrap(), origin);
    }
    assert!(Origin::Imported < Origin::Acme && Origin::Acme < Origin::Private);
    assert!("other".parse::<Origin>().is_err());
}
