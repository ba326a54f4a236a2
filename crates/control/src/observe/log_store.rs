//! The log store: one append-only file an app, rotated by size.
//!
//! Writers append whole lines to `<app>/current.log` (see `windlass_core::log_line`) without
//! asking anybody; the server only renames a full file, which every writer notices by itself.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;
use windlass_core::ids::AppId;
use windlass_core::log_line;

/// A file is renamed when it is larger, in bytes.
const SEGMENT_BYTES: u64 = 8 << 20;
/// Older segments that are kept beside the current one.
const SEGMENTS_KEPT: usize = 4;
/// How often a followed file is looked at.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(50);

/// Which lines a reader wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// `web.1`, or a type: `web`.
    pub process: Option<String>,
    /// `app` or `heroku`.
    pub source: Option<String>,
    /// Lines of history.
    pub lines: u32,
    /// Whether to go on with new lines.
    pub tail: bool,
}

impl LogFilter {
    fn matches(&self, line: &str) -> bool {
        if self.process.is_none() && self.source.is_none() {
            return true;
        }
        let Some(parsed) = log_line::parse(line) else { return false };
        let process_matches = self.process.as_deref().is_none_or(|wanted| {
            parsed.process == wanted
                || parsed.process.split_once('.').is_some_and(|(kind, _)| kind == wanted)
        });
        process_matches && self.source.as_deref().is_none_or(|wanted| parsed.source == wanted)
    }
}

#[derive(Clone, Debug)]
pub struct LogStore {
    directory: PathBuf,
}

impl LogStore {
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Returns the file that writers append to.
    #[must_use]
    pub fn file(&self, app: AppId) -> PathBuf {
        self.directory.join(app.to_string()).join("current.log")
    }

