//! Certificates: what is in a chain, and whether a server can use it with a key.

mod pem;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::x509::X509Name;

/// The longest chain that is taken.
pub const LONGEST_CHAIN: usize = 10;

/// Where a certificate comes from, the one that goes first in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Somebody brought it.
    Imported,
    /// A public authority issued it to us.
    Acme,
    /// Our own authority issued it: only those trust it who have installed that one.
    Private,
}

impl Origin {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Imported => "imported",
            Self::Acme => "acme",
            Self::Private => "private",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is no origin of certificates.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an origin of certificates: expected imported, acme or private")]
pub struct InvalidOrigin(String);

impl FromStr for Origin {
    type Err = InvalidOrigin;
    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        [Self::Imported, Self::Acme, Self::Private]
            .into_iter()
            .find(|origin| origin.as_str() == text)
            .ok_or_else(|| InvalidOrigin(text.to_owned()))
    }
}

/// What a certificate says of itself. Times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateDetails {
    /// Host names in lower case, some with a leading `*.`, in the certificate's order.
    pub names: Vec<String>,
    /// `/C=SE/O=Example/CN=www.example.com`
    pub subject: String,
    pub issuer: String,
    pub not_before: u64,
    pub not_after: u64,
    pub is_self_signed: bool,
}

impl CertificateDetails {
    /// Returns whether a client that asks for `host` takes the certificate.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        self.names.iter().any(|name| covers(name, host))
    }
}

/// Returns whether a name of a certificate is one for `host`, both in lower case. A wildcard stands
/// for one label, and covers the same wildcard.
#[must_use]
pub fn covers(name: &str, host: &str) -> bool {
    if name == host {
        return true;
    }
    let Some(suffix) = name.strip_prefix("*.") else { return false };
    host.split_once('.').is_some_and(|(label, rest)| rest == suffix && !matches!(label, "" | "*"))
}

/// A chain and a key that belong together.
#[derive(Clone, Debug)]
pub struct CheckedCertificate {
    pub details: CertificateDetails,
    /// The certificates alone, without whatever else was in the text.
    pub chain_pem: String,
    pub key_pem: String,
    /// What will work, but perhaps not as it was meant.
    pub warnings: Vec<String>,
}

/// Why a certificate cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error(
        "the certificate is not PEM: it must have a line -----BEGIN CERTIFICATE----- (a DER file becomes one with `openssl x509 -inform der -in FILE`)"
    )]
    NotPem,
    #[error(
        "the file that should have the certificate has a private key only: give the certificate first, then the key"
    )]
    KeyFirst,
    #[error("the certificate's PEM text is damaged: {0}")]
    DamagedPem(String),
    #[error("certificate {position} of the chain cannot be read: {reason}")]
    NotACertificate { position: usize, reason: String },
    #[error("the chain has {0} certificates; at most {LONGEST_CHAIN} are taken")]
    TooLong(usize),
    #[error("the certificate is for no host name: have it issued with a subject alternative name")]
    NoNames,
    #[error("the certificate expired on {0}: have it renewed by {1}")]
    Expired(String, String),
    #[error("the certificate is not valid before {0}; is the clock right?")]
    NotYetValid(String),
    #[error(
        "certificate {position} of the chain ({subject}) expired on {date}: take the newer one"
    )]
    IssuerExpired { position: usize, subject: String, date: String },
    #[error(
        "the chain is out of order: certificate {position} ({subject}) was not signed by the one after it; first comes the certificate itself, then whoever signed it, and so on"
    )]
    OutOfOrder { position: usize, subject: String },
    #[error(
        "the chain is out of order: the key belongs to certificate {position}, which has to come first"
    )]
    LeafNotFirst { position: usize },
    #[error("the key is not PEM: it must have a line -----BEGIN PRIVATE KEY----- or the like")]
    KeyNotPem,
    #[error(
        "the key is encrypted: take its passphrase away with `openssl pkey -in FILE -out PLAIN`"
    )]
    KeyEncrypted,
    #[error(
        "the key cannot be used: it must be RSA of 2048 to 4096 bits, ECDSA on P-256 or P-384, or Ed25519"
    )]
    KeyUnsupported,
    #[error("the key does not belong to the certificate ({subject})")]
    KeyMismatch { subject: String },
}

