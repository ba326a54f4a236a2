//! Images that bring their own processes, user and port: of a Dockerfile, or loaded from an archive.
//! They are marked by a label; other images are run as Heroku runs slugs.

use super::specification::WEB_PORT;
use crate::records::Release;
use crate::{PlatformError, Result};
use std::collections::BTreeMap;
use std::path::Path;
use windlass_core::checks::{Check, CheckKind, CheckSettings, MOST};
use windlass_core::ids::Digest;
use windlass_core::instance::InstanceSpec;
use windlass_oci::{ImageConfig, ImageStore, ResolvedImage};

/// The label of these images.
const LABEL: &str = "windlass.container";

/// More of `/etc/passwd` and `/etc/group` is not read, in bytes.
const ACCOUNTS_BYTES: u64 = 1 << 20;

/// Users that a container can have.
const USERS: u32 = 65_536;

/// Marks an image as one of these.
pub(crate) fn mark(mut config: ImageConfig) -> ImageConfig {
    config.labels.insert(LABEL.to_owned(), "true".to_owned());
    config
}

/// Whether an image is marked as one of these.
pub(crate) fn is_marked(config: &ImageConfig) -> bool {
    config.labels.contains_key(LABEL)
}

/// Takes the mark away.
pub(crate) fn unmark(config: &mut ImageConfig) {
    config.labels.remove(LABEL);
}

/// How to run an image.
pub(crate) struct ContainerImage {
    config: ImageConfig,
    user: u32,
    group: u32,
    home: String,
    shell: &'static str,
}

/// `HEALTHCHECK` as it stands in an image.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct HealthCheck {
    test: Vec<String>,
    interval: u64,
    timeout: u64,
    retries: u64,
}

impl ContainerImage {
    /// Reads how to run an image; `None` if it is run as Heroku runs slugs.
    ///
    /// # Errors
    /// `Invalid` with one line if its user does not exist.
    pub(crate) fn of(images: &ImageStore, image: &Digest) -> Result<Option<Self>> {
        let image = images.resolve(image)?;
        if is_marked(&image.config) { Self::read(&image).map(Some) } else { Ok(None) }
    }

    /// Returns its `HEALTHCHECK` as a check of readiness; `None` if it has none that can be run.
    pub(crate) fn health_check(&self) -> Option<Check> {
        let check: HealthCheck = serde_json::from_value(self.config.healthcheck.clone()?).ok()?;
        let (kind, words) = check.test.split_first()?;
        let command = match (kind.as_str(), words) {
            ("CMD", words) if !words.is_empty() => words.to_vec(),
            ("CMD-SHELL", [text]) => vec![self.shell.to_owned(), "-c".to_owned(), text.clone()],
            _ => return None,
        };
        // Docker's defaults; times are in nanoseconds, and 0 is the default.
        let seconds = |nanoseconds: u64, default: u64| match nanoseconds {
            0 => default,
            n => n.div_ceil(1_000_000_000).min(u64::from(MOST)),
        };
        let settings = CheckSettings {
            name: Some("HEALTHCHECK".to_owned()),
            kind: Some(CheckKind::Readiness.as_str().to_owned()),
            command,
            attempts: Some(if check.retries == 0 { 3 } else { check.retries }),
            wait: Some(seconds(check.interval, 30)),
            timeout: Some(seconds(check.timeout, 30)),
            ..CheckSettings::default()
        };
        settings.check().ok()
    }

    fn read(image: &ResolvedImage) -> Result<Self> {
        let accounts = |path: &str| -> Result<Vec<Vec<String>>> {
            let bytes = image.read_file(Path::new(path), ACCOUNTS_BYTES)?.unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            Ok(text.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect())
        };
        let wanted = image.config.user.clone().unwrap_or_default();
        let account = find_account(&wanted, &accounts("/etc/passwd")?, &accounts("/etc/group")?)?;
        let bash = image.has_file(Path::new("/bin/bash"))?;
        Ok(Self {
            config: image.config.clone(),
            user: account.user,
            group: account.group,
            home: account.home,
            shell: if bash { "/bin/bash" } else { "/bin/sh" },
        })
    }

