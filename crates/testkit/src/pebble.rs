//! A certificate authority: Debian's `pebble`, which looks at challenges as a public one does.

use crate::command;
use crate::server::free_port;
use crate::wait_until;
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const START_LIMIT: Duration = Duration::from_secs(60);
const PROGRAM: &str = "/usr/bin/pebble";

/// An authority that may run or not. What it knows is lost when it stops.
pub struct Pebble {
    child: Option<Child>,
    folder: TempDir,
    port: u16,
    management_port: u16,
}

/// Where it looks at challenges, and for how long its certificates are good.
#[derive(Clone, Copy, Debug)]
pub struct Looks {
    /// Instead of ports 80 and 443.
    pub http_port: u16,
    pub tls_port: u16,
    pub name_server: SocketAddr,
    pub validity: Duration,
}

impl Pebble {
    /// Prepares one that does not run yet. `None` where it is not installed.
    #[must_use]
    pub fn prepare() -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            crate::skip("pebble is not installed");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let own = rcgen::generate_simple_self_signed(names).expect("a certificate");
        std::fs::write(folder.path().join("own.pem"), own.cert.pem()).expect("it is written");
        let key = own.signing_key.serialize_pem();
        std::fs::write(folder.path().join("own.key"), key).expect("it is written");
        Some(Self { child: None, folder, port: free_port(), management_port: free_port() })
    }

    /// Returns the URL of its directory.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port)
    }

    /// Returns the file that vouches for the authority's own server.
    #[must_use]
    pub fn ca_bundle(&self) -> PathBuf {
        self.folder.path().join("own.pem")
    }

    /// Starts it, in place of the one that runs if there is one.
    pub fn start(&mut self, looks: Looks) {
        self.stop();
        let path = |name: &str| self.folder.path().join(name);
        let configuration = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{}", self.port),
            "managementListenAddress": format!("127.0.0.1:{}", self.management_port),
            "certificate": path("own.pem"),
            "privateKey": path("own.key"),
            "httpPort": looks.http_port,
            "tlsPort": looks.tls_port,
            "certificateValidityPeriod": looks.validity.as_secs(),
        }});
        std::fs::write(path("config.json"), configuration.to_string()).expect("it is written");
        let log = File::options().create(true).append(true).open(path("log")).expect("a log");
        let mut command = Command::new(PROGRAM);
        command
            .arg("-config")
            .arg(path("config.json"))
            .arg("-dnsserver")
            .arg(looks.name_server.to_string())
            .env("PEBBLE_VA_NOSLEEP", "1")
            // Every challenge is looked at, whatever was found before.
            .env("PEBBLE_AUTHZREUSE", "0")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        self.child = Some(command.spawn().expect("pebble starts"));
        wait_until("pebble to listen", START_LIMIT, || {
            let listens = |port| TcpStream::connect(("127.0.0.1", port)).is_ok();
            listens(self.port) && listens(self.management_port)
        });
    }

    /// Ends it.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Returns a file with the root of the certificates that it issues; another one after each
    /// start.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        let url = format!("https://127.0.0.1:{}/roots/0", self.management_port);
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--cacert"])
            .arg(self.ca_bundle())
            .arg(url);
        let pem = command::run(&mut curl, b"").success();
        let file = self.folder.path().join("root.pem");
        std::fs::write(&file, pem).expect("it is written");
        file
    }

    /// Returns what it has written to its log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("--- the authority's log\n{}", self.log());
        }
    }
}
