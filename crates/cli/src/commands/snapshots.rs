//! `windlass volumes:snapshot`, `volumes:snapshots`, `volumes:restore`, `volumes:backup`

use super::volumes::{bytes, volume_path};
use crate::archive;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::{Range, encoded};
use crate::error::Result;
use crate::output::{Style, Table};
use crate::session::Session;
use crate::time::with_age;
use std::path::PathBuf;
use windlass_wire::{Volume, VolumeRestore, VolumeSnapshot};

#[derive(Clone, Debug, clap::Args)]
pub struct Take {
    /// The volume's name
    name: String,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Take {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = volume_path(&app, &self.name, "/snapshots");
        let name = session.output.paint_error(Style::Green, &self.name);
        let message = format!("Taking a snapshot of volume {name} of {}", session.output.app(&app));
        let take = || client.post(&path, &serde_json::json!({}));
        let snapshot: VolumeSnapshot =
            session.output.action(&message, take, |_, snapshot: &VolumeSnapshot| {
                Some(format!("{} ({})", snapshot.name, bytes(snapshot.size)))
            })?;
        if self.json.json { session.output.json(&snapshot) } else { Ok(()) }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct List {
    /// The volume's name
    name: String,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl List {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = volume_path(&app, &self.name, "/snapshots");
        let snapshots: Vec<VolumeSnapshot> = client.list(&path, Range::All)?;
        if self.json.json {
            return session.output.json(&snapshots);
        }
        let now = session.environment.now;
        let mut table = Table::new(&["Snapshot", "Size", "Taken"]);
        for snapshot in snapshots {
            let size = bytes(snapshot.size);
            let taken = with_age(&snapshot.created_at, now);
            table.row(vec![snapshot.name.into(), size.into(), taken.into()]);
        }
        session.output.heading(&format!("{app} Snapshots of {}", self.name))?;
        session.output.table(&table)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Remove {
    /// The volume's name
    name: String,
    /// The snapshot: s1
    snapshot: String,
    #[command(flatten)]
    app: AppArguments,
}

impl Remove {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let rest = format!("/snapshots/{}", encoded(&self.snapshot));
        let path = volume_path(&app, &self.name, &rest);
        let message = format!("Destroying snapshot {} of volume {}", self.snapshot, self.name);
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Restore {
    /// The volume's name
    name: String,
    /// The snapshot: s1
    #[arg(required_unless_present = "input", conflicts_with = "input")]
    snapshot: Option<String>,
    /// An archive in place of a snapshot; - for standard input
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Restore {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let name = session.output.paint_error(Style::Green, &self.name);
        let message = format!("Restoring volume {name} of {}", session.output.app(&app));
        let volume: Volume = match (self.snapshot, self.input) {
            (Some(snapshot), _) => {
                let path = volume_path(&app, &self.name, "/actions/restore");
                let body = VolumeRestore { snapshot };
                session.output.action(&message, || client.post(&path, &body), |_, _| None)?
            }
            (None, input) => {
                let file = input.filter(|file| file.as_os_str() != "-");
                let mut from = archive::open(file.as_deref())?;
                let path = volume_path(&app, &self.name, "/archive");
                let send = || client.post_stream(&path, &mut *from);
                session.output.action(&message, send, |_, _| None)?
            }
        };
        if self.json.json { session.output.json(&volume) } else { Ok(()) }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Backup {
    /// The volume's name
    name: String,
    /// Where to write it [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    app: AppArguments,
}

impl Backup {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let example = format!("windlass volumes:backup {} -a {app} > data.tar", self.name);
        let path = volume_path(&app, &self.name, "/archive");
        archive::save(&client, &path, self.output.as_deref(), &example)
    }
}