    /// Returns the image's own command, as one would type it; `None` if it has none.
    pub(crate) fn default_command(&self) -> Option<String> {
        let command = self.own_command();
        (!command.is_empty()).then(|| quoted(&command))
    }

    fn own_command(&self) -> Vec<String> {
        [self.config.entrypoint.as_slice(), self.config.cmd.as_slice()].concat()
    }

    /// Returns the image's shell.
    pub(crate) fn shell(&self) -> &'static str {
        self.shell
    }

    /// Returns what is executed for a command: the image's own as it is, any other by its shell.
    pub(crate) fn command(&self, command: &str) -> Vec<String> {
        let own = self.own_command();
        if !own.is_empty() && quoted(&own) == command {
            return own;
        }
        [self.shell, "-c", command].map(str::to_owned).to_vec()
    }

    /// The port that a web process listens on: the one TCP port that the image exposes, or else
    /// that of all other apps.
    fn port(&self) -> u16 {
        let tcp = self.config.exposed_ports.iter().filter_map(|port| {
            let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
            (protocol == "tcp").then(|| number.parse::<u16>().ok()).flatten()
        });
        match tcp.collect::<Vec<_>>().as_slice() {
            [one] if *one > 0 => *one,
            _ => WEB_PORT,
        }
    }

    /// Makes `spec`, which is that of a slug, run `command` as this image wants it.
    pub(crate) fn apply(&self, spec: &mut InstanceSpec, release: &Release, command: &str) {
        spec.command = self.command(command);
        (spec.user, spec.group) = (self.user, Some(self.group));
        let directory = self.config.working_dir.clone().unwrap_or_default();
        spec.working_directory =
            if directory.starts_with('/') { directory } else { "/".to_owned() };
        spec.port = spec.port.map(|_| self.port());
        let mut environment = BTreeMap::from([("HOME".to_owned(), self.home.clone())]);
        let own = self.config.env.iter().filter_map(|variable| variable.split_once('='));
        environment.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        environment.extend(release.config_vars.clone());
        environment.insert("DYNO".to_owned(), spec.labels.display_name());
        environment.insert("PORT".to_owned(), self.port().to_string());
        spec.environment = environment;
    }
}

struct Account {
    user: u32,
    group: u32,
    home: String,
}