    /// Appends one message, for example from `heroku[web.1]`. A log that cannot be written must not
    /// stop what is being logged, so a failure only goes to the server's own log.
    pub fn append(&self, app: AppId, source: &str, message: &str) {
        let mut lines = Vec::with_capacity(message.len() + 64);
        log_line::format_into(&mut lines, crate::platform::now_us(), source, message.as_bytes());
        let file = self.file(app);
        let written = file
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| File::options().create(true).append(true).open(&file))
            .and_then(|mut file| file.write_all(&lines));
        if let Err(error) = written {
            tracing::warn!(%error, file = %file.display(), "a log line could not be written");
        }
    }

    /// Returns the last lines that match, oldest first.
    pub fn last(&self, app: AppId, filter: &LogFilter) -> Vec<String> {
        let mut found = Vec::new();
        for segment in self.segments_newest_first(app) {
            let wanted = filter.lines as usize - found.len();
            if wanted == 0 {
                break;
            }
            let Ok(bytes) = std::fs::read(&segment) else { continue };
            let text = String::from_utf8_lossy(&bytes);
            found.extend(
                text.lines()
                    .rev()
                    .filter(|line| filter.matches(line))
                    .take(wanted)
                    .map(str::to_owned),
            );
        }
        found.reverse();
        found
    }

    /// Returns what a process itself has said since a time, in microseconds since the Unix epoch:
    /// the last lines that fit into `bytes`.
    #[must_use]
    pub fn said_by(&self, app: AppId, process: &str, since_us: u64, bytes: usize) -> String {
        let since = log_line::timestamp(since_us);
        let (mut lines, mut size) = (Vec::new(), 0);
        'segments: for segment in self.segments_newest_first(app) {
            let Ok(content) = std::fs::read(&segment) else { continue };
            let text = String::from_utf8_lossy(&content);
            for line in text.lines().rev().filter_map(log_line::parse) {
                if line.timestamp < since.as_str() {
                    break 'segments;
                }
                if line.process == process && line.source == "app" {
                    size += line.message.len() + 1;
                    if size > bytes {
                        break 'segments;
                    }
                    lines.push(line.message.to_owned() + "\n");
                }
            }
        }
        lines.reverse();
        lines.concat()
    }

    fn segments_newest_first(&self, app: AppId) -> Vec<PathBuf> {
        let current = self.file(app);
        let mut older = older_segments(current.parent().unwrap_or(Path::new("")));
        older.sort_by(|a, b| b.cmp(a));
        std::iter::once(current).chain(older).collect()
    }

    /// Sends the lines that match, history first, until the receiver is dropped (or, without
    /// `tail`, to the end of the history). Blocking: run it on a thread for that.
    pub fn stream(&self, app: AppId, filter: &LogFilter, out: &mpsc::Sender<String>) {
        let path = self.file(app);
        let mut follower = Follower::at_end(&path);
        for line in self.last(app, filter) {
            if out.blocking_send(line + "\n").is_err() {
                return;
            }
        }
        while filter.tail && !out.is_closed() {
            let lines = follower.read(&path).unwrap_or_default();
            if lines.is_empty() {
                std::thread::sleep(FOLLOW_INTERVAL);
            }
            for line in lines.lines().filter(|line| filter.matches(line)) {
                if out.blocking_send(format!("{line}\n")).is_err() {
                    return;
                }
            }
        }
    }

    /// Renames files that are full and deletes the oldest segments.
    pub fn rotate(&self) -> io::Result<()> {
        let apps = match std::fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        for app in apps {
            let directory = app?.path();
            let current = directory.join("current.log");
            if std::fs::metadata(&current).is_ok_and(|file| file.len() > SEGMENT_BYTES) {
                std::fs::rename(
                    &current,
                    directory.join(format!("{:020}.log", crate::platform::now_us())),
                )?;
            }
            let mut older = older_segments(&directory);
            older.sort();
            let surplus = older.len().saturating_sub(SEGMENTS_KEPT);
            for segment in older.drain(..surplus) {
                std::fs::remove_file(segment)?;
            }
        }
        Ok(())
    }

    /// Deletes the log of an app.
    pub fn remove(&self, app: AppId) -> io::Result<()> {
        match std::fs::remove_dir_all(self.directory.join(app.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

pub(super) fn older_segments(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name != "current.log"))
        .collect()
}

/// Reads what is appended to a file, across renames.
struct Follower {
    file: Option<File>,
    rest: Vec<u8>,
}

impl Follower {
    fn at_end(path: &Path) -> Self {
        let mut file = File::open(path).ok();
        if let Some(file) = &mut file {
            let _ = file.seek(SeekFrom::End(0));
        }
        Self { file, rest: Vec::new() }
    }

    /// Returns the whole lines that came since the last call.
    fn read(&mut self, path: &Path) -> io::Result<String> {
        if self.file.is_none() {
            self.file = File::open(path).ok();
        }
        let Some(file) = &mut self.file else { return Ok(String::new()) };
        let before = self.rest.len();
        file.take(1 << 20).read_to_end(&mut self.rest)?;
        if self.rest.len() == before && was_replaced(file, path) {
            self.file = None;
        }
        let end = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.rest.drain(..end).collect();
        Ok(String::from_utf8_lossy(&lines).into_owned())
    }
}

fn was_replaced(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => open.ino() != named.ino(),
        (_, Err(_)) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, LogStore, AppId) {
        let directory = tempfile::tempdir().unwrap();
        let store = LogStore::new(directory.path().to_owned());
        (directory, store, AppId::random())
    }

    #[test]
    fn filters_history() {
        let (_directory, store, app) = store();
        store.append(app, "app[web.1]", "one");
        store.append(app, "heroku[web.1]", "two");
        store.append(app, "app[worker.1]", "three");
        let messages = |filter: LogFilter| -> Vec<String> {
            store
                .last(app, &filter)
                .iter()
                .map(|l| log_line::parse(l).unwrap().message.to_owned())
                .collect()
        };
        let all = LogFilter { lines: 100, ..LogFilter::default() };
        assert_eq!(messages(all.clone()), ["one", "two", "three"]);
        assert_eq!(messages(LogFilter { lines: 2, ..all.clone() }), ["two", "three"]);
        assert_eq!(
            messages(LogFilter { process: Some("web".into()), ..all.clone() }),
            ["one", "two"]
        );
        assert_eq!(
            messages(LogFilter {
                process: Some("web.1".into()),
                source: Some("app".into()),
                ..all
            }),
            ["one"]
        );
    }

    #[test]
    fn tells_what_one_process_has_said_since() {
        let (_directory, store, app) = store();
        store.append(app, "app[cron.1]", "before");
        let since = crate::platform::now_us() + 1;
        while crate::platform::now_us() <= since {}
        store.append(app, "app[cron.1]", "one");
        store.append(app, "heroku[cron.1]", "not it");
        let current = store.file(app);
        std::fs::rename(&current, current.with_file_name("00000000000000000001.log")).unwrap();
        store.append(app, "app[cron.11]", "another");
        store.append(app, "app[cron.1]", "two");
        assert_eq!(store.said_by(app, "cron.1", since, 100), "one\ntwo\n");
        assert_eq!(store.said_by(app, "cron.1", since, 7), "two\n");
    }

    #[test]
    fn follows_across_a_rotation_and_reads_back_over_it() {
        let (_directory, store, app) = store();
        store.append(app, "app[web.1]", "before");
        let mut follower = Follower::at_end(&store.file(app));
        let current = store.file(app);
        store.append(app, "app[web.1]", "one");
        std::fs::rename(&current, current.with_file_name("00000000000000000001.log")).unwrap();
        store.append(app, "app[web.1]", "two");
        let mut seen = String::new();
        for _ in 0..4 {
            seen += &follower.read(&current).unwrap();
        }
        assert_eq!(seen.lines().count(), 2, "{seen}");
        let filter = LogFilter { lines: 10, ..LogFilter::default() };
        assert_eq!(store.last(app, &filter).len(), 3);
    }
}
