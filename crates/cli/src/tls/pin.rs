//! A certificate that a person has looked at and trusts from then on.

use super::provider;
use crate::error::{CliError, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};
use std::fmt;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

/// A certificate that servers show, or that has signed what they show.
#[derive(Clone, PartialEq, Eq)]
pub struct PinnedCertificate(CertificateDer<'static>);

impl fmt::Debug for PinnedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PinnedCertificate({})", self.fingerprint())
    }
}

impl PinnedCertificate {
    /// Reads the first certificate in PEM text.
    pub fn from_pem(pem: &str) -> Result<Self> {
        CertificateDer::from_pem_slice(pem.as_bytes()).map(Self).map_err(|error| {
            CliError::general(format!("A stored certificate was not understood: {error}."))
                .hint("Log in to that server again with `windlass login URL`.")
        })
    }

    /// Returns its SHA-256 as pairs of hexadecimal digits with colons.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.0)
    }

    pub fn to_pem(&self) -> String {
        const LINE: usize = 64;
        let text = STANDARD.encode(&self.0);
        let lines: Vec<&str> = (0..text.len())
            .step_by(LINE)
            .filter_map(|at| text.get(at..text.len().min(at + LINE)))
            .collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }

    pub(super) fn verifier(&self) -> Arc<dyn ServerCertVerifier> {
        Verifier::new(Pin(self.clone()))
    }
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = digest(&SHA256, certificate);
    let pairs: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

/// What one of our verifiers thinks of the certificates that a server shows.
trait Judge: fmt::Debug + Send + Sync {
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error>;
}

/// Has certificates judged, and checks itself that the server has the key of what it shows.
#[derive(Debug)]
struct Verifier<J> {
    judge: J,
    provider: Arc<CryptoProvider>,
}

impl<J> Verifier<J> {
    fn new(judge: J) -> Arc<Self> {
        Arc::new(Self { judge, provider: provider() })
    }
}

impl<J: Judge> ServerCertVerifier for Verifier<J> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error> {
        self.judge.judge(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Believes the pinned certificate and what it has signed, whatever name it is for: whoever has
/// its key is the server that was meant.
#[derive(Debug)]
struct Pin(PinnedCertificate);

impl Judge for Pin {
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error> {
        let PinnedCertificate(pinned) = &self.0;
        if end_entity == pinned {
            return Ok(ServerCertVerified::assertion());
        }
        let changed = Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
        let mut roots = RootCertStore::empty();
        roots.add(pinned.clone())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        let verified =
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // The name is looked at last: all else was right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            Err(Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            )) => Err(changed),
            other => other,
        }
    }
}

/// Whether a handshake failed because the pinned certificate was not there.
pub(super) fn is_changed(error: &(dyn std::error::Error + 'static)) -> bool {
    let changed = Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(|error| error.get_ref())
            .and_then(|inner| inner.downcast_ref::<Error>());
        let of_ureq = match error.downcast_ref::<ureq::Error>() {
            Some(ureq::Error::Rustls(error)) => Some(error),
            Some(ureq::Error::Io(error)) => {
                error.get_ref().and_then(|inner| inner.downcast_ref::<Error>())
            }
            _ => None,
        };
        if inner.or(of_ureq).or(error.downcast_ref::<Error>()) == Some(&changed) {
            return true;
        }
        next = error.source();
    }
    false
}

/// What a server shows, its own certificate first.
pub struct Chain {
    certificates: Vec<PinnedCertificate>,
    /// Why the system's certificates do not vouch for it; `None`: they do.
    pub distrust: Option<String>,
}

impl Chain {
    /// Returns what is best pinned: the last one, which stays when the server renews its own.
    pub fn top(&self) -> Option<&PinnedCertificate> {
        self.certificates.last()
    }

    /// Returns the certificate with this SHA-256, written with colons or without, in any case.
    pub fn find(&self, fingerprint: &str) -> Option<&PinnedCertificate> {
        let plain = |text: &str| text.replace([':', ' '], "").to_ascii_lowercase();
        let fingerprint = plain(fingerprint);
        let wanted = fingerprint.strip_prefix("sha256").unwrap_or(&fingerprint);
        self.certificates.iter().find(|certificate| plain(&certificate.fingerprint()) == wanted)
    }
}

/// Shakes hands over `socket` with whoever is there, and tells what it showed. Nothing else is
/// sent.
pub fn probe(host: &str, mut socket: TcpStream, url: &str) -> Result<Chain> {
    let failed = |error: &(dyn std::error::Error + 'static)| super::error(url, error);
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(&error))?;
    let mut roots = RootCertStore::empty();
    // Without any, the system vouches for nobody.
    roots.add_parsable_certificates(super::roots().unwrap_or_default());
    let recorder = Verifier::new(Recorder { roots: Arc::new(roots), seen: Mutex::default() });
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .dangerous()
        .with_custom_certificate_verifier(recorder.clone())
        .with_no_client_auth();
    let mut connection =
        ClientConnection::new(Arc::new(config), name).map_err(|error| failed(&error))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).map_err(|error| failed(&error))?;
    }
    let seen = recorder.judge.seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    seen.ok_or_else(|| CliError::general(format!("{url} showed no certificate.")))
}

/// Believes everybody, and notes what it saw.
struct Recorder {
    roots: Arc<RootCertStore>,
    seen: Mutex<Option<Chain>>,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

impl Judge for Recorder {
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error> {
        let all = std::iter::once(end_entity).chain(intermediates);
        let certificates = all.map(|one| PinnedCertificate(one.clone().into_owned())).collect();
        let by_system =
            WebPkiServerVerifier::builder_with_provider(self.roots.clone(), provider()).build();
        let distrust = match by_system {
            // A store without certificates cannot be used.
            Err(error) => Some(error.to_string()),
            Ok(verifier) => verifier
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .err()
                .map(|error| error.to_string()),
        };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Chain { certificates, distrust });
        Ok(ServerCertVerified::assertion())
    }
}
