//! A reader of an app's log at a place of its own, which it can keep.

use super::log_store::older_segments;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Read at once when lines are skipped, in bytes.
const SKIP_BYTES: u64 = 256 << 10;

/// A place between two lines of a log: the file by its inode, since files are renamed, and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogPosition {
    inode: u64,
    offset: u64,
}

impl std::fmt::Display for LogPosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.inode, self.offset)
    }
}

impl FromStr for LogPosition {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (inode, offset) = text.trim().split_once(' ').unwrap_or((text, ""));
        Ok(Self { inode: inode.parse()?, offset: offset.parse()? })
    }
}

/// Reads whole lines from a place on, across renames of the log's files.
#[derive(Debug)]
pub(crate) struct LogReader {
    current: PathBuf,
    /// `None` while the log has no file.
    file: Option<(File, u64)>,
    offset: u64,
}

/// Lines that were skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Skipped {
    pub(crate) lines: u64,
    /// The time of the first one.
    pub(crate) since: Option<String>,
}

impl LogReader {
    /// Begins after what is in the log now.
    pub(crate) fn at_end(current: &Path) -> io::Result<Self> {
        let mut reader = Self { current: current.to_owned(), file: None, offset: 0 };
        reader.file = open(current)?;
        if let Some((file, _)) = &reader.file {
            reader.offset = last_line_end(file)?;
        }
        Ok(reader)
    }

    /// Goes on at a place; at the oldest line if that is not in the log any more.
    pub(crate) fn at(current: &Path, position: LogPosition) -> io::Result<Self> {
        let mut reader = Self { current: current.to_owned(), file: None, offset: 0 };
        for segment in reader.segments() {
            let Some((file, inode)) = open(&segment)? else { continue };
            if inode == position.inode {
                // Another file may have got the number meanwhile.
                let fits = position.offset <= file.metadata()?.len()
                    && is_line_end(&file, position.offset)?;
                reader.offset = if fits { position.offset } else { 0 };
                reader.file = Some((file, inode));
                return Ok(reader);
            }
        }
        reader.file = reader.segments().iter().find_map(|segment| open(segment).ok().flatten());
        Ok(reader)
    }

    /// Returns where the next line begins.
    pub(crate) fn position(&self) -> Option<LogPosition> {
        self.file.as_ref().map(|(_, inode)| LogPosition { inode: *inode, offset: self.offset })
    }

    /// Returns whole lines from the place on, about so many bytes, without going on; empty: there
    /// are none yet.
    pub(crate) fn peek(&mut self, bytes: usize) -> io::Result<String> {
        loop {
            let Some((file, inode)) = &self.file else {
                self.file = open(&self.current)?;
                self.offset = 0;
                if self.file.is_none() {
                    return Ok(String::new());
                }
                continue;
            };
            let mut buffer = vec![0; bytes];
            let count = file.read_at(&mut buffer, self.offset)?;
            let end =
                buffer[..count].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            if end > 0 {
                buffer.truncate(end);
                return Ok(
                    String::from_utf8(buffer).unwrap_or_else(|error| replaced(error.into_bytes()))
                );
            }
            if count == bytes {
                // No line of ours is as long: it is passed over.
                self.offset += count as u64;
                continue;
            }
            let inode = *inode;
            match self.after(inode)? {
                Some(next) => {
                    self.file = Some(next);
                    self.offset = 0;
                }
                None => return Ok(String::new()),
            }
        }
    }

    /// Goes on by bytes that [`LogReader::peek`] gave.
    pub(crate) fn advance(&mut self, bytes: u64) {
        self.offset += bytes;
    }

    /// Returns how many bytes there are from the place to the end of the log.
    pub(crate) fn behind(&mut self) -> io::Result<u64> {
        if self.file.is_none() {
            self.file = open(&self.current)?;
            self.offset = 0;
        }
        let Some((file, inode)) = &self.file else { return Ok(0) };
        let mut bytes = file.metadata()?.len().saturating_sub(self.offset);
        let mut newer = false;
        for segment in self.segments() {
            let Ok(metadata) = std::fs::metadata(&segment) else { continue };
            if newer {
                bytes += metadata.len();
            }
            newer |= metadata.ino() == *inode;
        }
        Ok(bytes)
    }

    /// Goes on until no more than so many bytes are left.
    pub(crate) fn skip_to(&mut self, left: u64) -> io::Result<Skipped> {
        let mut skipped = Skipped::default();
        loop {
            let surplus = self.behind()?.saturating_sub(left);
            if surplus == 0 {
                return Ok(skipped);
            }
            let text = self.peek(usize::try_from(SKIP_BYTES).unwrap_or(usize::MAX))?;
            let mut passed = 0;
            for line in text.split_inclusive('\n') {
                if passed >= surplus {
                    break;
                }
                passed += line.len() as u64;
                skipped.lines += 1;
                if skipped.since.is_none() {
                    skipped.since = line.split(' ').next().map(str::to_owned);
                }
            }
            if passed == 0 {
                return Ok(skipped);
            }
            self.advance(passed);
        }
    }

    /// Returns the file after the one with this inode, if that is not the current one.
    fn after(&self, inode: u64) -> io::Result<Option<(File, u64)>> {
        let mut found = false;
        let segments = self.segments();
        for segment in &segments {
            let Ok(metadata) = std::fs::metadata(segment) else { continue };
            if found {
                return open(segment);
            }
            found = metadata.ino() == inode;
        }
        // It was removed: what is left begins after it. It may also be the newest: then we wait.
        let first = segments.iter().find(|segment| segment.exists());
        match (found, first) {
            (false, Some(first)) => open(first),
            _ => Ok(None),
        }
    }

