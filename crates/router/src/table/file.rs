//! The table on disk, from which a router serves before anyone speaks to it.

use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use windlass_core::route::{AppRoute, Availability, PrivateNames};

const VERSION: u32 = 1;

#[derive(Serialize)]
struct Saved<'a> {
    version: u32,
    /// The start of the machine in which the addresses were given out.
    boot: &'a str,
    routes: Vec<&'a AppRoute>,
}

#[derive(Deserialize)]
struct Loaded {
    version: u32,
    #[serde(default)]
    boot: String,
    routes: Vec<AppRoute>,
}

/// Replaces the file in one step; after a crash either the old or the new table is there.
pub(super) fn save<'a>(
    path: &Path,
    boot: &str,
    routes: impl Iterator<Item = &'a AppRoute>,
) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    let mut writer = BufWriter::new(file);
    serde_json::to_writer(
        &mut writer,
        &Saved { version: VERSION, boot, routes: routes.collect() },
    )?;
    writer.write_all(b"\n")?;
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_data()?;
    fs::rename(&temporary, path)
}

/// Returns the saved routes: none when the file is missing or cannot be understood, because
/// a router without routes can still be given some.
pub(super) fn load(path: &Path, boot: &str) -> Vec<AppRoute> {
    match read(path, boot) {
        Ok(routes) => routes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "the saved route table is not usable: starting without routes");
            Vec::new()
        }
    }
}

fn read(path: &Path, boot: &str) -> io::Result<Vec<AppRoute>> {
    let loaded: Loaded = serde_json::from_reader(io::BufReader::new(File::open(path)?))?;
    if loaded.version != VERSION {
        let message = format!("version {} is unknown, expected {VERSION}", loaded.version);
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    if loaded.boot == boot {
        return Ok(loaded.routes);
    }
    tracing::info!(
        "the saved route table is of an earlier start of the machine: requests wait for the server"
    );
    Ok(loaded.routes.into_iter().map(without_addresses).collect())
}

/// After a reboot an address may be another app's: requests wait until the server says where to.
fn without_addresses(route: AppRoute) -> AppRoute {
    let availability = match route.availability {
        Availability::Serving | Availability::Crashed => Availability::Starting,
        other => other,
    };
    let private = PrivateNames { instances: Vec::new(), ..route.private };
    AppRoute { availability, targets: Vec::new(), canary: None, private, ..route }
}
