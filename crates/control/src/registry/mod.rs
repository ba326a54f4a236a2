//! Registries: logins to them, and what buildah is told when it pulls.
//!
//! A login is the server's, kept by its owner, and used for every app: for `image:deploy` and for
//! the base images of Dockerfiles.

mod access;
mod explain;
mod reference;

pub(crate) use access::RegistryAccess;
pub(crate) use explain::pull_failed;
pub(crate) use reference::ImageReference;

use crate::platform::now_ms;
use crate::records::{Registry, User};
use crate::{Platform, PlatformError, Result};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How long a registry may take to answer whether a password is right.
const LOGIN_LIMIT: Duration = Duration::from_secs(30);
/// The longest user name and password, in bytes (tokens of cloud registries have some thousand).
const USERNAME_BYTES: usize = 255;
const PASSWORD_BYTES: usize = 16 << 10;

/// A login that somebody wants to be stored.
pub struct RegistryLogin {
    /// `None` where images are pulled without a login.
    pub username: Option<String>,
    pub password: String,
    /// Take plain HTTP and certificates that cannot be checked.
    pub insecure: bool,
}

impl Platform {
    /// Returns the registries that somebody logged in to, by host.
    pub fn registries(&self, user: &User) -> Result<Vec<Registry>> {
        self.check_is_owner(user)?;
        Ok(self.store().registries()?)
    }

    /// Asks the registry whether the login is right, and stores it then. One without a user name
    /// is stored without asking.
    ///
    /// # Errors
    /// `Invalid` with one line: the password is wrong, or the registry cannot be reached.
    pub async fn log_in_to_registry(
        &self,
        user: &User,
        host: &str,
        login: RegistryLogin,
    ) -> Result<Registry> {
        self.check_is_owner(user)?;
        reference::check_host(host)?;
        let registry = Registry {
            host: host.to_ascii_lowercase(),
            username: login.username,
            password: login.password,
            insecure: login.insecure,
            updated_at: now_ms(),
        };
        match registry.username.clone() {
            Some(username) => {
                check_login(&username, &registry.password)?;
                self.try_login(&registry, &username).await?;
            }
            None if registry.insecure && registry.password.is_empty() => {}
            None => {
                return Err(PlatformError::Invalid(
                    "A login needs a user name; only an insecure registry may have none."
                        .to_owned(),
                ));
            }
        }
        self.store().save_registry(&registry)?;
        Ok(registry)
    }

    /// Forgets a login.
    pub fn log_out_of_registry(&self, user: &User, host: &str) -> Result<()> {
        self.check_is_owner(user)?;
        let deleted = self.store().delete_registry(&host.to_ascii_lowercase())?;
        if deleted { Ok(()) } else { Err(PlatformError::NotFound { resource: "registry" }) }
    }

    /// Writes down what buildah needs to know of registries.
    pub(crate) fn registry_access(&self) -> Result<RegistryAccess> {
        RegistryAccess::new(&self.registry_folder(), &self.store().registries()?)
    }

    /// Whether there is a login to the registry of an image.
    pub(crate) fn has_login_for(&self, reference: &ImageReference) -> Result<bool> {
        let registries = self.store().registries()?;
        Ok(reference.host().is_some_and(|host| {
            let of_host = |known: &&Registry| known.host.eq_ignore_ascii_case(host);
            registries.iter().find(of_host).is_some_and(|known| known.username.is_some())
        }))
    }

    /// Removes login files that a server which was killed left behind.
    pub(crate) fn remove_left_logins(&self) {
        let _ = std::fs::remove_dir_all(self.registry_folder());
    }

    fn registry_folder(&self) -> PathBuf {
        self.settings().run_directory.join("registry")
    }

    fn check_is_owner(&self, user: &User) -> Result<()> {
        let owner = self.store().owner()?;
        if owner.is_some_and(|owner| owner.id == user.id) {
            return Ok(());
        }
        Err(PlatformError::Forbidden("Only the server's owner keeps logins to registries.".into()))
    }

    /// Logs in with buildah, whose login file is thrown away.
    async fn try_login(&self, registry: &Registry, username: &str) -> Result<()> {
        let access = RegistryAccess::new(&self.registry_folder(), &[])?;
        let failed = |error| PlatformError::internal("buildah could not be run", error);
        let mut command = Command::new("buildah");
        command.arg("login").arg("--authfile").arg(access.auth_file());
        command.arg(format!("--tls-verify={}", !registry.insecure));
        command.arg(format!("--username={username}")).args(["--password-stdin", "--"]);
        command.arg(&registry.host).env_clear().env("LANG", "C.UTF-8");
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", self.settings().run_directory.as_os_str());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                return PlatformError::Invalid(
                    "Registries are asked with buildah, which is not installed on the server: run `windlass setup` there."
                        .to_owned(),
                );
            }
            failed(error)
        })?;
        let stdin = child.stdin.take();
        let asked = async {
            if let Some(mut stdin) = stdin {
                // A program that ended already says why itself.
                let _ = stdin.write_all(registry.password.as_bytes()).await;
            }
            child.wait_with_output().await
        };
        let host = &registry.host;
        let output = tokio::time::timeout(LOGIN_LIMIT, asked).await.map_err(|_| {
            PlatformError::Invalid(format!("{host} could not be reached: it does not answer."))
        })?;
        let output = output.map_err(failed)?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        tracing::info!(host, status = %output.status, %said, "a login to a registry failed");
        Err(PlatformError::Invalid(explain::login_failed(host, &said)))
    }
}

/// buildah takes the first line of what it is given as the password, and a colon ends the name.
fn check_login(username: &str, password: &str) -> Result<()> {
    let is_text = |text: &str, limit: usize| {
        (1..=limit).contains(&text.len()) && !text.chars().any(char::is_control)
    };
    if !is_text(username, USERNAME_BYTES) || username.contains(':') {
        return Err(PlatformError::Invalid(
            "The user name is empty, too long, or has a colon or a control character in it."
                .to_owned(),
        ));
    }
    if !is_text(password, PASSWORD_BYTES) {
        return Err(PlatformError::Invalid(
            "The password is empty, too long, or has a control character in it.".to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_are_one_line() {
        check_login("me@example.com", "p:a ss").unwrap();
        for (username, password) in [("", "x"), ("a:b", "x"), ("me", ""), ("me", "a\nb")] {
            assert!(check_login(username, password).is_err(), "{username:?} {password:?}");
        }
    }
}
