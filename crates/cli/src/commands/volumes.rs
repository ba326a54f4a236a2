//! `windlass volumes` and `volumes:…`

use super::app_path;
use super::destroy::confirmed;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::{Range, encoded};
use crate::error::{CliError, Result};
use crate::output::{Cell, Style, Table};
use crate::session::Session;
use windlass_wire::{Volume, VolumeAttach, VolumeCreate, VolumeUpdate};

#[derive(Clone, Debug, clap::Args)]
pub struct List {
    /// Those of all apps, and those whose app was destroyed
    #[arg(long, conflicts_with = "app")]
    all: bool,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl List {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (heading, volumes): (String, Vec<Volume>) = if self.all {
            let client = session.client(&self.app.server)?;
            ("Volumes".to_owned(), client.list("/volumes", Range::All)?)
        } else {
            let (client, app) = session.app_client(&self.app)?;
            (format!("{app} Volumes"), client.list(&app_path(&app, "/volumes"), Range::All)?)
        };
        if self.json.json {
            return session.output.json(&volumes);
        }
        if volumes.is_empty() {
            return session
                .output
                .note("No volumes. Create one with `windlass volumes:create NAME --path /data`.");
        }
        let mut headers = vec!["Name", "Size", "Used", "Mounted at", "Processes", "State"];
        if self.all {
            headers.extend(["App", "Id"]);
        }
        let mut table = Table::new(&headers);
        volumes.into_iter().for_each(|volume| table.row(row(volume, self.all)));
        session.output.heading(&heading)?;
        session.output.table(&table)
    }
}

fn row(volume: Volume, all: bool) -> Vec<Cell> {
    let used = match (volume.used, volume.size) {
        (Some(used), Some(size)) => {
            format!("{} ({} %)", bytes(used), used.saturating_mul(100) / size.max(1))
        }
        _ => String::new(),
    };
    let mut processes = volume.process_types.join(", ");
    if processes.is_empty() {
        processes = "all".to_owned();
    }
    if volume.shared {
        processes.push_str(" (shared)");
    }
    let size = match (&volume.host_folder, volume.size) {
        (Some(folder), _) => folder.clone(),
        (None, size) => size.map(bytes).unwrap_or_default(),
    };
    let state = match volume.state.as_str() {
        "orphaned" => Cell::styled("orphaned", Style::Yellow),
        state => state.into(),
    };
    let mut cells = vec![
        volume.name.into(),
        size.into(),
        used.into(),
        volume.mount_path.into(),
        processes.into(),
        state,
    ];
    if all {
        cells.extend([volume.app_name.into(), volume.id.into()]);
    }
    cells
}

/// Returns a number of bytes as people write it: `1.5G`.
pub(super) fn bytes(bytes: u64) -> String {
    let units = [(40, "T"), (30, "G"), (20, "M"), (10, "K")];
    match units.into_iter().find(|(shift, _)| bytes >> shift > 0) {
        Some((shift, unit)) if bytes.is_multiple_of(1 << shift) => {
            format!("{}{unit}", bytes >> shift)
        }
        Some((shift, unit)) => format!("{:.1}{unit}", bytes as f64 / (1u64 << shift) as f64),
        None => format!("{bytes}B"),
    }
}

pub(super) fn volume_path(app: &str, volume: &str, rest: &str) -> String {
    app_path(app, &format!("/volumes/{}{rest}", encoded(volume)))
}

