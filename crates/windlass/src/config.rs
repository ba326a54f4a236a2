//! Configuration: one list of keys, from which the file, environment and flags are read and the
//! reference is written. A flag wins over the environment, the environment over the file.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    pub api_listen: SocketAddr,
    pub api_url: Option<String>,
    pub ssh_listen: Option<SocketAddr>,
    pub router_listen: SocketAddr,
    pub router_public_port: Option<u16>,
    pub owner_email: String,
    pub boot_timeout: Duration,
    pub drain_timeout: Duration,
    pub stop_grace: Duration,
    pub build_concurrent: usize,
    pub build_timeout: Duration,
    pub build_memory: u64,
    pub build_cpu: u32,
    pub build_processes: u32,
    pub build_environment: BTreeMap<String, String>,
    pub instance_memory: u64,
    pub instance_cpu: u32,
    pub instance_processes: u32,
    pub releases_kept: u32,
    pub log: String,
}

/// One setting.
pub struct Key {
    /// `router.listen` in the file; `--router-listen`; `WINDLASS_ROUTER_LISTEN`.
    pub name: &'static str,
    pub default: &'static str,
    pub help: &'static str,
    set: fn(&mut Config, &str) -> Result<(), String>,
}

impl Key {
    pub fn flag(&self) -> String {
        self.name.replace(['.', '_'], "-")
    }

    pub fn variable(&self) -> String {
        format!("WINDLASS_{}", self.name.replace('.', "_").to_uppercase())
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "expected a whole number".to_owned())
}

fn positive<T: std::str::FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    number(text)
        .and_then(|n: T| if n > T::from(0) { Ok(n) } else { Err("must be more than 0".to_owned()) })
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "expected seconds".to_owned())
}

fn megabytes(text: &str) -> Result<u64, String> {
    positive::<u64>(text)
        .and_then(|mb| mb.checked_mul(1 << 20).ok_or_else(|| "too large".to_owned()))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected ADDRESS:PORT, for example 0.0.0.0:8080".to_owned())
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("expected an absolute path".to_owned()) }
}

fn url(text: &str) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    let valid = text.starts_with("http://") || text.starts_with("https://");
    if valid { Ok(text.to_owned()) } else { Err("expected http://… or https://…".to_owned()) }
}

fn domain(text: &str) -> Result<String, String> {
    let valid = !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.');
    if valid {
        Ok(text.to_owned())
    } else {
        Err("expected a domain in lower case, for example apps.example.com".to_owned())
    }
}

fn pairs(text: &str) -> Result<BTreeMap<String, String>, String> {
    text.split_whitespace()
        .map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect::<Option<_>>()
        .ok_or_else(|| "expected NAME=VALUE pairs, separated by spaces".to_owned())
}

