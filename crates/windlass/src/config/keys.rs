//! The list of all settings, and the reference made of it.

use super::Config;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// One setting.
pub struct Key {
    /// `router.listen` in the file; `--router-listen`; `WINDLASS_ROUTER_LISTEN`.
    pub name: &'static str,
    pub default: &'static str,
    pub help: &'static str,
    pub(super) set: fn(&mut Config, &str) -> Result<(), String>,
}

impl Key {
    pub fn flag(&self) -> String {
        self.name.replace(['.', '_'], "-")
    }

    pub fn variable(&self) -> String {
        format!("WINDLASS_{}", self.name.replace('.', "_").to_uppercase())
    }
}

fn put<T>(field: &mut T, value: Result<T, String>) -> Result<(), String> {
    *field = value?;
    Ok(())
}

/// Parses a value, unless it is the one that stands for none.
fn unless<T>(
    value: &str,
    none: &str,
    parse: fn(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if value == none { Ok(None) } else { parse(value).map(Some) }
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

fn days(text: &str) -> Result<Duration, String> {
    positive::<u32>(text).map(|days| Duration::from_secs(u64::from(days) * 24 * 60 * 60))
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
        set: |c, v| put(&mut c.data_directory, absolute(v)),
    },
    Key {
        name: "run_directory",
        default: "",
        help: "Sockets and state that must not survive a reboot; on a tmpfs. Empty: /run/windlass/<name>, where <name> is derived from the data directory.",
        set: |c, v| put(&mut c.run_directory, unless(v, "", absolute)),
    },
    Key {
        name: "domain",
        default: "localhost",
        help: "Apps are served at <app>.<domain>. Point *.<domain> at this machine; *.localhost works by itself on a laptop.",
        set: |c, v| put(&mut c.domain, domain(v)),
    },
    Key {
        name: "router.listen",
        default: "0.0.0.0:8080",
        help: "Where the router takes requests for apps.",
        set: |c, v| put(&mut c.router_listen, address(v)),
    },
    Key {
        name: "router.public_port",
        default: "0",
        help: "The port in the URLs of apps, if it is not the one of router.listen (behind another proxy). 0: the same.",
        set: |c, v| put(&mut c.router_public_port, unless(v, "0", number)),
    },
    Key {
        name: "api.listen",
        default: "127.0.0.1:8081",
        help: "Where the API and git over HTTP are served, in plain HTTP: keep it on the loopback, or behind a proxy with TLS.",
        set: |c, v| put(&mut c.api_listen, address(v)),
    },
    Key {
        name: "api.url",
        default: "",
        help: "The API's URL as clients see it. Empty: http://localhost:<port of api.listen>.",
        set: |c, v| put(&mut c.api_url, unless(v, "", url)),
    },
    Key {
        name: "ssh.listen",
        default: "0.0.0.0:2222",
        help: "Where git over SSH is served. `off`: nowhere.",
        set: |c, v| put(&mut c.ssh_listen, unless(v, "off", address)),
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
        set: |c, v| put(&mut c.boot_timeout, seconds(v)),
    },
    Key {
        name: "drain_timeout",
        default: "30",
        help: "Seconds that requests in flight may go on at an instance that is being replaced.",
        set: |c, v| put(&mut c.drain_timeout, seconds(v)),
    },
    Key {
        name: "stop_grace",
        default: "30",
        help: "Seconds between SIGTERM and SIGKILL (Heroku's R12).",
        set: |c, v| put(&mut c.stop_grace, seconds(v)),
    },
    Key {
        name: "run.timeout",
        default: "86400",
        help: "Seconds that a one-off process (`windlass run`) may run at most; 0: no limit.",
        set: |c, v| put(&mut c.run_timeout, seconds(v)),
    },
    Key {
        name: "release_timeout",
        default: "3600",
        help: "Seconds that the release command may take, and each script of app.json.",
        set: |c, v| put(&mut c.release_timeout, seconds(v)),
    },
    Key {
        name: "build.concurrent",
        default: "1",
        help: "Builds that may run side by side; the others wait.",
        set: |c, v| put(&mut c.build_concurrent, positive::<u16>(v).map(usize::from)),
    },
    Key {
        name: "build.timeout",
        default: "900",
        help: "Seconds a build may take.",
        set: |c, v| put(&mut c.build_timeout, seconds(v)),
    },
    Key {
        name: "build.memory",
        default: "2048",
        help: "Megabytes of memory a build may use.",
        set: |c, v| put(&mut c.build_memory, megabytes(v)),
    },
    Key {
        name: "build.cpu",
        default: "0",
        help: "Thousandths of a core a build may use; 0: all, with a quarter of an instance's weight.",
        set: |c, v| put(&mut c.build_cpu, number(v)),
    },
    Key {
        name: "build.spared_processors",
        default: "1",
        help: "Processors that builds keep off where the machine has more, so that what is served does not wait for them.",
        set: |c, v| put(&mut c.build_spared_processors, number(v)),
    },
    Key {
        name: "build.processes",
        default: "1024",
        help: "Processes and threads a build may have.",
        set: |c, v| put(&mut c.build_processes, positive(v)),
    },
    Key {
        name: "build.disk",
        default: "4096",
        help: "Megabytes of disk a build may use: source, dependencies, cache and temporary files together.",
        set: |c, v| put(&mut c.build_disk, megabytes(v)),
    },
    Key {
        name: "build.image",
        default: "2048",
        help: "Megabytes that buildpacks may add to the stack: the app with its dependencies.",
        set: |c, v| put(&mut c.build_image, megabytes(v)),
    },
    Key {
        name: "build.cache_max_age",
        default: "60",
        help: "Days after which an app's build cache is removed if no build has used it, and so are the layers of Dockerfile builds.",
        set: |c, v| put(&mut c.build_cache_max_age, days(v)),
    },
    Key {
        name: "build.cache_max_size",
        default: "10240",
        help: "Megabytes that the build caches of all apps may take together, and the layers of Dockerfile builds as well. What was used longest ago goes first; what was used within a day stays.",
        set: |c, v| put(&mut c.build_cache_max_size, megabytes(v)),
    },
    Key {
        name: "build.environment",
        default: "",
        help: "Environment of every build, as NAME=VALUE pairs: for example npm_config_registry of a mirror.",
        set: |c, v| put(&mut c.build_environment, pairs(v)),
    },
    Key {
        name: "instance.memory",
        default: "512",
        help: "Megabytes of memory an instance may use (Heroku's Standard-1X).",
        set: |c, v| put(&mut c.instance_memory, megabytes(v)),
    },
    Key {
        name: "instance.cpu",
        default: "0",
        help: "Thousandths of a core an instance may use; 0: no limit, shares are equal.",
        set: |c, v| put(&mut c.instance_cpu, number(v)),
    },
    Key {
        name: "instance.processes",
        default: "256",
        help: "Processes and threads an instance may have.",
        set: |c, v| put(&mut c.instance_processes, positive(v)),
    },
    Key {
        name: "instance.disk",
        default: "4096",
        help: "Megabytes of disk an instance may write outside of its volumes.",
        set: |c, v| put(&mut c.instance_disk, megabytes(v)),
    },
    Key {
        name: "disk_reserve",
        default: "1024",
        help: "Megabytes of the data's file system that are kept free: below it pushes are refused, and the instance that has written most is ended.",
        set: |c, v| put(&mut c.disk_reserve, megabytes(v)),
    },
    Key {
        name: "releases_kept",
        default: "10",
        help: "Releases of an app whose image is kept, so that one can go back to them.",
        set: |c, v| put(&mut c.releases_kept, positive(v)),
    },
    Key {
        name: "backup.directory",
        default: "",
        help: "Where the server puts backups of itself. Empty: it makes none.",
        set: |c, v| put(&mut c.backup_directory, unless(v, "", absolute)),
    },
    Key {
        name: "backup.schedule",
        default: "03:30",
        help: "When it makes them: a time of day in UTC, or an interval such as 6h, 90m, 1d. One that was missed is made up for.",
        set: |c, v| put(&mut c.backup_schedule, v.parse()),
    },
    Key {
        name: "backup.keep",
        default: "7",
        help: "How many of these backups are kept; older ones are removed when one was made.",
        set: |c, v| put(&mut c.backup_keep, positive::<u16>(v).map(usize::from)),
    },
    Key {
        name: "backup.passphrase_file",
        default: "",
        help: "A file whose first line is the passphrase with which these backups are encrypted. Empty: they are not.",
        set: |c, v| put(&mut c.backup_passphrase_file, unless(v, "", absolute)),
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

/// Returns the reference as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "# Configuration\n\nGenerated by `windlass config:reference`; the list is in `crates/windlass/src/config/keys.rs`.\n\n\
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
