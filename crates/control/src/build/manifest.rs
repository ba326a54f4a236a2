//! What a source says of itself beside its Procfile: read and checked before anything is built.

use super::BuildOutput;
use super::processes::read_source_file;
use crate::records::App;
use crate::release::DeployOptions;
use crate::{Platform, PlatformError, Result};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::BTreeMap;
use std::path::Path;
use windlass_core::app_json::{AppJson, Script};
use windlass_core::names::{ConfigVarName, ProcessType};
use windlass_core::release::ReleaseManifest;

/// An app.json larger than this is refused, in bytes.
const APP_JSON_BYTES: u64 = 256 * 1024;
/// Stacks of app.json that nothing needs to be said about.
const STACKS: &[&str] = &["debian-12", "container"];

/// app.json, and what follows from it for a build.
#[derive(Default)]
pub(crate) struct Manifest {
    pub app_json: AppJson,
    /// Config vars that the first deploy sets, secrets that were made for it included.
    pub defaults: BTreeMap<String, String>,
    /// Those and the app's own: what the build sees.
    pub config_vars: BTreeMap<String, String>,
    /// In order; empty when they are to be detected. After the build, those that it used.
    pub buildpacks: Vec<String>,
}

impl Platform {
    /// Reads app.json and `.buildpacks` in `directory`.
    pub(super) fn read_manifest(
        &self,
        app: &App,
        directory: &Path,
        output: &mut BuildOutput,
    ) -> Result<Manifest> {
        let app_json = match read_source_file(&directory.join("app.json"), APP_JSON_BYTES)? {
            Some(bytes) => AppJson::parse_in(&bytes, self.environment_of(app.id)?)
                .map_err(|error| PlatformError::Invalid(format!("{error}.")))?,
            None => AppJson::default(),
        };
        for warning in &app_json.warnings {
            output.error(&format!("Warning: {warning}."));
        }
        if let Some(stack) = app_json.stack.as_deref().filter(|stack| !STACKS.contains(stack)) {
            output.error(&format!(
                "Warning: app.json: stack {stack} is not here, debian-12 is used."
            ));
        }
        let mut config_vars = self.config_vars(app)?;
        let missing = app_json.missing(&config_vars);
        if !missing.is_empty() {
            return Err(PlatformError::Invalid(format!(
                "app.json requires config vars that are not set: {}. Set them with `windlass config:set NAME=VALUE --app {}` and push again.",
                missing.join(", "),
                app.name
            )));
        }
        let mut defaults = BTreeMap::new();
        if self.is_first_deploy(app)? {
            defaults = app_json.defaults(&config_vars, new_secret);
            config_vars.extend(defaults.clone());
            crate::release::check_config_vars(&config_vars)?;
        }
        if !defaults.is_empty() {
            let names: Vec<&str> = defaults.keys().map(String::as_str).collect();
            output.heading(&format!("Config vars from app.json: {}", names.join(", ")));
        }
        let url = config_vars.get("BUILDPACK_URL");
        let buildpacks = self.choose_buildpacks(app, &app_json.buildpacks, url, directory)?;
        Ok(Manifest { app_json, defaults, config_vars, buildpacks })
    }

    /// Whether nothing has been deployed to the app yet.
    pub(crate) fn is_first_deploy(&self, app: &App) -> Result<bool> {
        Ok(self.current_release(app)?.image.is_none())
    }
}

impl Manifest {
    /// Returns the config vars of a release: the app's own, which win, and those of a first deploy.
    pub(crate) fn config_vars_of_release(
        &self,
        first: bool,
        current: BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut config_vars = if first { self.defaults.clone() } else { BTreeMap::new() };
        config_vars.extend(current);
        config_vars
    }

    /// Returns what the release keeps of app.json.
    pub(crate) fn of_release(&self) -> ReleaseManifest {
        ReleaseManifest {
            checks: self.app_json.checks.clone(),
            cron: self.app_json.cron.clone(),
            ..ReleaseManifest::default()
        }
    }

    pub(crate) fn deploy_options<'a>(
        &self,
        first: bool,
        output: &'a mut BuildOutput,
    ) -> DeployOptions<'a> {
        let formation = if first { self.app_json.formation.clone() } else { BTreeMap::new() };
        let predeploy = self.app_json.scripts.predeploy.clone();
        DeployOptions {
            output: Some(output),
            predeploy,
            may_be_canary: true,
            formation,
            created: None,
        }
    }

    /// Returns the scripts that run once the deploy is served.
    pub(crate) fn scripts_after(&self, first: bool) -> Vec<Script> {
        let scripts = &self.app_json.scripts;
        let once = scripts.first_postdeploy.as_ref().filter(|_| first);
        scripts.postdeploy.iter().chain(once).cloned().collect()
    }

    /// Adds the config vars that a buildpack wants a first deploy to set. What the app or its
    /// app.json has goes before them.
    pub(super) fn add_buildpack_defaults(
        &mut self,
        mut wanted: BTreeMap<String, String>,
        addons: &[String],
        output: &mut BuildOutput,
    ) -> Result<()> {
        if !addons.is_empty() {
            output.error(&format!(
                "Warning: the buildpack asks for add-ons, which are not made for it: {}.",
                addons.join(", ")
            ));
        }
        wanted.retain(|name, _| !self.config_vars.contains_key(name));
        if wanted.is_empty() {
            return Ok(());
        }
        for name in wanted.keys() {
            let _: ConfigVarName = name.parse()?;
        }
        let names: Vec<&str> = wanted.keys().map(String::as_str).collect();
        output.heading(&format!("Config vars from the buildpack: {}", names.join(", ")));
        self.config_vars.extend(wanted.clone());
        self.defaults.extend(wanted);
        crate::release::check_config_vars(&self.config_vars)
    }

    /// Says which process types of app.json the app does not have.
    pub(super) fn warn_of_missing_processes(
        &self,
        processes: &BTreeMap<ProcessType, String>,
        output: &mut BuildOutput,
    ) {
        for process in self.app_json.formation.keys().filter(|p| !processes.contains_key(p)) {
            output.error(&format!(
                "Warning: app.json: formation.{process}: the app has no such process type."
            ));
        }
    }
}

/// Returns 64 random hexadecimal digits, as Heroku's generator.
fn new_secret() -> String {
    let mut bytes = [0u8; 32];
    // The kernel's generator does not fail once it is seeded, which it is long before we run.
    SystemRandom::new().fill(&mut bytes).unwrap_or_else(|_| std::process::abort());
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
