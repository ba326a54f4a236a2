//! A registry of images: Debian's `docker-registry`, on a port of its own.

use crate::wait_for;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const START_LIMIT: Duration = Duration::from_secs(60);

/// A line of an htpasswd file: [`USERNAME`] and [`PASSWORD`], with bcrypt.
const HTPASSWD: &str = "me:$2b$12$OIjd8dv4PrbONrav3y2RMeLRNffqXDDLdEafvC7/gTlYG5DVUL8DG\n";

/// Who may log in to a private registry, and with what.
pub const USERNAME: &str = "me";
pub const PASSWORD: &str = "geheim";

/// A running registry with plain HTTP. Killed, and its images removed, when it is dropped.
pub struct Registry {
    child: Child,
    folder: TempDir,
    /// Its host and port, as references begin with it.
    pub address: String,
}

impl Registry {
    /// Starts one; a private one asks for a login. `None` where none is installed.
    #[must_use]
    pub fn start(private: bool) -> Option<Self> {
        let program = Path::new("/usr/bin/docker-registry");
        if !program.exists() {
            crate::skip("docker-registry is not installed");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("htpasswd"), HTPASSWD).expect("it is written");
        let mut configuration = serde_json::json!({
            "version": "0.1",
            "storage": { "filesystem": { "rootdirectory": path("data") } },
            "http": { "addr": "127.0.0.1:0" },
        });
        if private {
            configuration["auth"] =
                serde_json::json!({ "htpasswd": { "realm": "test", "path": path("htpasswd") } });
        }
        // JSON is YAML too.
        std::fs::write(path("config.yml"), configuration.to_string()).expect("it is written");
        let log = File::create(path("log")).expect("a log");
        let mut command = Command::new(program);
        command.arg("serve").arg(path("config.yml")).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a log")).stderr(log);
        let child = command.spawn().expect("the registry starts");
        let address = wait_for("the registry to listen", START_LIMIT, || {
            let log = std::fs::read_to_string(path("log")).ok()?;
            let rest = log.split("listening on ").nth(1)?;
            rest.split(['"', ' ', '\n']).next().map(str::to_owned)
        });
        Some(Self { child, folder, address })
    }

    /// Returns what it has written to its log: every request that it answered.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
