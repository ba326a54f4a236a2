//! `windlass image:deploy`, `windlass image:load`, `windlass image:save`

use super::app_path;
use super::deploy::follow;
use super::releases::succeeded;
use crate::archive;
use crate::arguments::{AppArguments, JsonArguments};
use crate::error::{CliError, Result};
use crate::session::Session;
use std::io::{self, IsTerminal};
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
        if self.input.is_none() && io::stdin().is_terminal() {
            return Err(CliError::usage("Give an archive on standard input or with --input.")
                .hint(format!("For example: docker save IMAGE | windlass image:load -a {app}")));
        }
        let mut from = archive::open(self.input.as_deref())?;
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
        let example = format!("windlass image:save -a {app} > image.tar");
        let path = app_path(&app, "/images/current");
        archive::save(&client, &path, self.output.as_deref(), &example)
    }
}