/// All settings, in the order of the reference.
pub const KEYS: &[Key] = &[
    Key {
        name: "data_directory",
        default: "/var/lib/windlass",
        help: "Everything that must survive a reboot: database, repositories, images, logs. One server a directory.",
        set: |c, v| Ok(c.data_directory = absolute(v)?),
    },
    Key {
        name: "run_directory",
        default: "",
        help: "Sockets and state that must not survive a reboot; on a tmpfs. Empty: /run/windlass/<name>, where <name> is derived from the data directory.",
        set: |c, v| Ok(c.run_directory = if v.is_empty() { None } else { Some(absolute(v)?) }),
    },
    Key {
        name: "domain",
        default: "localhost",
        help: "Apps are served at <app>.<domain>. Point *.<domain> at this machine; *.localhost works by itself on a laptop.",
        set: |c, v| Ok(c.domain = domain(v)?),
    },
    Key {
        name: "router.listen",
        default: "0.0.0.0:8080",
        help: "Where the router takes requests for apps.",
        set: |c, v| Ok(c.router_listen = address(v)?),
    },
    Key {
        name: "router.public_port",
        default: "0",
        help: "The port in the URLs of apps, if it is not the one of router.listen (behind another proxy). 0: the same.",
        set: |c, v| Ok(c.router_public_port = Some(number(v)?).filter(|port| *port != 0)),
    },
    Key {
        name: "api.listen",
        default: "127.0.0.1:8081",
        help: "Where the API and git over HTTP are served, in plain HTTP: keep it on the loopback, or behind a proxy with TLS.",
        set: |c, v| Ok(c.api_listen = address(v)?),
    },
    Key {
        name: "api.url",
        default: "",
        help: "The API's URL as clients see it. Empty: http://localhost:<port of api.listen>.",
        set: |c, v| Ok(c.api_url = if v.is_empty() { None } else { Some(url(v)?) }),
    },
    Key {
        name: "ssh.listen",
        default: "0.0.0.0:2222",
        help: "Where git over SSH is served. `off`: nowhere.",
        set: |c, v| Ok(c.ssh_listen = if v == "off" { None } else { Some(address(v)?) }),
    },
    Key {
        name: "owner.email",
        default: "owner@localhost",
        help: "The e-mail address of the owner, who is made at the first start.",
        set: |c, v| {
            if v.contains('@') {
                c.owner_email = v.to_owned();
                Ok(())
            } else {
                Err("expected an e-mail address".to_owned())
            }
        },
    },
    Key {
        name: "boot_timeout",
        default: "60",
        help: "Seconds a web process may take to open its port (Heroku's R10).",
        set: |c, v| Ok(c.boot_timeout = seconds(v)?),
    },
    Key {
        name: "drain_timeout",
        default: "30",
        help: "Seconds that requests in flight may go on at an instance that is being replaced.",
        set: |c, v| Ok(c.drain_timeout = seconds(v)?),
    },
    Key {
        name: "stop_grace",
        default: "30",
        help: "Seconds between SIGTERM and SIGKILL (Heroku's R12).",
        set: |c, v| Ok(c.stop_grace = seconds(v)?),
    },
    Key {
        name: "build.concurrent",
        default: "1",
        help: "Builds that may run side by side; the others wait.",
        set: |c, v| Ok(c.build_concurrent = positive::<u32>(v)? as usize),
    },
    Key {
        name: "build.timeout",
        default: "900",
        help: "Seconds a build may take.",
        set: |c, v| Ok(c.build_timeout = seconds(v)?),
    },
    Key {
        name: "build.memory",
        default: "2048",
        help: "Megabytes of memory a build may use.",
        set: |c, v| Ok(c.build_memory = megabytes(v)?),
    },
    Key {
        name: "build.cpu",
        default: "0",
        help: "Thousandths of a core a build may use; 0: all, with a quarter of an instance's weight.",
        set: |c, v| Ok(c.build_cpu = number(v)?),
    },
    Key {
        name: "build.processes",
        default: "1024",
        help: "Processes and threads a build may have.",
        set: |c, v| Ok(c.build_processes = positive(v)?),
    },
    Key {
        name: "build.environment",
        default: "",
        help: "Environment of every build, as NAME=VALUE pairs: for example npm_config_registry of a mirror.",
        set: |c, v| Ok(c.build_environment = pairs(v)?),
    },
    Key {
        name: "instance.memory",
        default: "512",
        help: "Megabytes of memory an instance may use (Heroku's Standard-1X).",
        set: |c, v| Ok(c.instance_memory = megabytes(v)?),
    },
    Key {
        name: "instance.cpu",
        default: "0",
        help: "Thousandths of a core an instance may use; 0: no limit, shares are equal.",
        set: |c, v| Ok(c.instance_cpu = number(v)?),
    },
    Key {
        name: "instance.processes",
        default: "256",
        help: "Processes and threads an instance may have.",
        set: |c, v| Ok(c.instance_processes = positive(v)?),
    },
    Key {
        name: "releases_kept",
        default: "10",
        help: "Releases of an app whose image is kept, so that one can go back to them.",
        set: |c, v| Ok(c.releases_kept = positive(v)?),
    },
    Key {
        name: "log",
        default: "info",
        help: "What the server writes about itself to standard error: error, warn, info, debug, or a filter such as info,windlass_control=debug.",
        set: |c, v| {
            c.log = v.to_owned();
            Ok(())
        },
    },
];

impl Config {
    fn defaults() -> Self {
        let mut config = Self {
            data_directory: PathBuf::new(),
            run_directory: None,
            domain: String::new(),
            api_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            api_url: None,
            ssh_listen: None,
            router_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            router_public_port: None,
            owner_email: String::new(),
            boot_timeout: Duration::ZERO,
            drain_timeout: Duration::ZERO,
            stop_grace: Duration::ZERO,
            build_concurrent: 1,
            build_timeout: Duration::ZERO,
            build_memory: 0,
            build_cpu: 0,
            build_processes: 0,
            build_environment: BTreeMap::new(),
            instance_memory: 0,
            instance_cpu: 0,
            instance_processes: 0,
            releases_kept: 0,
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

/// Returns the reference as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "# Configuration\n\nGenerated by `windlass config:reference`; the list is in `crates/windlass/src/config.rs`.\n\n\
         A flag wins over the environment, the environment over the file. The file is `--config FILE`, else\n\
         `/etc/windlass/windlass.toml` if it exists. A key `a.b_c` is `[a]` `b_c = …` in the file, `--a-b-c` as a flag of\n\
         `windlass server`, and `WINDLASS_A_B_C` in the environment. A setting that cannot be used stops the server with\n\
         exit code 78 and a line that names it.\n\n| key | default | meaning |\n|---|---|---|\n",
    );
    for key in KEYS {
        let default =
            if key.default.is_empty() { "–".to_owned() } else { format!("`{}`", key.default) };
        let _ = writeln!(page, "| `{}` | {default} | {} |", key.name, key.help.replace('|', "\\|"));
    }
    page
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
