//! The table on disk, from which a router serves before anyone speaks to it.
//!
//! The first line is a whole table; each further line is a change of one app since then. So a
//! change of a large table writes a line, and from time to time the whole.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use windlass_core::ids::AppId;
use windlass_core::route::{AppRoute, Availability, PrivateNames};

const VERSION: u32 = 1;
/// Changes may take as much room as the whole table before it, and this many bytes.
const CHANGES: u64 = 64 * 1024;

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

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum SavedChange<'a> {
    Upsert(&'a AppRoute),
    Remove(AppId),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum LoadedChange {
    Upsert(Box<AppRoute>),
    Remove(AppId),
}

/// What is to be written.
pub(super) enum Content {
    Whole(Vec<Arc<AppRoute>>),
    /// Apps with their route, or without one.
    Changes(Vec<(AppId, Option<Arc<AppRoute>>)>),
}

/// The file to which changes are appended; none before it was written as a whole.
#[derive(Default)]
pub(super) struct Journal {
    file: Option<File>,
    whole: u64,
    changes: u64,
}

impl Journal {
    /// Whether the next content must be the whole table.
    pub fn wants_whole(&self) -> bool {
        self.file.is_none() || self.changes > self.whole + CHANGES
    }

    /// Writes to the disk. After an error the next content must be the whole table.
    pub fn write(&mut self, path: &Path, boot: &str, content: &Content) -> io::Result<()> {
        let file = self.file.take();
        match (content, file) {
            (Content::Whole(routes), _) => {
                let (file, length) = write_whole(path, boot, routes)?;
                *self = Self { file: Some(file), whole: length, changes: 0 };
            }
            (Content::Changes(changes), Some(mut file)) => {
                let lines = lines(changes)?;
                file.write_all(&lines)?;
                file.sync_data()?;
                self.changes += lines.len() as u64;
                self.file = Some(file);
            }
            (Content::Changes(_), None) => {
                return Err(io::Error::other("changes need a whole table before them"));
            }
        }
        Ok(())
    }
}

fn lines(changes: &[(AppId, Option<Arc<AppRoute>>)]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for (app, route) in changes {
        let change = route.as_deref().map_or(SavedChange::Remove(*app), SavedChange::Upsert);
        serde_json::to_writer(&mut lines, &change)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// Replaces the file in one step; after a crash either the old or the new table is there.
fn write_whole(path: &Path, boot: &str, routes: &[Arc<AppRoute>]) -> io::Result<(File, u64)> {
    let temporary = path.with_extension("new");
    let file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    let mut writer = BufWriter::new(file);
    let routes = routes.iter().map(AsRef::as_ref).collect();
    serde_json::to_writer(&mut writer, &Saved { version: VERSION, boot, routes })?;
    writer.write_all(b"\n")?;
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_data()?;
    let length = file.metadata()?.len();
    fs::rename(&temporary, path)?;
    Ok((file, length))
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
    let mut reader = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    let loaded: Loaded = serde_json::from_slice(&line)?;
    if loaded.version != VERSION {
        let message = format!("version {} is unknown, expected {VERSION}", loaded.version);
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let routes = loaded.routes.into_iter().map(|route| (route.app, route)).collect();
    let routes = read_changes(reader, routes)?;
    if loaded.boot == boot {
        return Ok(routes.into_values().collect());
    }
    tracing::info!(
        "the saved route table is of an earlier start of the machine: requests wait for the server"
    );
    Ok(routes.into_values().map(without_addresses).collect())
}

/// Applies the changes after the table. A crash may have cut the last one: nobody was told that
/// it is saved.
fn read_changes(
    mut reader: impl BufRead,
    mut routes: BTreeMap<AppId, AppRoute>,
) -> io::Result<BTreeMap<AppId, AppRoute>> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 || !line.ends_with(b"\n") {
            return Ok(routes);
        }
        match serde_json::from_slice(&line)? {
            LoadedChange::Upsert(route) => routes.insert(route.app, *route),
            LoadedChange::Remove(app) => routes.remove(&app),
        };
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str) -> Arc<AppRoute> {
        let text = format!(
            r#"{{"app":"{}","app_name":"{name}","hosts":["{name}.test"],"availability":"blank","targets":[],"log_file":null}}"#,
            AppId::random()
        );
        Arc::new(serde_json::from_str(&text).unwrap())
    }

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<_> = load(path, "").iter().map(|r| r.app_name.to_string()).collect();
        names.sort();
        names
    }

    #[test]
    fn changes_are_read_after_the_whole_and_a_cut_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.json");
        let mut journal = Journal::default();
        let (first, second, third) = (route("first"), route("second"), route("third"));
        assert!(journal.wants_whole());
        let changes = Content::Changes(vec![(first.app, None)]);
        assert!(journal.write(&path, "", &changes).is_err(), "there is nothing to change yet");
        let whole = Content::Whole(vec![Arc::clone(&first), Arc::clone(&second)]);
        journal.write(&path, "", &whole).unwrap();
        assert!(!journal.wants_whole());
        let changes = vec![(first.app, None), (third.app, Some(Arc::clone(&third)))];
        journal.write(&path, "", &Content::Changes(changes)).unwrap();
        assert_eq!(names(&path), ["second", "third"]);
        let mut text = fs::read(&path).unwrap();
        text.extend(lines(&[(second.app, None)]).unwrap());
        text.pop();
        fs::write(&path, &text).unwrap();
        assert_eq!(names(&path), ["second", "third"], "a change without its end");
    }

    #[test]
    fn the_whole_is_written_again_before_the_changes_outgrow_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.json");
        let (mut journal, app) = (Journal::default(), route("app"));
        for _ in 0..2_000 {
            let content = match journal.wants_whole() {
                true => Content::Whole(vec![Arc::clone(&app)]),
                false => Content::Changes(vec![(app.app, Some(Arc::clone(&app)))]),
            };
            journal.write(&path, "", &content).unwrap();
        }
        assert!(fs::metadata(&path).unwrap().len() < 2 * CHANGES);
        assert_eq!(names(&path), ["app"]);
    }
}
