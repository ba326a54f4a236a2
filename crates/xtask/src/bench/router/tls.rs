//! New TLS 1.3 connections, none of them resumed.

use super::super::numbers::Samples;
use super::super::server::output;
use super::super::{BenchError, Result};
use super::Bench;
use super::peers::{Certificate, HOST, Kind, Setting};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_secs(3);
/// Connections that are opened side by side.
const CLIENTS: usize = 8;
const LIMIT: Duration = Duration::from_secs(10);
/// Of nginx's handshakes for each second of processor time.
const GOAL: f64 = 1.0;

/// Makes a certificate with an elliptic key (P-256) that signs itself.
pub fn certificate(directory: &Path) -> Result<Certificate> {
    let (chain, key) = (directory.join("certificate.pem"), directory.join("key.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    openssl.args(["-nodes", "-days", "2", "-subj", &format!("/CN={HOST}")]);
    openssl.args(["-addext", &format!("subjectAltName=DNS:{HOST}")]);
    openssl.arg("-keyout").arg(&key).arg("-out").arg(&chain);
    output("openssl", &mut openssl)?;
    Ok(Certificate { chain, key })
}

pub fn run(bench: &Bench) -> Result<()> {
    println!("new TLS 1.3 connections (ECDSA P-256, none resumed), medians of {ROUNDS} rounds");
    let setting = Setting { certificate: bench.certificate.as_ref(), ..bench.setting() };
    let kinds = bench.kinds();
    let proxies = kinds.iter().map(|kind| setting.start(*kind)).collect::<Result<Vec<_>>>()?;
    let configuration = Arc::new(configuration()?);
    let mut per_second = vec![Samples::default(); proxies.len()];
    for _ in 0..ROUNDS {
        for (number, proxy) in proxies.iter().enumerate() {
            let address = proxy.tls.ok_or_else(|| BenchError::failed("no TLS address"))?;
            let before = proxy.process.cpu();
            let made = connect_many(address, &configuration)?;
            per_second[number].push(made as f64 / (proxy.process.cpu() - before));
        }
    }
    println!("    {:<15} {:>26} {:>15}", "", "handshakes a CPU second", "windlass ÷ it");
    for (number, kind) in kinds.iter().enumerate() {
        let ratio = per_second[0].ratios(&per_second[number]).median();
        println!("    {:<15} {:>26.0} {ratio:>15.2}", kind.name(), per_second[number].median());
        if *kind == Kind::Nginx {
            let reached = if ratio >= GOAL { "reached" } else { "MISSED" };
            println!("      goal: at least {GOAL} of nginx: {reached}");
        }
    }
    Ok(())
}

/// Opens connections for a while; returns how many.
fn connect_many(address: SocketAddr, configuration: &Arc<ClientConfig>) -> Result<u64> {
    let end = Instant::now() + TIME;
    let client = || -> io::Result<u64> {
        let mut made = 0;
        while Instant::now() < end {
            connect(address, configuration)?;
            made += 1;
        }
        Ok(made)
    };
    let made = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let ended = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| io::Error::other("a client panicked"))?);
        ended.sum::<io::Result<u64>>()
    });
    made.map_err(BenchError::io("a TLS connection"))
}

fn connect(address: SocketAddr, configuration: &Arc<ClientConfig>) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let name = ServerName::try_from(HOST).map_err(io::Error::other)?;
    let mut tls =
        ClientConnection::new(Arc::clone(configuration), name).map_err(io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut stream)?;
    }
    tls.send_close_notify();
    while tls.wants_write() {
        tls.write_tls(&mut stream)?;
    }
    stream.flush()?;
    stream.shutdown(Shutdown::Write)?;
    // Its tickets, and then its end.
    let mut rest = [0; 4096];
    while matches!(stream.read(&mut rest), Ok(length) if length > 0) {}
    Ok(())
}

fn configuration() -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| BenchError::Failed(error.to_string()))?;
    let mut configuration = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unchecked))
        .with_no_client_auth();
    configuration.resumption = Resumption::disabled();
    Ok(configuration)
}

/// What the client thinks of the certificate is not measured.
#[derive(Debug)]
struct Unchecked;

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519]
    }
}
