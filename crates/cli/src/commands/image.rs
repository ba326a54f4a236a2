//! `windlass image:deploy`, `windlass image:load`, `windlass image:save`

use super::app_path;
use super::deploy::follow;
use super::releases::succeeded;
use crate::arguments::{AppArguments, JsonArguments};
use crate::error::{CliError, Result};
use crate::session::Session;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use windlass_wire::{Build, ImagePull, Release};

/// Deploys an image that the server pulls from a registry.
#[derive(Clone, Debug, clap::Args)]
pub struct Deploy {
    /// HOST/NAME, HOST/NAME:TAG or HOST/NAME@sha256:DIGEST
    #[arg(value_name = "REF")]
    reference: String,
    #[command(flatten)]
    app: AppArguments,
}

impl Deploy {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let body = ImagePull { reference: self.reference };
        let build: Build = client.post(&app_path(&app, "/images/pull"), &body)?;
        follow(session, &client, &app, &build)
    }
}

/// Deploys an image from an archive as `docker save` or an OCI tool writes it.
#[derive(Clone, Debug, clap::Args)]
pub struct Load {
    /// The archive [default: standard input]
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Load {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let mut from: Box<dyn Read> = match &self.input {
            Some(file) => Box::new(
                File::open(file)
                    .map_err(|error| CliError::file(format!("{}", file.display()), &error))?,
            ),
            None if io::stdin().is_terminal() => {
                return Err(CliError::usage("Give an archive on standard input or with --input.")
                    .hint(format!(
                        "For example: docker save IMAGE | windlass image:load -a {app}"
                    )));
            }
            None => Box::new(io::stdin()),
        };
        let message = format!("Loading an image into {}", session.output.app(&app));
        let path = app_path(&app, "/images");
        let release: Release = session.output.action(
            &message,
            || client.post_stream(&path, &mut *from).and_then(succeeded),
            |_, release: &Release| Some(format!("v{}", release.version)),
        )?;
        if self.json.json { session.output.json(&release) } else { Ok(()) }
    }
}

/// Writes the image of the current release as an archive.
#[derive(Clone, Debug, clap::Args)]
pub struct Save {
    /// Where to write it [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    app: AppArguments,
}

impl Save {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        if self.output.is_none() && io::stdout().is_terminal() {
            return Err(CliError::usage("An archive is not for a terminal.")
                .hint(format!("For example: windlass image:save -a {app} > image.tar")));
        }
        let mut archive = client.get_stream(&app_path(&app, "/images/current"))?;
        let written = match &self.output {
            Some(file) => {
                let failed = |error| CliError::file(format!("{}", file.display()), &error);
                let mut out = File::create(file).map_err(failed)?;
                io::copy(&mut archive, &mut out)
            }
            None => {
                let mut out = io::stdout().lock();
                io::copy(&mut archive, &mut out).and_then(|bytes| out.flush().map(|()| bytes))
            }
        };
        written
            .map(drop)
            .map_err(|error| CliError::file("The archive broke off and cannot be used", &error))
    }
}