/// Finds the user and group of `USER`: `web`, `1000`, `web:staff`, `1000:1000`, or nothing for root.
fn find_account(wanted: &str, passwd: &[Vec<String>], groups: &[Vec<String>]) -> Result<Account> {
    let (user, group) = match wanted.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (wanted, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number = user.parse::<u32>().ok();
    let field = |line: &[String], index: usize| line.get(index)?.parse::<u32>().ok();
    let line = passwd.iter().find(|line| match number {
        Some(number) => field(line, 2) == Some(number),
        None => line.first().is_some_and(|name| name == user),
    });
    let missing = |what: &str, name: &str, file: &str| {
        PlatformError::Invalid(format!("The image's {what} {name:?} is not in its {file}."))
    };
    let id = number.or_else(|| field(line?, 2));
    let id = id.ok_or_else(|| missing("user", user, "/etc/passwd"))?;
    let gid = match group.map(|name| (name, name.parse::<u32>())) {
        Some((_, Ok(number))) => number,
        Some((name, Err(_))) => groups
            .iter()
            .find(|line| line.first().is_some_and(|found| found == name))
            .and_then(|line| field(line, 2))
            .ok_or_else(|| missing("group", name, "/etc/group"))?,
        None => line.and_then(|line| field(line, 3)).unwrap_or(0),
    };
    if id.max(gid) >= USERS {
        return Err(PlatformError::Invalid(format!(
            "The image's user {wanted:?} has a number above {}, which no container can have.",
            USERS - 1
        )));
    }
    let home = line.and_then(|line| line.get(5)).filter(|home| home.starts_with('/'));
    Ok(Account { user: id, group: gid, home: home.cloned().unwrap_or_else(|| "/".to_owned()) })
}

/// Returns arguments as one would type them into a shell.
fn quoted(arguments: &[String]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
    let quote = |argument: &String| {
        if !argument.is_empty() && argument.bytes().all(plain) {
            argument.clone()
        } else {
            format!("'{}'", argument.replace('\'', r"'\''"))
        }
    };
    arguments.iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Vec<String>> {
        text.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect()
    }

    #[test]
    fn users_are_found_by_name_and_number() {
        let passwd = lines("root:x:0:0::/root:/bin/sh\nweb:x:1234:4321::/srv:/bin/sh\nodd");
        let groups = lines("root:x:0:\nstaff:x:50:");
        for (wanted, expected) in [
            ("", (0, 0, "/root")),
            ("root", (0, 0, "/root")),
            ("web", (1234, 4321, "/srv")),
            ("1234", (1234, 4321, "/srv")),
            ("1234:staff", (1234, 50, "/srv")),
            ("web:7", (1234, 7, "/srv")),
            ("99", (99, 0, "/")),
            (":staff", (0, 50, "/root")),
        ] {
            let account = find_account(wanted, &passwd, &groups).unwrap();
            assert_eq!((account.user, account.group, &*account.home), expected, "{wanted:?}");
        }
        for wanted in ["nobody", "web:nobody", "70000", "web:70000"] {
            assert!(find_account(wanted, &passwd, &groups).is_err(), "{wanted:?}");
        }
    }

    fn image(entrypoint: &[&str], cmd: &[&str], ports: &[&str]) -> ContainerImage {
        let all = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (entrypoint, cmd, exposed_ports) = (all(entrypoint), all(cmd), all(ports));
        let config = ImageConfig { entrypoint, cmd, exposed_ports, ..ImageConfig::default() };
        ContainerImage { config, user: 0, group: 0, home: "/".to_owned(), shell: "/bin/sh" }
    }

    #[test]
    fn a_healthcheck_is_a_readiness_check() {
        let check = |json: serde_json::Value| {
            let mut image = image(&["x"], &[], &[]);
            image.config.healthcheck = Some(json);
            image.health_check()
        };
        let second = 1_000_000_000u64;
        let read = check(serde_json::json!({
            "Test": ["CMD-SHELL", "curl -f localhost"], "Interval": 2 * second, "Retries": 4
        }))
        .unwrap();
        assert_eq!(read.probe.describe(), "/bin/sh -c curl -f localhost");
        assert_eq!((read.kind, read.attempts), (CheckKind::Readiness, 4));
        assert_eq!((read.wait_seconds, read.timeout_seconds), (2, 30));
        let plain = check(serde_json::json!({"Test": ["CMD", "/bin/check", "now"]})).unwrap();
        assert_eq!(plain.probe.describe(), "/bin/check now");
        assert_eq!(check(serde_json::json!({"Test": ["NONE"]})), None);
        assert_eq!(check(serde_json::json!({"Test": []})), None);
    }

    #[test]
    fn the_images_own_command_is_executed_as_it_is() {
        let image = image(&["/bin/serve", "it's"], &["--name", "a b", ""], &[]);
        let command = image.default_command().unwrap();
        assert_eq!(command, r"/bin/serve 'it'\''s' --name 'a b' ''");
        assert_eq!(image.command(&command), ["/bin/serve", "it's", "--name", "a b", ""]);
        assert_eq!(image.command("echo $PORT"), ["/bin/sh", "-c", "echo $PORT"]);
    }

    #[test]
    fn exactly_one_exposed_tcp_port_is_taken() {
        for (ports, expected) in [
            (&["8000/tcp"][..], 8000),
            (&["80"], 80),
            (&["53/udp", "8000/tcp"], 8000),
            (&["8000/tcp", "9000/tcp"], WEB_PORT),
            (&[], WEB_PORT),
            (&["0/tcp"], WEB_PORT),
        ] {
            assert_eq!(image(&["x"], &[], ports).port(), expected, "{ports:?}");
        }
        assert_eq!(image(&[], &[], &[]).default_command(), None);
    }
}
