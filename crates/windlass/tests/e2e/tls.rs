//! Apps over TLS, with certificates of one's own and those of the private authority.

use crate::support::{own_server, python, shared_server};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use windlass_testkit::app::TestApp;
use windlass_testkit::command::{self, Finished};
use windlass_testkit::wait_until;

/// An authority of the test's own, and its files.
struct Authority {
    folder: tempfile::TempDir,
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().pem();
        std::fs::write(folder.path().join("root.pem"), root).unwrap();
        Self { folder, params, key }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }

    /// Issues a certificate; returns the paths of it and of its key.
    fn issue(&self, file: &str, name: &str) -> (String, String) {
        let issuer = Issuer::from_params(&self.params, &self.key);
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let leaf = params.signed_by(&key, &issuer).unwrap().pem();
        let path = |ending: &str| self.folder.path().join(format!("{file}.{ending}"));
        std::fs::write(path("crt"), leaf).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        (path("crt").display().to_string(), path("key").display().to_string())
    }
}

/// Asks for a page over TLS as somebody who trusts this root.
fn curl(https: SocketAddr, host: &str, path: &str, root: &Path) -> Finished {
    let port = https.port();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "30", "--noproxy", "*", "--cacert"]);
    curl.arg(root).arg("--resolve").arg(format!("{host}:{port}:{}", https.ip()));
    curl.arg(format!("https://{host}:{port}{path}"));
    command::run(&mut curl, b"")
}

#[test]
fn a_certificate_of_ones_own_is_added_replaced_and_removed() {
    let server = own_server!();
    let app = TestApp::deployed(&server, "tls", &python());
    let host = format!("www.{}.example", app.name);
    let authority = Authority::new();
    let _ = app.cli(&["domains:add", &host]).success();
    let refused = curl(server.https(), &host, "/healthz", &authority.root()).failure();
    assert!(refused.contains("unrecognized name"), "{refused}");

    let (chain, key) = authority.issue("first", &host);
    let (_, other_key) = authority.issue("second", &host);
    let wrong = app.cli(&["certs:add", &chain, &other_key]);
    assert_eq!(wrong.code(), 5, "{wrong}");
    assert!(wrong.everything().contains("The key does not belong to the certificate"), "{wrong}");
    let checked = app.cli(&["certs:check", &chain, &key]).success();
    assert!(checked.contains(&host), "{checked}");
    let _ = app.cli(&["certs:add", &chain, &key]).success();
    let page = curl(server.https(), &host, "/healthz", &authority.root()).success();
    assert_eq!(page, "ok\n", "served when the command returns");
    let seen = curl(server.https(), &host, "/headers", &authority.root()).success();
    let headers = seen.to_lowercase().replace([' ', '\n'], "");
    assert!(headers.contains("\"x-forwarded-proto\",\"https\""), "{seen}");
    assert!(app.cli(&["certs"]).success().contains("imported"));
    assert!(app.cli(&["domains", "--json"]).success().contains("sni_endpoint"));

    // A router that was killed is back with the certificates, whether the server is there or not.
    let pid: i32 = router_pid(&server.run_directory());
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    wait_until("the router is back with TLS", std::time::Duration::from_secs(20), || {
        curl(server.https(), &host, "/healthz", &authority.root()).status.success()
    });

    let (chain, key) = authority.issue("third", &host);
    let _ = app.cli(&["certs:update", &chain, &key]).success();
    let _ = curl(server.https(), &host, "/healthz", &authority.root()).success();
    let _ = app.cli(&["certs:remove"]).success();
    let _ = curl(server.https(), &host, "/healthz", &authority.root()).failure();
    // Keys are for the server's user alone.
    let file = server.data_directory().join("router-table.certificates.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

/// Returns the process that listens on the control socket.
fn router_pid(run_directory: &Path) -> i32 {
    let socket = run_directory.join("router.sock").display().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_router = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<_> = line.split(|byte| *byte == 0).collect();
        words.get(1) == Some(&b"router".as_slice()) && words.contains(&socket.as_bytes())
    };
    pids.find(is_router).expect("the router runs")
}

#[test]
fn names_of_a_laptop_have_certificates_whose_root_can_be_trusted() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "laptop", &python());
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.pem");
    std::fs::write(&root, server.cli(&["trust", "--print"]).success()).unwrap();
    let page = curl(server.https(), &app.host(), "/healthz", &root).success();
    assert_eq!(page, "ok\n");
    let certificates = app.cli(&["certs"]).success();
    assert!(certificates.contains("private") && certificates.contains(&app.host()));
    let stranger = Authority::new();
    let refused = curl(server.https(), &app.host(), "/healthz", &stranger.root()).failure();
    assert!(refused.contains("certificate"), "{refused}");
}