/// Parses a chain and a key and checks that a server can use them at `now`, in milliseconds since
/// the Unix epoch.
///
/// # Errors
/// When it cannot; the error is one line for the person who brought them.
pub fn check(
    chain_pem: &str,
    key_pem: &str,
    now: u64,
) -> Result<CheckedCertificate, CertificateError> {
    let chain = pem::certificates(chain_pem)?;
    let parsed = parse_chain(&chain)?;
    let key = pem::private_key(key_pem)?;
    let signing = rustls::crypto::ring::sign::any_supported_type(&key)
        .map_err(|_| CertificateError::KeyUnsupported)?;
    check_key(&parsed, signing.public_key().as_ref().map(AsRef::as_ref))?;
    check_order(&parsed)?;
    check_times(&parsed, now)?;
    let (details, mut warnings) = details_of(&parsed[0])?;
    if parsed.len() == 1 && !details.is_self_signed {
        warnings.push(format!(
            "the chain ends with the certificate itself: clients that do not know its issuer ({}) will not trust it; add the issuer's certificate below it",
            details.issuer
        ));
    }
    if details.is_self_signed {
        warnings.push("the certificate is signed by itself: no browser trusts it".to_owned());
    }
    Ok(CheckedCertificate {
        details,
        chain_pem: chain.iter().map(|der| pem::encode("CERTIFICATE", der)).collect(),
        key_pem: pem::encode_key(&key),
        warnings,
    })
}

/// Returns what the first certificate of a chain says.
///
/// # Errors
/// When there is none that can be read.
pub fn details(chain_pem: &str) -> Result<CertificateDetails, CertificateError> {
    let chain = pem::certificates(chain_pem)?;
    let parsed = parse(1, &chain[0])?;
    Ok(details_of(&parsed)?.0)
}

/// Returns when the first certificate of a chain ends, in milliseconds since the Unix epoch.
///
/// # Errors
/// When there is none that can be read.
pub fn end(chain_pem: &str) -> Result<u64, CertificateError> {
    let chain = pem::certificates(chain_pem)?;
    Ok(validity(&parse(1, &chain[0])?).1)
}

/// By what an authority knows a certificate that it has issued (RFC 9773, 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalId {
    /// The identifier of the key that signed it.
    pub authority_key: Vec<u8>,
    /// As it is encoded in the certificate.
    pub serial_number: Vec<u8>,
}

/// Returns that of the first certificate of a chain, unless it cannot be read or does not say who
/// signed it.
#[must_use]
pub fn renewal_id(chain_pem: &str) -> Option<RenewalId> {
    let chain = pem::certificates(chain_pem).ok()?;
    let certificate = parse(1, chain.first()?).ok()?;
    let authority =
        certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(authority) => authority.key_identifier.as_ref(),
            _ => None,
        })?;
    Some(RenewalId {
        authority_key: authority.0.to_vec(),
        serial_number: certificate.tbs_certificate.raw_serial().to_vec(),
    })
}

fn parse_chain<'a>(
    chain: &'a [CertificateDer<'_>],
) -> Result<Vec<X509Certificate<'a>>, CertificateError> {
    if chain.len() > LONGEST_CHAIN {
        return Err(CertificateError::TooLong(chain.len()));
    }
    (1..).zip(chain).map(|(position, der)| parse(position, der)).collect()
}

fn parse(position: usize, der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    match x509_parser::parse_x509_certificate(der) {
        Ok((_, certificate)) => Ok(certificate),
        Err(error) => {
            let reason = match error {
                x509_parser::nom::Err::Error(error) | x509_parser::nom::Err::Failure(error) => {
                    error.to_string()
                }
                x509_parser::nom::Err::Incomplete(_) => "it is cut off".to_owned(),
            };
            Err(CertificateError::NotACertificate { position, reason })
        }
    }
}

