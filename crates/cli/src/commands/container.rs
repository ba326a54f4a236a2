//! `windlass container:login`, `container:push`, `container:release`, `container:rm`
//!
//! The server is a registry itself: whatever builds images here pushes them there.

use super::app_path;
use super::engine::{Engine, Registry};
use crate::arguments::{AppArguments, JsonArguments, ServerArguments};
use crate::client::{Client, Range, encoded};
use crate::error::{CliError, ErrorKind, Result};
use crate::session::Session;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use ureq::http::Method;
use windlass_wire::Release;

#[derive(Clone, Debug, clap::Subcommand)]
pub enum ContainerCommand {
    /// Log docker, podman or buildah in to the server's registry
    #[command(name = "container:login")]
    Login(Login),
    /// Build images of process types and push them to the server's registry
    #[command(name = "container:push")]
    Push(Push),
    /// Release pushed images, one of each process type
    #[command(name = "container:release")]
    Release(Types),
    /// Take process types of pushed images out of an app
    #[command(name = "container:rm")]
    Remove(Types),
}

impl ContainerCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::Login(arguments) => arguments.run(session),
            Self::Push(arguments) => arguments.run(session),
            Self::Release(arguments) => arguments.release(session),
            Self::Remove(arguments) => arguments.remove(session),
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Login {
    /// docker, podman or buildah [default: the first that is installed]
    #[arg(long, value_name = "NAME")]
    engine: Option<Engine>,
    #[command(flatten)]
    server: ServerArguments,
}

impl Login {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let engine = Engine::chosen(self.engine)?;
        let registry = Registry::of(&client)?;
        let message = format!("Logging {engine} in to {}", registry.host);
        session.output.action(&message, || engine.log_in(&registry), |_, ()| None)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Push {
    /// Process types to build: each of Dockerfile.TYPE, or else of Dockerfile [default: web]
    #[arg(value_name = "TYPE")]
    types: Vec<String>,
    /// Build every Dockerfile.TYPE in the folder
    #[arg(short = 'R', long, conflicts_with = "types")]
    recursive: bool,
    /// The folder to build
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    context_path: PathBuf,
    /// Build arguments
    #[arg(long = "arg", value_name = "NAME=VALUE", value_delimiter = ',')]
    arguments: Vec<String>,
    /// docker, podman or buildah [default: the first that is installed]
    #[arg(long, value_name = "NAME")]
    engine: Option<Engine>,
    #[command(flatten)]
    app: AppArguments,
}

impl Push {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let plan = self.plan()?;
        let engine = Engine::chosen(self.engine)?;
        let registry = Registry::of(&client)?;
        // An app that is not there is told before anything is built.
        let _: windlass_wire::App = client.get(&app_path(&app, ""))?;
        for (process, dockerfile) in &plan {
            let name = format!("{}/{app}/{process}", registry.host);
            session.output.heading(&format!("Building {process} ({})", dockerfile.display()))?;
            engine.build(&name, dockerfile, &self.context_path, &self.arguments)?;
            session.output.heading(&format!("Pushing {process} ({name})"))?;
            engine.push(&registry, &name)?;
        }
        let types: Vec<&str> = plan.iter().map(|(process, _)| process.as_str()).collect();
        let types = types.join(" ");
        session.output.note(format!(
            "Pushed. Release it with: windlass container:release {types} --app {app}"
        ))
    }

    /// Returns which process type is built of which Dockerfile.
    fn plan(&self) -> Result<Vec<(String, PathBuf)>> {
        let types = match (self.recursive, self.types.is_empty()) {
            (true, _) => types_in(&self.context_path)?,
            (false, true) => vec!["web".to_owned()],
            (false, false) => self.types.clone(),
        };
        let dockerfile = |process: &String| {
            let own = self.context_path.join(format!("Dockerfile.{process}"));
            let common = self.context_path.join("Dockerfile");
            let found = [own, common].into_iter().find(|file| file.is_file());
            found.ok_or_else(|| {
                CliError::usage(format!(
                    "There is neither Dockerfile.{process} nor Dockerfile in {}.",
                    named(&self.context_path)
                ))
            })
        };
        types.into_iter().map(|process| Ok((process.clone(), dockerfile(&process)?))).collect()
    }
}

/// A folder as people speak of it: `.` at the end of a sentence is easily overlooked.
fn named(folder: &Path) -> String {
    if folder == Path::new(".") { "this folder".to_owned() } else { folder.display().to_string() }
}

