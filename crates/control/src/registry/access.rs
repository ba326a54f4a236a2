//! What buildah is told of registries: files in a private folder, gone with their user.

use crate::records::Registry;
use crate::{PlatformError, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Where the host says how names of images are looked up.
const HOST_CONFIGURATION: &str = "/etc/containers";

/// A folder that only root may look into, removed when this is dropped.
pub(crate) struct RegistryAccess {
    folder: PathBuf,
    /// Whether there are registries that need not prove who they are.
    insecure: bool,
}

impl RegistryAccess {
    /// Makes the folder below `parent`.
    pub(super) fn new(parent: &Path, registries: &[Registry]) -> Result<Self> {
        let failed = |error| PlatformError::internal("logins could not be handed over", error);
        let folder = parent.join(crate::access::random_secret());
        let mut builder = DirBuilder::new();
        builder.mode(0o700).recursive(true).create(parent).map_err(failed)?;
        builder.recursive(false).create(&folder).map_err(failed)?;
        let insecure = registries.iter().any(|registry| registry.insecure);
        let access = Self { folder, insecure };
        write(&access.auth_file(), auth_file(registries).as_bytes()).map_err(failed)?;
        if insecure {
            let merged = merged_configuration(Path::new(HOST_CONFIGURATION), registries);
            let text = toml::to_string(&merged).map_err(|error| {
                PlatformError::internal("the registries' configuration is unusable", error)
            })?;
            write(&access.configuration(), text.as_bytes()).map_err(failed)?;
        }
        Ok(access)
    }

    /// Names and passwords, as buildah's `--authfile` takes them.
    pub(crate) fn auth_file(&self) -> PathBuf {
        self.folder.join("auth.json")
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join("registries.conf")
    }

    /// Returns the variable that buildah needs in its environment, if it needs one.
    pub(crate) fn environment(&self) -> Option<(String, String)> {
        let configuration = self.configuration().display().to_string();
        self.insecure.then(|| ("CONTAINERS_REGISTRIES_CONF".to_owned(), configuration))
    }
}

impl Drop for RegistryAccess {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, "a login file was not removed");
        }
    }
}

fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(bytes)
}

fn auth_file(registries: &[Registry]) -> String {
    let logins = registries.iter().filter_map(|registry| {
        let login = format!("{}:{}", registry.username.as_ref()?, registry.password);
        Some((registry.host.clone(), json!({ "auth": STANDARD.encode(login) })))
    });
    json!({ "auths": logins.collect::<serde_json::Map<_, _>>() }).to_string()
}

/// Returns the host's own `registries.conf` and what is beside it in `registries.conf.d`, with our
/// insecure registries: buildah reads one file when it is given one. A file of the host that cannot
/// be read is left out, as if it were not there.
fn merged_configuration(host: &Path, registries: &[Registry]) -> Table {
    let mut files = vec![host.join("registries.conf")];
    let entries = std::fs::read_dir(host.join("registries.conf.d")).into_iter().flatten().flatten();
    let mut beside: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    beside.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    beside.sort();
    files.append(&mut beside);
    let mut merged = Table::new();
    for file in files {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        match text.parse::<Table>() {
            Ok(table) => merge(&mut merged, table),
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "a configuration of registries is not used");
            }
        }
    }
    let ours = registries.iter().filter(|registry| registry.insecure).map(|registry| {
        let mut table = Table::new();
        table.insert("location".to_owned(), Value::String(registry.host.clone()));
        table.insert("insecure".to_owned(), Value::Boolean(true));
        Value::Table(table)
    });
    let ours: Vec<Value> = ours.collect();
    if let Some(Value::Array(theirs)) = merged.get_mut("registry") {
        theirs.retain(|entry| {
            let of = |key: &str| entry.get(key).and_then(Value::as_str);
            let prefix = of("prefix").or(of("location"));
            !registries.iter().any(|registry| registry.insecure && prefix == Some(&registry.host))
        });
        theirs.extend(ours);
    } else {
        merged.insert("registry".to_owned(), Value::Array(ours));
    }
    merged
}

/// Adds a later file: its registries and aliases come to those that are there, other keys win.
fn merge(merged: &mut Table, later: Table) {
    for (key, value) in later {
        match (merged.get_mut(&key), value) {
            (Some(Value::Array(list)), Value::Array(more)) if key == "registry" => {
                list.extend(more);
            }
            (Some(Value::Table(table)), Value::Table(more)) => table.extend(more),
            (_, value) => {
                merged.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn registry(host: &str, username: Option<&str>, insecure: bool) -> Registry {
        Registry {
            host: host.to_owned(),
            username: username.map(str::to_owned),
            password: "s3cret".to_owned(),
            insecure,
            updated_at: 0,
        }
    }

    #[test]
    fn logins_are_in_files_that_only_root_reads_and_go_away() {
        let parent = tempfile::tempdir().unwrap();
        let registries = [registry("one:5000", Some("me"), false), registry("two", None, false)];
        let access = RegistryAccess::new(&parent.path().join("registry"), &registries).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&access.folder), mode(&access.auth_file())), (0o700, 0o600));
        let text = std::fs::read_to_string(access.auth_file()).unwrap();
        let expected = json!({"auths": {"one:5000": {"auth": STANDARD.encode("me:s3cret")}}});
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), expected);
        assert_eq!(access.environment(), None, "the host's own configuration holds");
        let folder = access.folder.clone();
        drop(access);
        assert!(!folder.exists());
        let insecure = [registry("one:5000", Some("me"), true)];
        let access = RegistryAccess::new(&parent.path().join("registry"), &insecure).unwrap();
        let (name, file) = access.environment().unwrap();
        assert_eq!(name, "CONTAINERS_REGISTRIES_CONF");
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.contains("insecure = true") && text.contains("one:5000"), "{text}");
    }

    #[test]
    fn the_hosts_own_configuration_still_counts() {
        let host = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(host.path().join(name), text).unwrap();
        std::fs::create_dir(host.path().join("registries.conf.d")).unwrap();
        write(
            "registries.conf",
            "unqualified-search-registries = [\"a\"]\n[[registry]]\nlocation = \"a\"\n[[registry]]\nlocation = \"one\"\nblocked = true\n",
        );
        write("registries.conf.d/1.conf", "[aliases]\nx = \"a/x\"\n");
        write("registries.conf.d/2.conf", "[[registry]]\nprefix = \"b\"\n[aliases]\ny = \"a/y\"\n");
        write("registries.conf.d/3.conf", "not = [toml");
        write("registries.conf.d/readme", "neither");
        let registries = [registry("one", None, true), registry("two", None, false)];
        let merged = merged_configuration(host.path(), &registries);
        assert_eq!(merged["unqualified-search-registries"][0].as_str(), Some("a"));
        assert_eq!(merged["aliases"]["x"].as_str(), Some("a/x"));
        assert_eq!(merged["aliases"]["y"].as_str(), Some("a/y"));
        let found = merged["registry"].as_array().unwrap();
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[2]["location"].as_str(), Some("one"), "ours replaces theirs");
        assert_eq!(found[2]["insecure"].as_bool(), Some(true));
        let again = toml::to_string(&merged).unwrap().parse::<Table>().unwrap();
        assert_eq!(again, merged);
    }
}
