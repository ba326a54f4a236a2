//! What the control plane has to know about the server it runs in.

use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Settings {
    /// Everything that must survive a reboot.
    pub data_directory: PathBuf,
    /// Sockets and what must not survive a reboot.
    pub run_directory: PathBuf,
    /// Apps are served at `<app>.<domain>`.
    pub domain: String,
    /// The public port of the router: 80 and 443 are left out of URLs.
    pub router_port: u16,
    /// The URL of the API as clients see it, without a trailing slash.
    pub api_url: String,
    /// How long a web process may take to open its port (Heroku: 60 s).
    pub boot_timeout: Duration,
    /// How long requests in flight may go on once an instance is out of the table.
    pub drain_timeout: Duration,
    /// Between SIGTERM and SIGKILL (Heroku: 30 s).
    pub stop_grace: Duration,
    /// How long the release command and the scripts of app.json may take, each (Heroku: 1 h).
    pub release_timeout: Duration,
    pub build: BuildSettings,
    pub instance: InstanceSettings,
    /// How many releases of an app keep their image.
    pub releases_kept: u32,
}

#[derive(Clone, Debug)]
pub struct BuildSettings {
    /// How many builds may run side by side.
    pub concurrent: usize,
    /// Heroku: 15 minutes.
    pub timeout: Duration,
    pub memory_bytes: u64,
    pub cpu_millis: u32,
    pub processes: u32,
    /// Source, build directory, cache and temporary files together.
    pub disk_bytes: u64,
    /// Environment of every build container, for example where versions come from.
    pub environment: std::collections::BTreeMap<String, String>,
}

/// Limits of one instance of an app.
#[derive(Clone, Debug)]
pub struct InstanceSettings {
    pub memory_bytes: u64,
    pub cpu_millis: u32,
    pub processes: u32,
}
