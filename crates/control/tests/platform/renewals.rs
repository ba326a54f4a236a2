//! An authority that says when it wants a certificate to be renewed (RFC 9773) is asked, and heard.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SerialNumber};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};
use windlass_control::acme::AcmeSettings;
use windlass_core::acme::{CertificateState, ChallengeKind};
use windlass_core::certificate::{Origin, renewal_id};
use windlass_store::Store;
use windlass_testkit::platform::TestPlatform;

const DAY: u64 = 24 * 60 * 60 * 1_000;

/// A certificate authority that says nothing but when to renew, and what it was asked for.
struct Authority {
    directory: String,
    bundle: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

fn text(at: u64) -> String {
    jiff::Timestamp::from_millisecond(i64::try_from(at).unwrap()).unwrap().to_string()
}

/// Starts one, which lives as long as the test's process.
fn authority(start: u64, end: u64) -> Authority {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap().keep();
    let bundle = folder.join("bundle.pem");
    std::fs::write(&bundle, made.cert.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (noted, renewal) = (Arc::clone(&asked), format!("{base}/renewal"));
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let Some(path) = head.split(' ').nth(1) else { continue };
            let body = match path {
                "/directory" => serde_json::json!({"renewalInfo": renewal}),
                _ => {
                    serde_json::json!({"suggestedWindow": {"start": text(start), "end": text(end)}})
                }
            };
            noted.lock().unwrap().push(path.to_owned());
            let body = body.to_string();
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nretry-after: 21600\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    Authority { directory: format!("{base}/directory"), bundle, asked }
}

/// A certificate that says who signed it, and its key.
fn issued(name: &str) -> (String, String) {
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = Issuer::new(root, KeyPair::generate().unwrap());
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(SerialNumber::from_slice(&[0x87, 0x65, 0x43, 0x21]));
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, &root).unwrap().pem(), key.serialize_pem())
}

static AUTHORITY: OnceLock<Authority> = OnceLock::new();

#[test]
fn a_certificate_is_renewed_when_the_authority_wants_it() {
    let begin = now();
    let window = (begin + 3 * DAY, begin + 4 * DAY);
    AUTHORITY.get_or_init(|| authority(window.0, window.1));
    let test = TestPlatform::open_with(|settings| {
        let authority = AUTHORITY.get().unwrap();
        settings.public.acme = Some(AcmeSettings {
            email: "owner@example.com".to_owned(),
            directory: authority.directory.clone(),
            ca_bundle: Some(authority.bundle.clone()),
            challenges: vec![ChallengeKind::Http01],
        });
    });
    let Authority { directory, asked, .. } = AUTHORITY.get().unwrap();
    let (app, name) = (test.create_app("bibly"), "www.example.com");
    let _ = test.block_on(test.platform().add_domain(&test.user, &app, name)).unwrap();
    let (chain, key) = issued(name);
    let names = [name.to_owned()];
    let put = test.platform();
    let put = put.put_certificate(Some(app.id), Origin::Acme, &names, &chain, &key);
    test.block_on(put).unwrap();
    let mut state = CertificateState::default();
    state.issued(begin - DAY, begin + 30 * DAY, 0);
    let store = Store::open(&test.data_directory()).unwrap();
    store.save_acme_certificate(directory, name, Some(app.id), &state).unwrap();

    test.block_on(async { test.platform().spawn_acme() });
    test.wait_until("the authority's wish to be noted", |_| {
        let state = store.acme_certificate(directory, name).unwrap().unwrap();
        let renew_at = state.issued.unwrap().renew_at;
        assert!(state.failure.is_none());
        (window.0..=window.1).contains(&renew_at)
    });
    let id = renewal_id(&chain).unwrap();
    assert_eq!(id.serial_number, [0, 0x87, 0x65, 0x43, 0x21], "as it is encoded");
    let asked = asked.lock().unwrap().clone();
    // The serial number as RFC 9773 has it in its example.
    assert!(asked[1].starts_with("/renewal/") && asked[1].ends_with(".AIdlQyE"), "{asked:?}");
    assert_eq!(asked.len(), 2, "it is asked once: {asked:?}");
    let _ = std::fs::remove_dir_all(AUTHORITY.get().unwrap().bundle.parent().unwrap());
}
