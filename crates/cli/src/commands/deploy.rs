//! `windlass deploy`

use super::app_path;
use crate::arguments::AppArguments;
use crate::client::Client;
use crate::error::{CliError, Result};
use crate::folder::Folder;
use crate::progress::Progress;
use crate::session::Session;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use windlass_wire::{Build, BuildCreate, BuildSource, Release, Source};

/// Deploys a folder or an archive, without git.
#[derive(Clone, Debug, clap::Args)]
pub struct Deploy {
    /// The folder to deploy; what .gitignore names is left out [default: the current folder]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Deploy an archive instead (.tar, .tar.gz or .zip): a file, a URL, or - for standard input
    #[arg(long, value_name = "FILE|URL|-", conflicts_with = "directory")]
    tar: Option<String>,
    #[command(flatten)]
    app: AppArguments,
}

impl Deploy {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let source_blob = self.source(session, &client, &app)?;
        let path = app_path(&app, "/builds");
        let build: Build = client.post(&path, &BuildCreate { source_blob })?;
        follow(session, &client, &app, &build)
    }

    /// Uploads what is to be deployed, unless it is somewhere else already.
    fn source(&self, session: &mut Session, client: &Client, app: &str) -> Result<BuildSource> {
        let here = session.environment.directory.clone();
        let shown = session.environment.stderr_terminal;
        match self.tar.as_deref() {
            Some(url) if url.contains("://") => {
                Ok(BuildSource { url: Some(url.to_owned()), ..BuildSource::default() })
            }
            Some("-") => {
                if session.environment.stdin_terminal {
                    return Err(CliError::usage("Standard input is a terminal, not an archive.")
                        .hint("For example: tar -cz . | windlass deploy --tar -"));
                }
                let url = upload(client, app, shown, &mut session.input)?;
                Ok(BuildSource { url: Some(url), ..BuildSource::default() })
            }
            Some(file) => {
                let what = format!("Could not read {file}");
                let mut opened =
                    File::open(here.join(file)).map_err(|error| CliError::file(what, &error))?;
                let url = upload(client, app, shown, &mut opened)?;
                Ok(BuildSource { url: Some(url), ..BuildSource::default() })
            }
            None => {
                let folder =
                    Folder::open(here.join(self.directory.as_deref().unwrap_or(".".as_ref())))?;
                let message = match folder.files() {
                    1 => "Uploading 1 file".to_owned(),
                    many => format!("Uploading {many} files"),
                };
                let url = session.output.action(
                    &message,
                    || folder.stream(|archive| upload(client, app, shown, archive)),
                    |_, _| None,
                )?;
                Ok(BuildSource { url: Some(url), version: folder.version()?, checksum: None })
            }
        }
    }
}

/// Shows what a build says until its release is live.
///
/// # Errors
/// If the build or its release failed.
pub(super) fn follow(
    session: &mut Session,
    client: &Client,
    app: &str,
    build: &Build,
) -> Result<()> {
    let shown = show(session, client, build);
    let build: Build = client.get(&app_path(app, &format!("/builds/{}", build.id)))?;
    if build.status == "pending" {
        shown?;
        let hint = format!("Follow it with `windlass builds:output {} -a {app}`.", build.id);
        return Err(CliError::general("The build goes on, but its output ended.").hint(hint));
    }
    if build.status != "succeeded" {
        return Err(CliError::general(format!("The build of {app} failed.")));
    }
    let release: Option<Release> = match &build.release {
        Some(release) => Some(client.get(&app_path(app, &format!("/releases/{}", release.id)))?),
        None => None,
    };
    match release {
        Some(release) if release.status == "succeeded" => Ok(()),
        Some(release) => Err(CliError::general(format!(
            "The build succeeded, but the release v{} did not.",
            release.version
        ))),
        None => Err(CliError::general("The build succeeded, but it was not released.")),
    }
}

/// Sends an archive to the server; returns the URL to name it by.
///
/// Whoever may not deploy to the app, or named one that does not exist, is told so before
/// anything is sent.
fn upload(client: &Client, app: &str, shown: bool, archive: &mut dyn Read) -> Result<String> {
    let source: Source = client.post(&app_path(app, "/sources"), &serde_json::json!({}))?;
    let mut counted = Progress::new(archive, shown);
    client.upload(&source.source_blob.put_url, &mut counted)?;
    Ok(source.source_blob.get_url)
}

/// Prints what the build says, as it says it.
fn show(session: &mut Session, client: &Client, build: &Build) -> Result<()> {
    let mut output = client.stream(&build.output_stream_url)?;
    let mut buffer = vec![0; 16 << 10];
    loop {
        let count = output
            .read(&mut buffer)
            .map_err(|error| CliError::file("The build's output broke off", &error))?;
        if count == 0 {
            return Ok(());
        }
        session.output.said(&buffer[..count])?;
    }
}
