//! Configuration: one list of keys, from which the file, environment and flags are read and the
//! reference is written. A flag wins over the environment, the environment over the file.

mod keys;
mod public;
mod reference;
mod tls;
mod values;

pub use keys::{KEYS, Key};
pub use public::PublicConfig;
pub use reference::reference;
pub use tls::{ApiTlsConfig, TlsConfig};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use windlass_control::backup::Schedule;
use windlass_control::{OutgoingSettings, TunnelHost};
use windlass_core::routing_settings::RoutingSettings;

/// Where the file is looked for when no `--config` is given.
pub const DEFAULT_FILE: &str = "/etc/windlass/windlass.toml";

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{origin}: {key} is {value:?}: {reason}")]
    Invalid { origin: String, key: &'static str, value: String, reason: String },
    #[error(
        "{origin}: there is no setting {key:?}; the nearest is {nearest:?} (all of them: docs/reference/configuration.md)"
    )]
    Unknown { origin: String, key: String, nearest: &'static str },
    #[error("{0}")]
    Together(String),
    #[error("{file:?} cannot be read: {source}")]
    Read { file: PathBuf, source: std::io::Error },
    #[error("{file:?} is not valid TOML: {message}")]
    Syntax { file: PathBuf, message: String },
}

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Config {
    pub data_directory: PathBuf,
    pub run_directory: Option<PathBuf>,
    pub domain: String,
    pub routing_defaults: RoutingSettings,
    pub public: PublicConfig,
    pub outgoing: OutgoingSettings,
    pub tls: TlsConfig,
    pub api_listen: SocketAddr,
    pub api_tls: ApiTlsConfig,
    pub api_url: Option<String>,
    pub ssh_listen: Option<SocketAddr>,
    pub exec_tunnel_host: TunnelHost,
    pub router_listen: SocketAddr,
    pub router_public_port: Option<u16>,
    pub owner_email: String,
    pub boot_timeout: Duration,
    pub drain_timeout: Duration,
    pub stop_grace: Duration,
    pub run_timeout: Duration,
    pub release_timeout: Duration,
    pub build_concurrent: usize,
    pub build_timeout: Duration,
    pub build_memory: u64,
    pub build_cpu: u32,
    pub build_spared_processors: u32,
    pub build_processes: u32,
    pub build_disk: u64,
    pub build_image: u64,
    pub build_environment: BTreeMap<String, String>,
    pub build_cache_max_age: Duration,
    pub build_cache_max_size: u64,
    pub instance_memory: u64,
    pub instance_cpu: u32,
    pub instance_processes: u32,
    pub instance_disk: u64,
    pub disk_reserve: u64,
    pub requests_per_hour: u32,
    pub releases_kept: u32,
    pub backup_directory: Option<PathBuf>,
    pub backup_schedule: Schedule,
    pub backup_keep: usize,
    pub backup_passphrase_file: Option<PathBuf>,
    pub log: String,
}

impl Config {
    fn defaults() -> Self {
        let mut config = Self {
            data_directory: PathBuf::new(),
            run_directory: None,
            domain: String::new(),
            routing_defaults: RoutingSettings::default(),
            public: PublicConfig::empty(),
            outgoing: OutgoingSettings::default(),
            tls: TlsConfig::empty(),
            api_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            api_tls: ApiTlsConfig::default(),
            api_url: None,
            ssh_listen: None,
            exec_tunnel_host: TunnelHost::Asked,
            router_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            router_public_port: None,
            owner_email: String::new(),
            boot_timeout: Duration::ZERO,
            drain_timeout: Duration::ZERO,
            stop_grace: Duration::ZERO,
            run_timeout: Duration::ZERO,
            release_timeout: Duration::ZERO,
            build_concurrent: 1,
            build_timeout: Duration::ZERO,
            build_memory: 0,
            build_cpu: 0,
            build_spared_processors: 1,
            build_processes: 0,
            build_disk: 0,
            build_image: 0,
            build_environment: BTreeMap::new(),
            build_cache_max_age: Duration::ZERO,
            build_cache_max_size: 0,
            instance_memory: 0,
            instance_cpu: 0,
            instance_processes: 0,
            instance_disk: 0,
            disk_reserve: 0,
            requests_per_hour: 0,
            releases_kept: 0,
            backup_directory: None,
            backup_schedule: Schedule::Every(Duration::MAX),
            backup_keep: 0,
            backup_passphrase_file: None,
            log: String::new(),
        };
        for key in KEYS {
            // A test sets every default, so a bad one cannot be shipped.
            let _ = (key.set)(&mut config, key.default);
        }
        config
    }

