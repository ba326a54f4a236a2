//! What a buildpack's `bin/release` says: process types, and what a first deploy is to have.

use crate::{PlatformError, Result};
use std::collections::BTreeMap;
use windlass_core::names::ProcessType;
use yaml_rust2::{Yaml, YamlLoader};

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ReleaseYaml {
    pub default_process_types: BTreeMap<ProcessType, String>,
    /// Set by the first deploy, where the app has none of that name.
    pub config_vars: BTreeMap<String, String>,
    /// Names of add-ons, in order.
    pub addons: Vec<String>,
}

impl ReleaseYaml {
    /// Reads the script's output, which may be empty. Keys that are not known are passed over.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let documents =
            YamlLoader::load_from_str(text).map_err(|error| unusable(&error.to_string()))?;
        let Some(document) = documents.first() else { return Ok(Self::default()) };
        let mut default_process_types = BTreeMap::new();
        for (name, command) in pairs(document, "default_process_types")? {
            default_process_types.insert(name.parse()?, command);
        }
        let config_vars = pairs(document, "config_vars")?;
        Ok(Self { default_process_types, config_vars, addons: addons(document)? })
    }
}

fn unusable(what: &str) -> PlatformError {
    PlatformError::Invalid(format!(
        "The buildpack's bin/release wrote YAML that cannot be used: {what}"
    ))
}

/// Numbers and truth values are taken as they are written.
fn text(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(text) | Yaml::Real(text) => Some(text.clone()),
        Yaml::Integer(number) => Some(number.to_string()),
        Yaml::Boolean(value) => Some(value.to_string()),
        _ => None,
    }
}

fn pairs(document: &Yaml, key: &str) -> Result<BTreeMap<String, String>> {
    let Yaml::Hash(entries) = &document[key] else { return Ok(BTreeMap::new()) };
    let entries = entries.iter().map(|(name, value)| match (name.as_str(), text(value)) {
        (Some(name), Some(value)) => Ok((name.to_owned(), value)),
        _ => Err(unusable(&format!("{key} has {name:?}: {value:?}"))),
    });
    entries.collect()
}

fn addons(document: &Yaml) -> Result<Vec<String>> {
    let Yaml::Array(entries) = &document["addons"] else { return Ok(Vec::new()) };
    let named = entries
        .iter()
        .map(|entry| text(entry).ok_or_else(|| unusable(&format!("addons has {entry:?}"))));
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_odd_release_output() {
        for (yaml, ok) in [
            ("", true),
            ("--- {}", true),
            ("default_process_types:\n", true),
            ("addons: []\nother: [1]\n", true),
            ("{", false),
            ("default_process_types:\n  web: [1]\n", false),
            ("default_process_types:\n  \"a b\": x\n", false),
            ("config_vars:\n  A: {}\n", false),
            ("addons: [[]]\n", false),
        ] {
            assert_eq!(ReleaseYaml::parse(yaml).is_ok(), ok, "{yaml:?}");
        }
    }

    #[test]
    fn all_three_keys() {
        let yaml = "---\naddons:\n  - heroku-postgresql:mini\nconfig_vars:\n  PATH: bin\n  WORKERS: 3\n  DEBUG: false\ndefault_process_types:\n  web: serve 'a b'\n";
        let release = ReleaseYaml::parse(yaml).unwrap();
        assert_eq!(release.addons, ["heroku-postgresql:mini"]);
        let config_vars: Vec<_> =
            release.config_vars.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(config_vars, ["DEBUG=false", "PATH=bin", "WORKERS=3"]);
        assert_eq!(release.default_process_types[&ProcessType::web()], "serve 'a b'");
    }
}
