//! A web server that builds reach as they reach the internet: in a network of its own.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use windlass_testkit::{skip, wait_until};

/// Serves the files of a directory. Its network vanishes with its process.
pub struct Outside {
    directory: TempDir,
    child: Child,
    address: String,
}

impl Outside {
    /// Starts the server; `None` (and says why) where it cannot be connected.
    pub fn start() -> Option<Self> {
        let directory = tempfile::Builder::new().prefix("windlass-outside-").tempdir().unwrap();
        let child = Command::new("unshare")
            .args(["--net", "python3", "-m", "http.server", "80", "--directory"])
            .arg(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("unshare can be run");
        // A pair of addresses of the range for measurements, which no network uses.
        let (third, fourth) = (child.id() / 64 % 256, child.id() % 64 * 4);
        let address = |host: u32| format!("198.18.{third}.{}", fourth + host);
        let outside = Self { directory, child, address: address(2) };
        outside.connect(&address(1)).map(|()| outside)
    }

    fn connect(&self, near: &str) -> Option<()> {
        let pid = self.child.id().to_string();
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        wait_until("a network of its own", Duration::from_secs(10), || {
            std::fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|link| link != own)
        });
        let device = format!("tst{pid}");
        let (near, far) = (format!("{near}/30"), format!("{}/30", self.address));
        let inside = ["nsenter", "--net", "--target", &pid];
        let steps: [&[&str]; 5] = [
            &["ip", "link", "add", &device, "type", "veth", "peer", "name", "eth0", "netns", &pid],
            &["ip", "address", "add", &near, "dev", &device],
            &["ip", "link", "set", &device, "up"],
            &[&inside[..], &["ip", "address", "add", &far, "dev", "eth0"]].concat(),
            &[&inside[..], &["ip", "link", "set", "eth0", "up"]].concat(),
        ];
        for step in steps {
            let done = Command::new(step[0]).args(&step[1..]).output();
            if !done.is_ok_and(|output| output.status.success()) {
                skip(&format!("`{}` does not work here", step.join(" ")));
                return None;
            }
        }
        Some(())
    }

    /// Where the files to be served go.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The server's address; its port is 80.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
