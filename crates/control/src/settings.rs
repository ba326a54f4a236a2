//! What the control plane has to know about the server it runs in.

use crate::acme::AcmeSettings;
use crate::certificates::PrivateCertificates;
use crate::outgoing::OutgoingSettings;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use windlass_core::process_limits::ServerLimits;
use windlass_core::routing_settings::RoutingSettings;
use windlass_core::zone::Zone;

#[derive(Clone, Debug)]
pub struct Settings {
    /// Everything that must survive a reboot.
    pub data_directory: PathBuf,
    /// Sockets and what must not survive a reboot.
    pub run_directory: PathBuf,
    /// Apps are served at `<app>.<domain>`.
    pub domain: String,
    /// How requests are routed of apps for which nobody chose otherwise.
    pub routing: RoutingSettings,
    pub public: PublicSettings,
    /// Connections for webhooks and log drains.
    pub outgoing: OutgoingSettings,
    /// The port of https in URLs; `None`: nothing is served over TLS.
    pub https_port: Option<u16>,
    /// Which hosts get a certificate of the private authority.
    pub private_certificates: PrivateCertificates,
    /// The public port of the router: 80 and 443 are left out of URLs.
    pub router_port: u16,
    /// The URL of the API as clients see it, without a trailing slash.
    pub api_url: String,
    /// A chain and its key, as PEM files, that the API shows over TLS before any other.
    pub api_certificate: Option<(PathBuf, PathBuf)>,
    /// Where Heroku's CLI connects to for commands inside instances.
    pub exec_tunnel_host: TunnelHost,
    /// How long a web process may take to open its port (Heroku: 60 s).
    pub boot_timeout: Duration,
    /// How long requests in flight may go on once an instance is out of the table.
    pub drain_timeout: Duration,
    /// Between SIGTERM and SIGKILL (Heroku: 30 s).
    pub stop_grace: Duration,
    /// How long a one-off process may run at most (Heroku: 24 h); zero is no limit.
    pub run_timeout: Duration,
    /// How long the release command and the scripts of app.json may take, each (Heroku: 1 h).
    pub release_timeout: Duration,
    pub build: BuildSettings,
    pub instance: InstanceSettings,
    /// Space of the data's file system that is kept free of what apps write and of builds.
    pub disk_reserve_bytes: u64,
    /// How many requests an account may send to the API in an hour; 0: as many as it likes.
    pub requests_per_hour: u32,
    /// How many releases of an app keep their image.
    pub releases_kept: u32,
}

/// Where Heroku's CLI connects to by SSH, at port 80, for commands inside instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TunnelHost {
    /// Nowhere: such connections are not served.
    Off,
    /// The host under which it asks the API.
    #[default]
    Asked,
    /// This host name or address.
    Named(String),
}

/// How the world reaches this server.
#[derive(Clone, Debug, Default)]
pub struct PublicSettings {
    /// The router's addresses as the world sees them; empty where nobody said.
    pub addresses: Vec<IpAddr>,
    /// The zone that this server answers for.
    pub zone: Option<Zone>,
    /// Who is asked where names lead; `None`: the host's name servers.
    pub name_server: Option<SocketAddr>,
    /// `None`: there are no automatic certificates.
    pub acme: Option<AcmeSettings>,
}

#[derive(Clone, Debug)]
#[cfg_attr(test, derive(Default))]
pub struct BuildSettings {
    /// How many builds may run side by side.
    pub concurrent: usize,
    /// Heroku: 15 minutes.
    pub timeout: Duration,
    pub memory_bytes: u64,
    pub cpu_millis: u32,
    pub processes: u32,
    /// How many processors builds keep off; one is always left to them.
    pub spared_processors: u32,
    /// Source, build directory, cache and temporary files together.
    pub disk_bytes: u64,
    /// What a build may add to the stack: the app with its dependencies (Heroku: 500 MB, compressed).
    pub image_bytes: u64,
    /// Environment of every build container, for example where versions come from.
    pub environment: std::collections::BTreeMap<String, String>,
    /// A build cache that was not used for so long is removed; so are layers of Dockerfile builds.
    pub cache_max_age: Duration,
    /// How much the build caches may take together, and the layers of Dockerfile builds as well.
    pub cache_max_bytes: u64,
}

/// Limits of one instance of an app.
#[derive(Clone, Debug)]
pub struct InstanceSettings {
    pub memory_bytes: u64,
    pub cpu_millis: u32,
    pub processes: u32,
    /// What it may write outside of its volumes.
    pub disk_bytes: u64,
}

impl InstanceSettings {
    pub(crate) fn limits(&self) -> ServerLimits {
        ServerLimits {
            memory_bytes: self.memory_bytes,
            cpu_millis: self.cpu_millis,
            processes: self.processes,
            disk_bytes: self.disk_bytes,
        }
    }
}
