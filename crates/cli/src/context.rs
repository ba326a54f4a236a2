//! Stored logins: which servers this user knows, and which of them is the current one.

use crate::environment::Environment;
use crate::error::{CliError, Result};
use crate::tls::{PinnedCertificate, Trust};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Where a server on this machine answers unless told otherwise.
pub const DEFAULT_URL: &str = "http://localhost:8081";

/// The content of `config.toml`; the contexts are keyed by their server's URL.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Contexts {
    /// URL of the server that commands talk to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    #[serde(default)]
    pub contexts: BTreeMap<String, Login>,
}

/// A login to one server.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Login {
    pub email: String,
    pub token: String,
    /// A short name for the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The certificate, as PEM, that is trusted there instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

impl Contexts {
    /// Reads the file; a missing one holds no login.
    pub fn load(environment: &Environment) -> Result<Contexts> {
        let Some(path) = environment.config_file() else {
            return Ok(Contexts::default());
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Contexts::default());
            }
            Err(error) => {
                let what = format!("Could not read {}", path.display());
                return Err(CliError::file(what, &error));
            }
        };
        toml::from_str(&text).map_err(|error| {
            CliError::general(format!("{} is not understood: {}", path.display(), error.message()))
                .hint("Mend it, or remove it and run `windlass login` again.")
        })
    }

    /// Returns the URL of the server that is called so: by its short name, its URL, or the host in
    /// it where only one has it.
    pub fn find(&self, name: &str) -> Result<String> {
        let named = |login: &Login| login.name.as_deref() == Some(name);
        if let Some((url, _)) = self.contexts.iter().find(|(_, login)| named(login)) {
            return Ok(url.clone());
        }
        if let Some(url) = normalised_url(name).ok().filter(|url| self.contexts.contains_key(url)) {
            return Ok(url);
        }
        let host_of = |url: &str| url.split_once("://").map(|(_, host)| host.to_owned());
        let is_meant = |url: &&String| {
            let host = host_of(url).unwrap_or_default();
            host == name || host.rsplit_once(':').is_some_and(|(host, _)| host == name)
        };
        let mut meant = self.contexts.keys().filter(is_meant);
        match (meant.next(), meant.next()) {
            (Some(url), None) => Ok(url.clone()),
            (Some(_), Some(_)) => Err(CliError::usage(format!("{name} may be several servers."))
                .hint("`windlass contexts` lists them; give the whole URL, or a name at login.")),
            (None, _) => Err(CliError::not_found(format!("You have no login called {name}."))
                .hint("`windlass contexts` lists those that you have.")),
        }
    }

    /// Whom to trust at a server.
    pub fn trust_for(&self, url: &str) -> Result<Trust> {
        let pinned = self.contexts.get(url).and_then(|login| login.certificate.as_deref());
        match pinned {
            Some(pem) => PinnedCertificate::from_pem(pem).map(Trust::Pinned),
            None => Ok(Trust::System),
        }
    }

    /// Writes the file in one step, readable by this user only.
    pub fn save(&self, environment: &Environment) -> Result<()> {
        let path = environment.config_file().ok_or_else(|| {
            CliError::general("There is no home folder to store the login in.")
                .hint("Set HOME or XDG_CONFIG_HOME, or pass the token in WINDLASS_TOKEN.")
        })?;
        let text = toml::to_string(self)
            .map_err(|error| CliError::general(format!("Could not write TOML: {error}")))?;
        let what = format!("Could not write {}", path.display());
        write_private(&path, &text).map_err(|error| CliError::file(what, &error))
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// A server's URL as it is stored: with scheme, without a slash at the end.
///
/// Without a scheme it is https, for this machine http.
pub fn normalised_url(url: &str) -> Result<String> {
    let url = url.trim().trim_end_matches('/');
    let url = if url.contains("://") {
        url.to_owned()
    } else if crate::client::is_this_machine(&format!("http://{url}")) {
        format!("http://{url}")
    } else {
        format!("https://{url}")
    };
    match crate::git::origin_of_url(&url) {
        Some(_) => Ok(url),
        None => Err(CliError::usage(format!("{url} is no URL of a server."))
            .hint("Give one like https://paas.example.com or http://localhost:8081.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_get_the_scheme_that_is_meant() {
        let cases = [
            ("localhost:8081", "http://localhost:8081"),
            ("127.0.0.1:9/", "http://127.0.0.1:9"),
            ("paas.example.com", "https://paas.example.com"),
            ("http://paas.example.com:80/", "http://paas.example.com:80"),
        ];
        for (given, expected) in cases {
            assert_eq!(normalised_url(given).unwrap(), expected);
        }
        assert!(normalised_url("ftp://x").is_err());
        assert!(normalised_url("").is_err());
    }

    #[test]
    fn servers_are_found_by_what_people_call_them() {
        let login = |name: Option<&str>| Login {
            email: "me@example.com".to_owned(),
            token: "t".to_owned(),
            name: name.map(str::to_owned),
            certificate: None,
        };
        let contexts = Contexts {
            current: None,
            contexts: [
                ("https://paas.example.com", login(Some("prod"))),
                ("http://localhost:8081", login(None)),
                ("http://localhost:9081", login(None)),
            ]
            .map(|(url, login)| (url.to_owned(), login))
            .into(),
        };
        for name in ["prod", "paas.example.com", "https://paas.example.com/"] {
            assert_eq!(contexts.find(name).unwrap(), "https://paas.example.com", "{name}");
        }
        assert_eq!(contexts.find("localhost:9081").unwrap(), "http://localhost:9081");
        assert!(contexts.find("localhost").unwrap_err().message.contains("several"));
        assert!(contexts.find("staging").is_err());
    }
}
