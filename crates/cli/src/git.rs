//! The git repository in the current folder: its remotes and its credential helper.

use crate::environment::Environment;
use crate::error::{CliError, Result};
use crate::process;
use std::path::Path;

/// The remote that names the app unless another is asked for.
pub const DEFAULT_REMOTE: &str = "windlass";

/// A repository's folder; commands run in it.
pub struct Repository<'a> {
    directory: &'a Path,
}

impl<'a> Repository<'a> {
    /// The repository around the current folder; `None` outside of one or without git.
    pub fn here(environment: &'a Environment) -> Option<Repository<'a>> {
        let directory = environment.directory.as_path();
        let inside = directory.ancestors().any(|folder| folder.join(".git").exists())
            || environment.variable("GIT_DIR").is_some();
        inside.then_some(Repository { directory })
    }

    /// The URL of a remote, if it exists.
    pub fn remote_url(&self, remote: &str) -> Result<Option<String>> {
        let key = format!("remote.{remote}.url");
        let finished = process::run("git", &["config", "--get", &key], self.directory)?;
        let url = finished.stdout.trim();
        Ok((finished.status.success() && !url.is_empty()).then(|| url.to_owned()))
    }

    /// Every remote with its URL.
    pub fn remotes(&self) -> Result<Vec<(String, String)>> {
        let arguments = ["config", "--get-regexp", r"^remote\..*\.url$"];
        let finished = process::run("git", &arguments, self.directory)?;
        let remotes = finished.stdout.lines().filter_map(|line| {
            let (key, url) = line.split_once(' ')?;
            let name = key.strip_prefix("remote.")?.strip_suffix(".url")?;
            Some((name.to_owned(), url.to_owned()))
        });
        Ok(remotes.collect())
    }

    /// Adds a remote or gives it another URL.
    pub fn set_remote(&self, remote: &str, url: &str) -> Result<()> {
        if self.remote_url(remote)?.is_some() {
            self.git(&["remote", "set-url", remote, url])
        } else {
            self.git(&["remote", "add", remote, url])
        }
    }

    /// Removes a remote and its tracking branches.
    pub fn remove_remote(&self, remote: &str) -> Result<()> {
        self.git(&["remote", "remove", remote])
    }

    /// Makes git ask `helper` for the credentials of `origin`, and nobody else.
    pub fn set_credential_helper(&self, origin: &str, helper: &str) -> Result<()> {
        let key = format!("credential.{origin}.helper");
        // The empty value drops helpers of wider scope, which would otherwise
        // answer first and store the token in their own place.
        self.git(&["config", "--replace-all", &key, ""])?;
        self.git(&["config", "--add", &key, helper])
    }

    fn git(&self, arguments: &[&str]) -> Result<()> {
        let finished = process::run("git", arguments, self.directory)?;
        if finished.status.success() {
            return Ok(());
        }
        let said = finished.stderr.trim();
        Err(CliError::general(format!("git {} failed: {said}", arguments.join(" "))))
    }
}

/// The app in a remote's URL: `http(s)://host/app.git`, `ssh://git@host:port/app.git`
/// or `git@host:app.git`. `None` if it has another form.
pub fn app_of_url(url: &str) -> Option<String> {
    let path = match url.split_once("://") {
        Some(("http" | "https" | "ssh", rest)) => rest.split_once('/')?.1,
        Some(_) => return None,
        None => {
            let (host, path) = url.split_once(':')?;
            if host.is_empty() || host.contains('/') {
                return None;
            }
            path
        }
    };
    let path = path.trim_matches('/');
    let name = path.strip_suffix(".git").unwrap_or(path);
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (!name.is_empty() && name.chars().all(valid)).then(|| name.to_owned())
}

/// Scheme, host and port of an HTTP URL: `https://host:8443`. `None` for other schemes.
pub fn origin_of_url(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    if scheme != "http" && scheme != "https" {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    (!host.is_empty()).then(|| format!("{scheme}://{}", host.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_app_is_read_from_every_form_of_remote() {
        let cases = [
            ("http://localhost:8081/bibly.git", Some("bibly")),
            ("https://paas.example.com/bibly.git", Some("bibly")),
            ("https://x:secret@paas.example.com/bibly.git/", Some("bibly")),
            ("https://paas.example.com/bibly", Some("bibly")),
            ("ssh://git@paas.example.com:2222/bibly-2.git", Some("bibly-2")),
            ("ssh://git@paas.example.com/bibly.git", Some("bibly")),
            ("git@paas.example.com:bibly.git", Some("bibly")),
            ("https://github.com/someone/bibly.git", None),
            ("git@github.com:someone/bibly.git", None),
            ("ssh://git@host", None),
            ("/srv/git/bibly.git", None),
            ("file:///srv/bibly.git", None),
            ("https://host/", None),
            ("https://host/Bad_Name.git", None),
        ];
        for (url, expected) in cases {
            assert_eq!(app_of_url(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn origins_have_scheme_host_and_port_only() {
        let cases = [
            ("http://localhost:8081/bibly.git", Some("http://localhost:8081")),
            ("https://me:x@Host.example/a", Some("https://host.example")),
            ("ssh://git@host:22/a.git", None),
            ("nonsense", None),
        ];
        for (url, expected) in cases {
            assert_eq!(origin_of_url(url).as_deref(), expected, "{url}");
        }
    }
}
