//! Writes router lines off the request path: one thread, one write a file and batch.

use super::Record;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;
use windlass_core::log_line;

/// How long lines are collected before they are written.
const COLLECT: Duration = Duration::from_millis(50);
/// Log files kept open.
const OPEN_FILES: usize = 64;
/// A batch buffer larger than this is given back after its write.
const KEEP_BUFFER: usize = 64 * 1024;

const SOURCE: &str = "heroku[router]";

enum Message {
    Line(Arc<Path>, Box<Record>),
    Stop,
}

/// The sending side: never waits and never blocks.
pub(crate) struct AccessLog {
    sender: Sender<Message>,
    backlog: Arc<Backlog>,
    thread: std::sync::Mutex<Option<JoinHandle<()>>>,
}

struct Backlog {
    limit: usize,
    waiting: AtomicUsize,
    /// Since it was last said.
    dropped: AtomicU64,
    dropped_before: AtomicU64,
}

impl AccessLog {
    /// Starts the writing thread; at most `limit` lines wait for it.
    pub fn start(limit: usize) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let backlog = Arc::new(Backlog {
            limit,
            waiting: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            dropped_before: AtomicU64::new(0),
        });
        let mut writer = Writer {
            backlog: Arc::clone(&backlog),
            files: HashMap::new(),
            batch: 0,
            message: Vec::new(),
        };
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || writer.run(&receiver))?;
        Ok(Self { sender, backlog, thread: std::sync::Mutex::new(Some(thread)) })
    }

    /// Hands over one line, or drops and counts it when too many wait.
    pub fn write(&self, file: &Arc<Path>, record: Record) {
        if self.backlog.waiting.fetch_add(1, Ordering::Relaxed) >= self.backlog.limit {
            self.backlog.waiting.fetch_sub(1, Ordering::Relaxed);
            self.backlog.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // It can only fail after `stop`, when nobody reads the log of this router any more.
        let _ = self.sender.send(Message::Line(Arc::clone(file), Box::new(record)));
    }

    /// Returns how many lines did not get into a log so far.
    pub fn dropped(&self) -> u64 {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        of(&self.backlog.dropped) + of(&self.backlog.dropped_before)
    }

    /// Writes what is waiting and ends the thread. Blocks for a moment.
    pub fn stop(&self) {
        let _ = self.sender.send(Message::Stop);
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that writes access logs has panicked");
        }
    }
}

struct Writer {
    backlog: Arc<Backlog>,
    files: HashMap<Arc<Path>, LogFile>,
    /// The number of this batch, to know which file was used last.
    batch: u64,
    message: Vec<u8>,
}

#[derive(Default)]
struct LogFile {
    open: Option<(File, u64, u64)>,
    lines: Vec<u8>,
    used: u64,
    failing: bool,
}

impl Writer {
    fn run(&mut self, receiver: &Receiver<Message>) {
        while let Ok(first) = receiver.recv() {
            self.batch += 1;
            let mut stop = self.collect(first);
            if !stop {
                std::thread::sleep(COLLECT);
            }
            while let Ok(message) = receiver.try_recv() {
                stop |= self.collect(message);
            }
            self.flush();
            if stop {
                return;
            }
        }
    }

    /// Adds one line to its file's batch; returns whether it was the order to stop.
    fn collect(&mut self, message: Message) -> bool {
        let Message::Line(path, record) = message else { return true };
        self.backlog.waiting.fetch_sub(1, Ordering::Relaxed);
        self.message.clear();
        record.write_message(&mut self.message);
        let file = self.files.entry(path).or_default();
        file.used = self.batch;
        log_line::format_into(&mut file.lines, record.time, SOURCE, &self.message);
        false
    }

    fn flush(&mut self) {
        for (path, file) in self.files.iter_mut().filter(|(_, file)| !file.lines.is_empty()) {
            match file.append(path) {
                Ok(()) => file.failing = false,
                // Said once, not for each batch.
                Err(error) if !file.failing => {
                    file.failing = true;
                    tracing::warn!(file = %path.display(), %error, "cannot write router lines: they are lost until it works again");
                }
                Err(_) => {}
            }
            file.lines.clear();
            if file.lines.capacity() > KEEP_BUFFER {
                file.lines = Vec::new();
            }
        }
        self.close_oldest();
        let dropped = self.backlog.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            self.backlog.dropped_before.fetch_add(dropped, Ordering::Relaxed);
            tracing::warn!(dropped, "router lines dropped: more requests than the log can take");
        }
    }

    fn close_oldest(&mut self) {
        while self.files.len() > OPEN_FILES {
            let oldest = self
                .files
                .iter()
                .min_by_key(|(_, file)| file.used)
                .map(|(path, _)| Arc::clone(path));
            let Some(oldest) = oldest else { return };
            self.files.remove(&oldest);
        }
    }
}

impl LogFile {
    /// Appends the batch in one write, to the file that has the name now.
    fn append(&mut self, path: &Path) -> io::Result<()> {
        let named = fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        let current = self.open.as_ref().map(|(_, device, inode)| (*device, *inode));
        if current.is_none() || current != named {
            let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
            let metadata = file.metadata()?;
            self.open = Some((file, metadata.dev(), metadata.ino()));
        }
        match &mut self.open {
            Some((file, _, _)) => file.write_all(&self.lines),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, Method};

    fn record(path: &str) -> Record {
        Record {
            time: 1_767_323_045_678_901,
            error: None,
            method: Method::GET,
            path: path.into(),
            host: "a.b".into(),
            request_id: HeaderValue::from_static("id"),
            forwarded_for: HeaderValue::from_static("::1"),
            target: None,
            connect_ms: 0,
            service_ms: None,
            status: 200,
            bytes: None,
            protocol: "http",
        }
    }

    fn wait_for(path: &Path, text: &str) {
        while !fs::read_to_string(path).unwrap_or_default().contains(text) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_renamed_file_is_left_and_a_new_one_made() {
        let folder = tempfile::tempdir().unwrap();
        let path: Arc<Path> = folder.path().join("log").into();
        let log = AccessLog::start(100).unwrap();
        log.write(&path, record("/first"));
        wait_for(&path, "/first");
        let old = folder.path().join("log.1");
        fs::rename(&path, &old).unwrap();
        log.write(&path, record("/second"));
        log.stop();
        let (old, new) = (fs::read_to_string(old).unwrap(), fs::read_to_string(&path).unwrap());
        assert!(old.contains("/first") && !old.contains("/second"), "{old}");
        assert!(
            new.starts_with("2026-01-02T03:04:05.678901+00:00 heroku[router]: at=info "),
            "{new}"
        );
        assert!(new.contains("/second") && !new.contains("/first"), "{new}");
    }

    #[test]
    fn many_files_many_lines_and_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<Arc<Path>> =
            (0..100).map(|i| folder.path().join(i.to_string()).into()).collect();
        let log = AccessLog::start(10_000).unwrap();
        for line in 0..20 {
            paths.iter().for_each(|path| log.write(path, record(&format!("/{line}."))));
        }
        log.stop();
        for path in &paths {
            let text = fs::read_to_string(path).unwrap();
            assert_eq!(text.lines().count(), 20);
            assert!((0..20).all(|line| text.contains(&format!("\"/{line}.\""))));
        }
        let none = AccessLog::start(0).unwrap();
        let path: Arc<Path> = folder.path().join("none").into();
        none.write(&path, record("/"));
        assert_eq!(none.backlog.dropped.load(Ordering::Relaxed), 1);
        none.stop();
        assert!(!path.exists());
    }
}
