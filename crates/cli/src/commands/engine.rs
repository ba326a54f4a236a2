//! What builds and pushes images on this machine: docker, podman or buildah.

use crate::client::Client;
use crate::error::{CliError, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::fmt;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a build or a push may take.
const LIMIT: Duration = Duration::from_secs(4 * 60 * 60);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Clients are asked for a user name; any will do.
const USER: &str = "_";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    Docker,
    Podman,
    Buildah,
}

impl fmt::Display for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.program())
    }
}

/// The server as a registry.
pub struct Registry {
    /// A host name or address, and a port if it is not the usual one.
    pub host: String,
    token: String,
    /// Without TLS.
    plain: bool,
}

impl Registry {
    pub fn of(client: &Client) -> Result<Self> {
        let (scheme, rest) = client.base().split_once("://").unwrap_or(("https", client.base()));
        let host = rest.split('/').next().unwrap_or_default().to_owned();
        let token = client.token().unwrap_or_default().to_owned();
        Ok(Self { host, token, plain: scheme == "http" })
    }

    /// What docker and its like read logins from.
    fn logins(&self) -> String {
        let auth = STANDARD.encode(format!("{USER}:{}", self.token));
        json!({"auths": {&self.host: {"auth": auth}}}).to_string()
    }
}

impl Engine {
    const ALL: [Self; 3] = [Self::Docker, Self::Podman, Self::Buildah];

    fn program(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Buildah => "buildah",
        }
    }

    /// Returns the engine that was asked for, or the first that is installed.
    pub fn chosen(wanted: Option<Self>) -> Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let is_installed = |engine: &Self| {
            std::env::split_paths(&path).any(|folder| folder.join(engine.program()).is_file())
        };
        match wanted {
            Some(engine) if is_installed(&engine) => Ok(engine),
            Some(engine) => Err(CliError::general(format!("{engine} is not installed here."))),
            None => Self::ALL.into_iter().find(is_installed).ok_or_else(|| {
                let what = "Building and pushing images needs docker, podman or buildah, and none of them is installed here.";
                CliError::general(what).hint("Install one of them, or push a source with a Dockerfile: the server builds it.")
            }),
        }
    }

    /// What goes before the arguments of a command that speaks to a registry.
    fn tls(self, registry: &Registry) -> &'static [&'static str] {
        // docker decides by its own settings, and trusts the loopback.
        if registry.plain && self != Self::Docker { &["--tls-verify=false"] } else { &[] }
    }

    pub fn log_in(self, registry: &Registry) -> Result<()> {
        let mut command = Command::new(self.program());
        command.arg("login").args(self.tls(registry));
        command.args(["--username", USER, "--password-stdin", &registry.host]);
        run(self, command.stdout(Stdio::null()), Some(&registry.token))
    }

    pub fn build(
        self,
        name: &str,
        dockerfile: &Path,
        folder: &Path,
        arguments: &[String],
    ) -> Result<()> {
        let mut command = Command::new(self.program());
        command.args(["build", "--tag", name]).arg("--file").arg(dockerfile);
        if self == Self::Docker {
            // An index with attestations is no image that could be released. A docker without
            // buildx makes none, and does not know the options that would say so.
            command.env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1");
        }
        for argument in arguments {
            command.args(["--build-arg", argument]);
        }
        run(self, command.arg(folder), None)
    }

    /// Pushes an image with the server's token, whatever the engine is logged in to.
    pub fn push(self, registry: &Registry, name: &str) -> Result<()> {
        let folder = LoginFolder::new(&registry.logins())?;
        let mut command = Command::new(self.program());
        if self == Self::Docker {
            command.arg("--config").arg(&folder.0).args(["push", name]);
        } else {
            command.arg("push").args(self.tls(registry));
            command.arg("--authfile").arg(folder.0.join("config.json")).arg(name);
        }
        run(self, &mut command, None)
    }
}

/// A folder with a file of logins that only this user may read. It goes with the push.
struct LoginFolder(PathBuf);

impl LoginFolder {
    fn new(logins: &str) -> Result<Self> {
        let failed = |error| CliError::file("Could not keep the login for the push", &error);
        // A folder that is there already, of whomever, is not used.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let name = format!("windlass-login-{}-{now:x}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        let folder = Self(path);
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600);
        let mut file = file.open(folder.0.join("config.json")).map_err(failed)?;
        file.write_all(logins.as_bytes()).map_err(failed)?;
        Ok(folder)
    }
}

impl Drop for LoginFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.0.join("config.json"));
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Runs a command to its end; what it says is shown as it comes.
fn run(engine: Engine, command: &mut Command, input: Option<&str>) -> Result<()> {
    let verb = command.get_args().next().unwrap_or_default().to_string_lossy().into_owned();
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = command
        .stdin(stdin)
        .spawn()
        .map_err(|error| CliError::general(format!("Could not run {engine}: {error}")))?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        // One that ended already says why itself.
        let _ = stdin.write_all(input.as_bytes());
    }
    let end = Instant::now() + LIMIT;
    loop {
        let status = child.try_wait();
        match status.map_err(|error| CliError::file("Could not wait for a program", &error))? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => {
                let code = status.code().map_or_else(|| "a signal".to_owned(), |c| c.to_string());
                return Err(CliError::general(format!("{engine} {verb} failed ({code}).")));
            }
            None if Instant::now() > end => {
                let _ = child.kill();
                let _ = child.wait();
                let hours = LIMIT.as_secs() / 3600;
                return Err(CliError::general(format!("{engine} took longer than {hours} hours.")));
            }
            None => std::thread::sleep(LOOK_EVERY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_login_is_readable_to_its_user_alone_and_goes() {
        let registry =
            Registry { host: "paas.example.com".into(), token: "t".into(), plain: false };
        let folder = LoginFolder::new(&registry.logins()).unwrap();
        let file = folder.0.join("config.json");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let read: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(read["auths"]["paas.example.com"]["auth"], STANDARD.encode("_:t"));
        let path = folder.0.clone();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn plain_http_is_said_to_those_who_must_be_told() {
        let registry = |plain| Registry { host: "h".into(), token: "t".into(), plain };
        assert_eq!(Engine::Buildah.tls(&registry(true)), ["--tls-verify=false"]);
        assert!(Engine::Buildah.tls(&registry(false)).is_empty());
        assert!(Engine::Docker.tls(&registry(true)).is_empty());
    }
}
