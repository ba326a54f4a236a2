//! How one fetch gets in: files with secrets that only git and ssh read, and that go with it. On a
//! command line or in the environment others could see them.

use super::deploy_key::DeployKey;
use super::ssh;
use crate::settings::Settings;
use crate::{PlatformError, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use windlass_store::GitCredential;

/// Nothing that reads this machine's own files or runs its programs.
const PROTOCOLS: &str = "http:https:ssh";

/// A directory that only we may look into; removed when it is dropped.
pub(super) struct PrivateDirectory(PathBuf);

impl PrivateDirectory {
    /// Makes one with a name that nobody can guess, below `parent`.
    pub(super) fn new(parent: &Path) -> Result<Self> {
        let failed = |error| PlatformError::internal("a fetch could not be prepared", error);
        let mut builder = DirBuilder::new();
        builder.mode(0o700).recursive(true).create(parent).map_err(failed)?;
        let path = parent.join(crate::access::random_secret());
        builder.create(&path).map_err(failed)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(directory = %self.0.display(), %error, "left behind by a fetch");
        }
    }
}

/// Where the secrets of fetches are meanwhile.
pub(super) fn secrets_directory(settings: &Settings) -> PathBuf {
    settings.run_directory.join("fetches")
}

/// What one fetch is given.
pub(super) struct Access {
    environment: Vec<(String, String)>,
    _directory: PrivateDirectory,
}

impl Access {
    pub(super) fn new(
        settings: &Settings,
        credential: Option<&GitCredential>,
        key: Option<&DeployKey>,
    ) -> Result<Self> {
        let failed = |error| PlatformError::internal("a fetch could not be prepared", error);
        let directory = PrivateDirectory::new(&secrets_directory(settings))?;
        let path = |name: &str| directory.path().join(name);
        write(&path("gitconfig"), &git_config(credential)).map_err(failed)?;
        if let Some(key) = key {
            write(&path("key"), &key.private_file()).map_err(failed)?;
            let known_hosts = settings.data_directory.join("known_hosts");
            write(&path("ssh"), &ssh_config(&path("key"), &known_hosts)).map_err(failed)?;
        }
        let program = super::super::repository::hooks_directory(settings).join(ssh::SSH_NAME);
        let shown = |path: PathBuf| path.display().to_string();
        let environment = [
            ("GIT_CONFIG_GLOBAL", shown(path("gitconfig"))),
            ("GIT_ALLOW_PROTOCOL", PROTOCOLS.to_owned()),
            ("GIT_TERMINAL_PROMPT", "0".to_owned()),
            ("GIT_SSH", shown(program)),
            ("GIT_SSH_VARIANT", "ssh".to_owned()),
            (ssh::CONFIG_VARIABLE, shown(path("ssh"))),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Ok(Self { environment, _directory: directory })
    }

    pub(super) fn environment(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

/// A token goes to its own host only: git would send it on to where it is redirected.
fn git_config(credential: Option<&GitCredential>) -> String {
    // Nothing here may leave a process behind.
    let mut text = "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n".to_owned();
    if let Some(GitCredential { origin, username, token }) = credential {
        let basic = STANDARD.encode(format!("{username}:{token}"));
        text.push_str(&format!(
            "[http \"{origin}\"]\n\textraHeader = \"Authorization: Basic {basic}\"\n\tfollowRedirects = false\n"
        ));
    }
    text
}

/// Hosts are trusted when they are seen first, and must stay the same.
fn ssh_config(key: &Path, known_hosts: &Path) -> String {
    let quoted = |path: &Path| format!("\"{}\"", path.display().to_string().replace('%', "%%"));
    format!(
        "IdentityFile {}\nIdentitiesOnly yes\nIdentityAgent none\nBatchMode yes\n\
         PreferredAuthentications publickey\nStrictHostKeyChecking accept-new\n\
         UserKnownHostsFile {}\nConnectTimeout 20\nServerAliveInterval 15\n",
        quoted(key),
        quoted(known_hosts)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_its_host_and_in_no_clear_text() {
        let credential = GitCredential {
            origin: "https://github.com".into(),
            username: "me".into(),
            token: "hush".into(),
        };
        let text = git_config(Some(&credential));
        assert!(text.contains("[http \"https://github.com\"]"), "{text}");
        assert!(text.contains("Authorization: Basic bWU6aHVzaA=="), "{text}");
        assert!(text.contains("followRedirects = false"), "{text}");
        assert!(!git_config(None).contains("http"));
    }

    #[test]
    fn secrets_are_ours_alone_and_go_with_the_fetch() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().unwrap();
        let directory = PrivateDirectory::new(&parent.path().join("a/b")).unwrap();
        let path = directory.path().to_owned();
        write(&path.join("key"), "secret").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("key"))), (0o700, 0o600));
        drop(directory);
        assert!(!path.exists());
    }
}
