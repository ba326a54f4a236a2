//! The private authority: for names that no public one can issue a certificate for, as those of a
//! laptop. Its root is good for such names only, so that whoever has it installed risks nothing
//! else.

use crate::records::CertificateAuthority;
use crate::{PlatformError, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints,
};
use std::time::Duration;

/// Endings of names that exist in private networks only.
pub(crate) const PRIVATE_ENDINGS: &[&str] =
    &["localhost", "test", "internal", "local", "lan", "home.arpa"];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the root lasts.
const ROOT_DAYS: u32 = 3_650;
/// Browsers take no certificate that lasts much longer.
const LEAF_DAYS: u32 = 397;
/// Clocks differ.
const BEFORE: Duration = Duration::from_secs(60 * 60);

/// Returns whether a name is one of a private network.
pub(crate) fn is_private_name(name: &str) -> bool {
    PRIVATE_ENDINGS.iter().any(|ending| is_below(name, ending))
}

/// Returns whether a name is below a domain.
pub(crate) fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// Makes an authority that may sign for private names, and for those below `domain`. `tag` tells it
/// from others in a person's list.
pub(crate) fn make(domain: &str, tag: &str, now: u64) -> Result<CertificateAuthority> {
    let mut permitted: Vec<String> = PRIVATE_ENDINGS.iter().map(ToString::to_string).collect();
    if !is_private_name(domain) && !permitted.iter().any(|ending| ending == domain) {
        permitted.push(domain.to_owned());
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = name(&format!("Windlass authority {tag}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let any = |network: CidrSubnet| GeneralSubtree::IpAddress(network);
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: permitted.iter().cloned().map(GeneralSubtree::DnsName).collect(),
        excluded_subtrees: vec![
            any(CidrSubnet::V4([0; 4], [0; 4])),
            any(CidrSubnet::V6([0; 16], [0; 16])),
        ],
    });
    set_validity(&mut params, now, ROOT_DAYS);
    let key = KeyPair::generate().map_err(failed)?;
    let certificate_pem = params.self_signed(&key).map_err(failed)?.pem();
    Ok(CertificateAuthority { certificate_pem, key_pem: key.serialize_pem(), permitted })
}

/// Returns whether the authority may sign for what is below `domain`.
pub(crate) fn permits(authority: &CertificateAuthority, domain: &str) -> bool {
    let permitted = &authority.permitted;
    permitted.iter().any(|ending| ending == domain || is_below(domain, ending))
}

/// Issues a certificate for these names; returns it and its key as PEM.
pub(crate) fn issue(
    authority: &CertificateAuthority,
    names: &[String],
    now: u64,
) -> Result<(String, String)> {
    let key = KeyPair::from_pem(&authority.key_pem).map_err(failed)?;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate_pem, key).map_err(failed)?;
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name = name("Windlass app");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, now, LEAF_DAYS);
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// Returns whether a private certificate that ends at `not_after` is to be issued anew: a third of
/// its life is left.
pub(crate) fn is_due(not_after: u64, now: u64) -> bool {
    let third = u64::try_from((DAY * LEAF_DAYS).as_millis() / 3).unwrap_or(u64::MAX);
    now.saturating_add(third) >= not_after
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Windlass");
    name.push(DnType::CommonName, common_name);
    name
}

fn set_validity(params: &mut CertificateParams, now: u64, days: u32) {
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_millis(now);
    params.not_before = now - BEFORE;
    params.not_after = now + DAY * days;
}

fn failed(error: rcgen::Error) -> PlatformError {
    PlatformError::internal("the private authority could not sign", error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use std::sync::Arc;

    const NOW: u64 = 1_795_305_600_000;

    /// Checks a certificate as a client does that has installed the root.
    fn verify(root: &str, leaf: &str, name: &str) -> std::result::Result<(), String> {
        use rustls::client::danger::ServerCertVerifier;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let leaf = CertificateDer::from_pem_slice(leaf.as_bytes()).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_millis(NOW));
        let verified = verifier.build().unwrap().verify_server_cert(&leaf, &[], &name, &[], now);
        verified.map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn whoever_has_the_root_trusts_private_names_and_no_others() {
        let authority = make("apps.example.com", "1a2b", NOW).unwrap();
        let names = ["bibly.localhost", "bibly.apps.example.com", "*.shop.test", "bank.com"];
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let root = &authority.certificate_pem;
        for name in &names[..3] {
            let (leaf, _) = issue(&authority, std::slice::from_ref(name), NOW).unwrap();
            let asked = name.replace('*', "www");
            verify(root, &leaf, &asked).unwrap_or_else(|error| panic!("{name}: {error}"));
            verify(root, &leaf, "other.localhost").unwrap_err();
        }
        let (leaf, _) = issue(&authority, &names[3..], NOW).unwrap();
        verify(root, &leaf, "bank.com").unwrap_err();
        let (leaf, _) = issue(&authority, &["10.0.0.1".to_owned()], NOW).unwrap();
        verify(root, &leaf, "10.0.0.1").unwrap_err();
        let other = make("localhost", "3c4d", NOW).unwrap();
        let (leaf, _) = issue(&other, &names[..1], NOW).unwrap();
        verify(root, &leaf, &names[0]).unwrap_err();
    }

    #[test]
    fn an_authority_permits_what_it_was_made_for() {
        for (made_for, asked, expected) in [
            ("localhost", "localhost", true),
            ("localhost", "apps.internal", true),
            ("localhost", "apps.example.com", false),
            ("apps.example.com", "apps.example.com", true),
            ("apps.example.com", "example.com", false),
        ] {
            let authority = make(made_for, "1a2b", NOW).unwrap();
            assert_eq!(permits(&authority, asked), expected, "{made_for} {asked}");
        }
        assert!(is_private_name("bibly.localhost") && is_private_name("*.shop.test"));
        assert!(!is_private_name("mylocalhost") && !is_private_name("shop.test.com"));
    }

    #[test]
    fn certificates_are_issued_anew_in_time() {
        let authority = make("localhost", "1a2b", NOW).unwrap();
        let (leaf, _) = issue(&authority, &["a.localhost".to_owned()], NOW).unwrap();
        let not_after = windlass_core::certificate::details(&leaf).unwrap().not_after;
        let day = u64::try_from(DAY.as_millis()).unwrap();
        assert!(!is_due(not_after, NOW + 264 * day));
        assert!(is_due(not_after, NOW + 265 * day));
    }
}