    /// The log's files, the oldest first.
    fn segments(&self) -> Vec<PathBuf> {
        let mut segments = older_segments(self.current.parent().unwrap_or(Path::new("")));
        segments.sort();
        segments.push(self.current.clone());
        segments
    }
}

fn replaced(bytes: Vec<u8>) -> String {
    // One byte for each that is not UTF-8, so that lengths stay true.
    bytes.into_iter().map(|byte| if byte.is_ascii() { char::from(byte) } else { '?' }).collect()
}

fn open(path: &Path) -> io::Result<Option<(File, u64)>> {
    match File::open(path) {
        Ok(file) => {
            let inode = file.metadata()?.ino();
            Ok(Some((file, inode)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_line_end(file: &File, offset: u64) -> io::Result<bool> {
    let mut byte = [0];
    Ok(offset == 0 || (file.read_at(&mut byte, offset - 1)? == 1 && byte[0] == b'\n'))
}

/// Where the last whole line ends; writers append whole ones, so that is the end of the file.
fn last_line_end(file: &File) -> io::Result<u64> {
    let end = file.metadata()?.len();
    Ok(if is_line_end(file, end)? { end } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::LogStore;
    use windlass_core::ids::AppId;
    use windlass_core::log_line;

    fn store() -> (tempfile::TempDir, LogStore, AppId) {
        let directory = tempfile::tempdir().unwrap();
        let store = LogStore::new(directory.path().to_owned());
        (directory, store, AppId::random())
    }

    fn rename(current: &Path, number: u32) {
        std::fs::rename(current, current.with_file_name(format!("{number:020}.log"))).unwrap();
    }

    /// Reads all there is, and goes on after it.
    fn messages(reader: &mut LogReader) -> Vec<String> {
        let mut found = Vec::new();
        loop {
            let text = reader.peek(4_096).unwrap();
            if text.is_empty() {
                return found;
            }
            reader.advance(text.len() as u64);
            let message = |line| log_line::parse(line).unwrap().message.to_owned();
            found.extend(text.lines().map(message));
        }
    }

    #[test]
    fn lines_are_read_across_renames_from_a_kept_place_on() {
        let (_directory, store, app) = store();
        let current = store.file(app);
        let mut reader = LogReader::at_end(&current).unwrap();
        assert_eq!(messages(&mut reader), [""; 0], "a log may have no file yet");
        store.append(app, "app[web.1]", "one");
        assert_eq!(messages(&mut reader), ["one"]);
        let mut other = LogReader::at_end(&current).unwrap();
        store.append(app, "app[web.1]", "two");
        rename(&current, 1);
        store.append(app, "app[web.1]", "three");
        rename(&current, 2);
        store.append(app, "app[web.1]", "four");
        let place: LogPosition = reader.position().unwrap().to_string().parse().unwrap();
        assert_eq!(messages(&mut other), ["two", "three", "four"]);
        let mut resumed = LogReader::at(&current, place).unwrap();
        assert!(resumed.behind().unwrap() > 0);
        assert_eq!(messages(&mut resumed), ["two", "three", "four"]);
        assert_eq!(resumed.behind().unwrap(), 0);
        std::fs::remove_file(current.with_file_name(format!("{:020}.log", 1))).unwrap();
        let mut late = LogReader::at(&current, place).unwrap();
        assert_eq!(messages(&mut late), ["three", "four"], "the oldest that is left");
        // Its file is still open, and what comes after it begins with what is left.
        assert_eq!(messages(&mut reader), ["two", "three", "four"]);
    }

    #[test]
    fn looking_does_not_go_on_and_surplus_is_skipped_and_counted() {
        let (_directory, store, app) = store();
        store.append(app, "app[web.1]", "first");
        let mut reader = LogReader::at_end(&store.file(app)).unwrap();
        for number in 0..100 {
            store.append(app, "app[web.1]", &format!("line {number:02}"));
        }
        let text = reader.peek(1_000).unwrap();
        assert_eq!(text, reader.peek(1_000).unwrap());
        let line = text.lines().next().unwrap().len() as u64 + 1;
        assert_eq!(reader.behind().unwrap(), 100 * line);
        assert_eq!(reader.skip_to(200 * line).unwrap(), Skipped::default());
        let skipped = reader.skip_to(10 * line).unwrap();
        assert_eq!(skipped.lines, 90);
        assert_eq!(skipped.since.as_deref(), text.split(' ').next());
        let left = messages(&mut reader);
        assert_eq!((left.len(), left[0].as_str()), (10, "line 90"));
    }

    #[test]
    fn bytes_that_are_no_text_do_not_shift_the_place() {
        let (_directory, store, app) = store();
        let mut reader = LogReader::at_end(&store.file(app)).unwrap();
        std::fs::create_dir_all(store.file(app).parent().unwrap()).unwrap();
        std::fs::write(store.file(app), b"T app[web.1]: \xff\xfe\nT app[web.1]: next\nhalf")
            .unwrap();
        let text = reader.peek(4_096).unwrap();
        assert_eq!(text, "T app[web.1]: ??\nT app[web.1]: next\n");
        reader.advance(text.len() as u64);
        assert_eq!(reader.peek(4_096).unwrap(), "", "half a line is none");
        let odd = LogPosition { inode: reader.position().unwrap().inode, offset: 5 };
        let again = LogReader::at(&store.file(app), odd).unwrap();
        assert_eq!(again.position().unwrap().offset, 0, "not between two lines");
    }
}