/// Returns the process types that a folder has a Dockerfile of their own for.
fn types_in(folder: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder)
        .map_err(|error| CliError::file(format!("Could not read {}", folder.display()), &error))?;
    let mut types: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            Some(entry.file_name().to_str()?.strip_prefix("Dockerfile.")?.to_owned())
        })
        .filter(|process| !process.is_empty() && process != "dockerignore")
        .collect();
    types.sort();
    if types.is_empty() {
        return Err(CliError::usage(format!("There is no Dockerfile.TYPE in {}.", named(folder))));
    }
    Ok(types)
}

#[derive(Clone, Debug, clap::Args)]
pub struct Types {
    /// Process types
    #[arg(value_name = "TYPE", required = true)]
    types: Vec<String>,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Types {
    fn release(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let updates: Vec<Value> = self
            .types
            .iter()
            .map(|process| {
                let image = pushed_image(&client, &app, process)?;
                Ok(json!({"type": process, "docker_image": image}))
            })
            .collect::<Result<_>>()?;
        self.change(session, &client, &app, "Releasing", updates)
    }

    fn remove(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let removal = |process| json!({"type": process, "docker_image": null});
        let updates = self.types.iter().map(removal).collect();
        self.change(session, &client, &app, "Removing", updates)
    }

    fn change(
        &self,
        session: &mut Session,
        client: &Client,
        app: &str,
        what: &str,
        updates: Vec<Value>,
    ) -> Result<()> {
        let shown_app = session.output.app(app);
        let message = format!("{what} {} of {shown_app}", self.types.join(", "));
        let path = app_path(app, "/formation");
        let release: Release = session.output.action(
            &message,
            || {
                let _: Value = client.send(Method::PATCH, &path, &json!({"updates": updates}))?;
                newest_release(client, app)
            },
            |_, release: &Release| Some(format!("v{}", release.version)),
        )?;
        if self.json.json { session.output.json(&release) } else { Ok(()) }
    }
}

fn newest_release(client: &Client, app: &str) -> Result<Release> {
    let newest = client.list(&app_path(app, "/releases"), Range::NewestVersions(1))?;
    let missing = || CliError::not_found(format!("{app} has no releases."));
    newest.into_iter().next().ok_or_else(missing)
}

/// Returns the identifier of the image that was pushed last for a process type.
fn pushed_image(client: &Client, app: &str, process: &str) -> Result<String> {
    let path = format!("/v2/{}/{}/manifests/latest", encoded(app), encoded(process));
    let manifest: Value = client.get(&path).map_err(|error| match error.kind {
        ErrorKind::NotFound => {
            CliError::not_found(format!("Nothing was pushed for {process} of {app} yet."))
                .hint(format!("Push it first: windlass container:push {process} --app {app}"))
        }
        _ => error,
    })?;
    let digest = manifest["config"]["digest"].as_str();
    digest.map(str::to_owned).ok_or_else(|| {
        CliError::general(format!(
            "What was pushed for {process} has no image for the server's processor: build it with --platform linux/amd64 (or what the server has) and push it again."
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        push: Push,
    }

    fn plan(folder: &Path, arguments: &[&str]) -> Result<Vec<(String, String)>> {
        let context = folder.to_str().unwrap();
        let start = ["push", "--context-path", context];
        let line = start.iter().chain(arguments);
        let plan = Line::parse_from(line).push.plan()?;
        let name = |file: PathBuf| file.file_name().unwrap().to_str().unwrap().to_owned();
        Ok(plan.into_iter().map(|(process, file)| (process, name(file))).collect())
    }

    #[test]
    fn a_process_type_is_built_of_its_own_dockerfile_or_of_the_common_one() {
        let folder = tempfile::tempdir().unwrap();
        let of = |arguments: &[&str]| plan(folder.path(), arguments);
        let says = |arguments: &[&str]| of(arguments).unwrap_err().message;
        assert!(says(&[]).contains("neither Dockerfile.web nor Dockerfile"));
        assert!(says(&["--recursive"]).contains("no Dockerfile.TYPE"));
        for name in ["Dockerfile", "Dockerfile.worker", "Dockerfile.clock"] {
            std::fs::write(folder.path().join(name), "FROM scratch").unwrap();
        }
        let pair = |process: &str, file: &str| (process.to_owned(), file.to_owned());
        assert_eq!(of(&[]).unwrap(), [pair("web", "Dockerfile")]);
        let both = [pair("web", "Dockerfile"), pair("worker", "Dockerfile.worker")];
        assert_eq!(of(&["web", "worker"]).unwrap(), both);
        let all = [pair("clock", "Dockerfile.clock"), pair("worker", "Dockerfile.worker")];
        assert_eq!(of(&["--recursive"]).unwrap(), all);
    }
}