    /// Reads the file (`None`: the default one, if it exists), the environment and the flags.
    pub fn load(
        file: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
        flags: &BTreeMap<&'static str, String>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self::defaults();
        for (origin, name, value) in read_file(file)? {
            let Some(key) = KEYS.iter().find(|key| key.name == name) else {
                return Err(ConfigError::Unknown { origin, nearest: nearest(&name), key: name });
            };
            config.set(key, &value, origin)?;
        }
        for key in KEYS {
            if let Some(value) = environment(&key.variable()) {
                config.set(key, &value, key.variable())?;
            }
            if let Some(value) = flags.get(key.name) {
                config.set(key, value, format!("--{}", key.flag()))?;
            }
        }
        if let Some(fault) = config.public.fault().or(config.tls.fault()).or(config.api_tls.fault())
        {
            return Err(ConfigError::Together(fault));
        }
        Ok(config)
    }

    fn set(&mut self, key: &Key, value: &str, origin: String) -> Result<(), ConfigError> {
        (key.set)(self, value).map_err(|reason| ConfigError::Invalid {
            origin,
            key: key.name,
            value: value.to_owned(),
            reason,
        })
    }

    /// Returns six hexadecimal digits that name this data directory's cgroups, devices and table.
    #[must_use]
    pub fn name(&self) -> String {
        windlass_oci::digest_of(self.data_directory.as_os_str().as_encoded_bytes()).hex()[..6]
            .to_owned()
    }

    /// Where Heroku's CLI connects to by SSH.
    #[must_use]
    pub fn exec_tunnel_host(&self) -> TunnelHost {
        match self.ssh_listen {
            Some(_) => self.exec_tunnel_host.clone(),
            None => TunnelHost::Off,
        }
    }

    /// Whether the router passes SSH connections on.
    #[must_use]
    pub fn serves_exec(&self) -> bool {
        self.exec_tunnel_host() != TunnelHost::Off
    }

    #[must_use]
    pub fn run_directory(&self) -> PathBuf {
        self.run_directory.clone().unwrap_or_else(|| Path::new("/run/windlass").join(self.name()))
    }

    #[must_use]
    pub fn image_directory(&self) -> PathBuf {
        self.data_directory.join("images")
    }
}

/// Returns (origin, key, value) of every setting in the file, tables joined by dots.
fn read_file(file: Option<&Path>) -> Result<Vec<(String, String, String)>, ConfigError> {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Vec::new());
        }
        Err(source) => return Err(ConfigError::Read { file: path.to_owned(), source }),
    };
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        ConfigError::Syntax { file: path.to_owned(), message: error.to_string() }
    })?;
    let mut settings = Vec::new();
    flatten("", &toml::Value::Table(table), &mut |name, value| {
        settings.push((path.display().to_string(), name, value));
    });
    Ok(settings)
}

fn flatten(prefix: &str, value: &toml::Value, found: &mut impl FnMut(String, String)) {
    match value {
        toml::Value::Table(table) if prefix == "build.environment" => {
            let pairs: Vec<String> =
                table.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect();
            found(prefix.to_owned(), pairs.join(" "));
        }
        toml::Value::Table(table) => {
            for (name, value) in table {
                let path =
                    if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&path, value, found);
            }
        }
        other => found(prefix.to_owned(), plain(other)),
    }
}

fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Returns the key that shares most of its letters' pairs with the name.
fn nearest(name: &str) -> &'static str {
    let pairs =
        |text: &str| -> Vec<[u8; 2]> { text.as_bytes().windows(2).map(|w| [w[0], w[1]]).collect() };
    let wanted = pairs(name);
    let score = |key: &&Key| pairs(key.name).iter().filter(|pair| wanted.contains(pair)).count();
    KEYS.iter().max_by_key(score).map_or("", |key| key.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(
        file: Option<&str>,
        environment: &[(&str, &str)],
        flags: &[(&'static str, &str)],
    ) -> Result<Config, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("windlass.toml");
        std::fs::write(&path, file.unwrap_or_default()).unwrap();
        let flags = flags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Config::load(
            Some(&path),
            |name| environment.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()),
            &flags,
        )
    }

    #[test]
    fn every_default_is_valid() {
        let mut config = Config::defaults();
        for key in KEYS {
            (key.set)(&mut config, key.default)
                .unwrap_or_else(|reason| panic!("{}: {reason}", key.name));
        }
    }

    #[test]
    fn flags_win_over_environment_over_file() {
        let file = "boot_timeout = 5\n[router]\nlisten = \"127.0.0.1:1\"\n[build.environment]\nA = \"b\"\n";
        let config = load(Some(file), &[], &[]).unwrap();
        assert_eq!((config.boot_timeout.as_secs(), config.router_listen.port()), (5, 1));
        assert_eq!(config.build_environment["A"], "b");
        let config = load(Some(file), &[("WINDLASS_ROUTER_LISTEN", "127.0.0.1:2")], &[]).unwrap();
        assert_eq!(config.router_listen.port(), 2);
        let config = load(
            Some(file),
            &[("WINDLASS_ROUTER_LISTEN", "127.0.0.1:2")],
            &[("router.listen", "127.0.0.1:3")],
        )
        .unwrap();
        assert_eq!(config.router_listen.port(), 3);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |file: &str| load(Some(file), &[], &[]).unwrap_err().to_string();
        assert!(message("[router]\nlisten = 8080\n").ends_with(
            "router.listen is \"8080\": expected ADDRESS:PORT, for example 0.0.0.0:8080"
        ));
        assert!(
            message("[routr]\nlisten = 1\n")
                .contains("no setting \"routr.listen\"; the nearest is \"router.listen\"")
        );
        assert!(message("[router\n").contains("is not valid TOML"));
        assert!(message("data_directory = \"here\"\n").contains("expected an absolute path"));
    }

    #[test]
    fn the_example_file_has_every_setting_at_its_default() {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/windlass.toml");
        let example = std::fs::read_to_string(example).unwrap();
        let uncommented: Vec<&str> = example
            .lines()
            .map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).unwrap_or(line))
            .collect();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("windlass.toml");
        std::fs::write(&path, uncommented.join("\n")).unwrap();
        // In the example, the one table among the settings is in use rather than at its default.
        let mut written = read_file(Some(&path)).unwrap();
        written.retain(|(_, name, _)| !name.ends_with("npm_config_registry"));
        for key in KEYS.iter().filter(|key| key.name != "build.environment") {
            let found = written.iter().find(|(_, name, _)| name == key.name);
            let value = found.map(|(_, _, value)| value.as_str());
            assert_eq!(value, Some(key.default), "{} in packaging/windlass.toml", key.name);
        }
        assert_eq!(written.len(), KEYS.len() - 1, "packaging/windlass.toml has other settings");
    }

    #[test]
    fn the_reference_is_up_to_date() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/configuration.md");
        let written = std::fs::read_to_string(page).unwrap_or_default();
        assert_eq!(
            written,
            reference(),
            "run: cargo run -- config:reference > docs/reference/configuration.md"
        );
    }
}