#[derive(Clone, Debug, clap::Args)]
pub struct Create {
    /// The volume's name
    name: String,
    /// The most that it holds: 500M, 2G [default: 1G]
    #[arg(long, value_name = "SIZE")]
    size: Option<String>,
    /// Where the app sees it: /data
    #[arg(long, value_name = "PATH")]
    path: String,
    /// Only these process types have it; may be given again [default: all]
    #[arg(long = "type", short = 't', value_name = "TYPE")]
    types: Vec<String>,
    /// Several instances may have it at the same time
    #[arg(long)]
    shared: bool,
    /// A folder of the server in place of a new volume; only for the server's owner
    #[arg(long, value_name = "FOLDER", conflicts_with = "size")]
    host_folder: Option<String>,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Create {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let body = VolumeCreate {
            name: self.name,
            size: self.size,
            mount_path: self.path,
            process_types: self.types,
            shared: self.shared,
            host_folder: self.host_folder,
        };
        let path = app_path(&app, "/volumes");
        let name = session.output.paint_error(Style::Green, &body.name);
        let message = format!("Creating volume {name} for {}", session.output.app(&app));
        let make = || client.post(&path, &body);
        let volume: Volume = session.output.action(&message, make, |_, volume: &Volume| {
            Some(format!("mounted at {}", volume.mount_path))
        })?;
        if self.json.json { session.output.json(&volume) } else { Ok(()) }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Resize {
    /// The volume's name
    name: String,
    /// The new size, not below the old one: 2G
    #[arg(long, value_name = "SIZE")]
    size: String,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Resize {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let body = VolumeUpdate { size: Some(self.size), mounted: None };
        update(session, "Resizing", &self.name, &body, &self.app, self.json)
    }
}

/// A volume of an app, for commands that change it.
#[derive(Clone, Debug, clap::Args)]
pub struct Named {
    /// The volume's name
    name: String,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Named {
    /// Lets the app's instances have the volume again.
    pub fn mount(self, session: &mut Session) -> Result<()> {
        let body = VolumeUpdate { size: None, mounted: Some(true) };
        update(session, "Mounting", &self.name, &body, &self.app, self.json)
    }

    /// Takes the volume from the app's instances; its content stays.
    pub fn unmount(self, session: &mut Session) -> Result<()> {
        let body = VolumeUpdate { size: None, mounted: Some(false) };
        update(session, "Unmounting", &self.name, &body, &self.app, self.json)
    }
}

fn update(
    session: &mut Session,
    verb: &str,
    name: &str,
    body: &VolumeUpdate,
    app: &AppArguments,
    json: JsonArguments,
) -> Result<()> {
    let (client, app) = session.app_client(app)?;
    let path = volume_path(&app, name, "");
    let name = session.output.paint_error(Style::Green, name);
    let message = format!("{verb} volume {name} of {}", session.output.app(&app));
    let change = || client.patch(&path, body);
    let volume: Volume =
        session.output.action(&message, change, |_, volume: &Volume| volume.size.map(bytes))?;
    if json.json { session.output.json(&volume) } else { Ok(()) }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Destroy {
    /// The volume's name; its id if its app was destroyed
    name: String,
    /// The volume's name once more, instead of a question
    #[arg(short, long, value_name = "NAME")]
    confirm: Option<String>,
    #[command(flatten)]
    app: AppArguments,
}

impl Destroy {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, path) = if is_id(&self.name) {
            (session.client(&self.app.server)?, format!("/volumes/{}", self.name))
        } else {
            let (client, app) = session.app_client(&self.app)?;
            let volume: Volume = client.get(&volume_path(&app, &self.name, ""))?;
            (client, format!("/volumes/{}", volume.id))
        };
        confirmed(session, &self.name, self.confirm.as_deref())?;
        let name = session.output.paint_error(Style::Green, &self.name);
        let message = format!("Destroying volume {name} (with its snapshots)");
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }
}

/// Whether this is an identifier, which no name can be: it is too long.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

#[derive(Clone, Debug, clap::Args)]
pub struct Attach {
    /// The volume's id, as `volumes --all` shows it
    volume: String,
    /// Another name for it
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// Where the app sees it [default: as before]
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Attach {
    pub fn run(self, session: &mut Session) -> Result<()> {
        if !is_id(&self.volume) {
            return Err(CliError::usage(format!("{} is not a volume's id.", self.volume))
                .hint("`windlass volumes --all` shows the ids."));
        }
        let (client, app) = session.app_client(&self.app)?;
        let body = VolumeAttach { volume: self.volume, name: self.name, mount_path: self.path };
        let path = app_path(&app, "/volumes/actions/attach");
        let message = format!("Attaching a volume to {}", session.output.app(&app));
        let attach = || client.post(&path, &body);
        let volume: Volume = session.output.action(&message, attach, |_, volume: &Volume| {
            Some(format!("{} mounted at {}", volume.name, volume.mount_path))
        })?;
        if self.json.json { session.output.json(&volume) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let shown = [(5, "5B"), (2048, "2K"), (1536 << 20, "1.5G"), (3 << 30, "3G")];
        for (number, text) in shown {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn ids_are_no_names() {
        assert!(is_id("712790aa-7788-4a58-8674-548510b86aa0"));
        assert!(!is_id("data"));
    }
}