fn check_key(chain: &[X509Certificate<'_>], key: Option<&[u8]>) -> Result<(), CertificateError> {
    let Some(key) = key else { return Err(CertificateError::KeyUnsupported) };
    match chain.iter().position(|certificate| certificate.public_key().raw == key) {
        Some(0) => Ok(()),
        Some(position) => Err(CertificateError::LeafNotFirst { position: position + 1 }),
        None => Err(CertificateError::KeyMismatch { subject: one_line(chain[0].subject()) }),
    }
}

fn check_order(chain: &[X509Certificate<'_>]) -> Result<(), CertificateError> {
    for (position, pair) in (1..).zip(chain.windows(2)) {
        let [certificate, issuer] = pair else { continue };
        let is_named = certificate.issuer().as_raw() == issuer.subject().as_raw();
        if !is_named || is_forged(certificate, issuer) {
            let subject = one_line(certificate.subject());
            return Err(CertificateError::OutOfOrder { position, subject });
        }
    }
    Ok(())
}

/// Whether the signature is certainly not the issuer's; one of a kind that cannot be checked here
/// is left to clients.
fn is_forged(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    use x509_parser::error::X509Error;
    matches!(
        certificate.verify_signature(Some(issuer.public_key())),
        Err(X509Error::SignatureVerificationError)
    )
}

fn check_times(chain: &[X509Certificate<'_>], now: u64) -> Result<(), CertificateError> {
    let leaf = &chain[0];
    let (not_before, not_after) = validity(leaf);
    if not_after <= now {
        return Err(CertificateError::Expired(date(not_after), one_line(leaf.issuer())));
    }
    if not_before > now {
        return Err(CertificateError::NotYetValid(date(not_before)));
    }
    for (position, issuer) in (2..).zip(&chain[1..]) {
        let (_, not_after) = validity(issuer);
        if not_after <= now {
            let (subject, date) = (one_line(issuer.subject()), date(not_after));
            return Err(CertificateError::IssuerExpired { position, subject, date });
        }
    }
    Ok(())
}

fn validity(certificate: &X509Certificate<'_>) -> (u64, u64) {
    let ms = |seconds: i64| u64::try_from(seconds).unwrap_or(0) * 1_000;
    let validity = certificate.validity();
    (ms(validity.not_before.timestamp()), ms(validity.not_after.timestamp()))
}

/// Returns the day of a time, as `2026-11-22`.
fn date(ms: u64) -> String {
    let timestamp = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    timestamp.map_or_else(String::new, |time| time.strftime("%Y-%m-%d").to_string())
}

/// Returns the details, and warnings about them.
fn details_of(
    certificate: &X509Certificate<'_>,
) -> Result<(CertificateDetails, Vec<String>), CertificateError> {
    let mut warnings = Vec::new();
    let mut names = alternative_names(certificate);
    if names.is_empty() {
        let common = certificate.subject().iter_common_name().next();
        let common = common.and_then(|name| name.as_str().ok()).filter(|name| is_host(name));
        let name = common.ok_or(CertificateError::NoNames)?.to_ascii_lowercase();
        warnings.push(format!(
            "the certificate has its name ({name}) only as common name, where browsers do not look"
        ));
        names.push(name);
    }
    let (not_before, not_after) = validity(certificate);
    let details = CertificateDetails {
        names,
        subject: one_line(certificate.subject()),
        issuer: one_line(certificate.issuer()),
        not_before,
        not_after,
        is_self_signed: certificate.issuer().as_raw() == certificate.subject().as_raw(),
    };
    Ok((details, warnings))
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternative)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = alternative.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) if is_host(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    names.collect()
}

fn is_host(name: &str) -> bool {
    let rest = name.strip_prefix("*.").unwrap_or(name);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    name.len() <= 253 && rest.split('.').all(is_label)
}

/// Writes a name as OpenSSL's one line: `/C=SE/O=Example/CN=www.example.com`.
fn one_line(name: &X509Name<'_>) -> String {
    let mut line = String::new();
    for attribute in name.iter_attributes() {
        let kind = oid2abbrev(attribute.attr_type(), oid_registry());
        let kind = kind.map_or_else(|_| attribute.attr_type().to_string(), ToOwned::to_owned);
        // A name from outside must not begin another line on somebody's terminal.
        let value = attribute.as_str().unwrap_or("?").replace(char::is_control, " ");
        line.push_str(&format!("/{kind}={value}"));
    }
    line
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
