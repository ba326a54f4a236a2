//! Files copied from an instance: as much of SFTP as Heroku's `ps:copy` needs. They are read by a
//! process inside, so that nothing else can be.

use super::packet::{self, Attributes, Request, Status};
use crate::ssh::Gone;
use bytes::{Buf, Bytes, BytesMut};
use russh::server::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use std::collections::HashMap;
use tokio::sync::mpsc;
use windlass_control::Platform;
use windlass_control::run::{ExecLine, ExecRequest, ExecSession};
use windlass_core::driver::{AttachedInput, AttachedOutput};

/// The first line says what the file is, the rest is its content from byte `$2` on, counted from 1.
const SCRIPT: &str = r#"[ -f "$1" ] || exit 1
stat -L -c '%s %f %Y' -- "$1" && exec tail -c "+$2" -- "$1""#;
/// Files that may be open at once.
const MAXIMUM_OPEN: usize = 4;
/// The most that is read at once, in bytes.
const LONGEST_READ: usize = 64 * 1024;
/// How much of a file is kept behind the furthest byte that was asked for, and how far ahead one may
/// ask: clients have many requests under way, and ask for the ends of large pieces later.
const WINDOW: usize = 4 << 20;
/// The first line is not longer.
const LONGEST_LINE: usize = 128;

/// Answers requests until the client has no more.
pub(super) async fn serve(
    platform: &Platform,
    session: &ExecSession,
    mut reader: ChannelReadHalf,
    writer: &ChannelWriteHalf<Msg>,
) -> Result<(), Gone> {
    let mut files = Files { platform, session, open: HashMap::new(), next: 0 };
    let mut input = BytesMut::new();
    loop {
        match packet::take(&mut input) {
            Ok(Some(request)) => writer.data_bytes(files.answer(request).await).await?,
            Ok(None) => match reader.wait().await {
                Some(ChannelMsg::Data { data }) => input.extend_from_slice(&data),
                Some(ChannelMsg::Eof) => return Ok(()),
                Some(ChannelMsg::Close) | None => return Err(Gone),
                Some(_) => {}
            },
            Err(packet::Malformed) => return Ok(()),
        }
    }
}

struct Files<'a> {
    platform: &'a Platform,
    session: &'a ExecSession,
    open: HashMap<u32, File>,
    next: u32,
}

/// A file that is being read from its start to its end.
struct File {
    path: String,
    attributes: Attributes,
    content: Content,
}

/// What a process inside reads out; dropping it ends the process.
struct Content {
    output: mpsc::Receiver<AttachedOutput>,
    _input: mpsc::Sender<AttachedInput>,
    /// What was read last.
    window: BytesMut,
    /// Where in the file that begins.
    begin: u64,
    ended: bool,
}

impl Files<'_> {
    async fn answer(&mut self, request: Request) -> Bytes {
        match request {
            Request::Init => packet::version(),
            Request::Open { id, path } => self.open(id, path).await,
            Request::Close { id, handle } => match self.open.remove(&handle) {
                Some(_) => packet::status(id, Status::Ok),
                None => packet::status(id, Status::Failure),
            },
            Request::Read { id, handle, offset, length } => {
                self.read(id, handle, offset, length).await
            }
            Request::StatOpen { id, handle } => match self.open.get(&handle) {
                Some(file) => packet::attributes(id, file.attributes),
                None => packet::status(id, Status::Failure),
            },
            Request::Stat { id, path } => match self.start(&path, 0).await {
                Some((attributes, _)) => packet::attributes(id, attributes),
                None => packet::status(id, Status::NoSuchFile),
            },
            Request::Write { id } => packet::status(id, Status::Denied),
            Request::Other { id } => packet::status(id, Status::Unsupported),
        }
    }

    async fn open(&mut self, id: u32, path: String) -> Bytes {
        if self.open.len() >= MAXIMUM_OPEN {
            return packet::status(id, Status::Failure);
        }
        let Some((attributes, content)) = self.start(&path, 0).await else {
            return packet::status(id, Status::NoSuchFile);
        };
        let handle = self.next;
        self.next += 1;
        self.open.insert(handle, File { path, attributes, content });
        packet::opened(id, handle)
    }

    async fn read(&mut self, id: u32, handle: u32, offset: u64, length: u32) -> Bytes {
        let Some(mut file) = self.open.remove(&handle) else {
            return packet::status(id, Status::Failure);
        };
        if !file.content.reaches(offset) {
            match self.start(&file.path, offset).await {
                Some((_, content)) => file.content = content,
                None => return packet::status(id, Status::Failure),
            }
        }
        let piece = file.content.read(offset, (length as usize).min(LONGEST_READ)).await;
        self.open.insert(handle, file);
        match piece {
            Some(piece) if piece.is_empty() => packet::status(id, Status::EndOfFile),
            Some(piece) => packet::data(id, &piece),
            None => packet::status(id, Status::Failure),
        }
    }

    /// Starts to read a file from `offset` on; `None` if there is no such file, or it may not be
    /// read.
    async fn start(&self, path: &str, offset: u64) -> Option<(Attributes, Content)> {
        let from = offset.checked_add(1)?.to_string();
        let words = ["sh", "-c", SCRIPT, "copy", path, &from].map(str::to_owned);
        let request = ExecRequest {
            command: ExecLine::Words(words.into()),
            environment: [].into(),
            terminal: None,
        };
        let doing = format!("Copying {path} from");
        let attached = self.platform.exec_in_session(self.session, request, &doing).await.ok()?;
        let mut content = Content {
            output: attached.output,
            _input: attached.input,
            window: BytesMut::new(),
            begin: offset,
            ended: false,
        };
        let attributes = content.first_line().await?;
        Some((attributes, content))
    }
}

impl Content {
    /// Returns whether that place can be read without beginning anew.
    fn reaches(&self, offset: u64) -> bool {
        let end = self.begin + self.window.len() as u64 + WINDOW as u64;
        (self.begin..=end).contains(&offset)
    }

    /// Waits for more, or the end. `None` if the process has failed.
    async fn more(&mut self) -> Option<()> {
        match self.output.recv().await {
            Some(AttachedOutput::Stdout(bytes)) => self.window.extend_from_slice(&bytes),
            Some(AttachedOutput::Stderr(_)) => {}
            Some(AttachedOutput::Exited(status)) if status.code == 0 => self.ended = true,
            Some(AttachedOutput::Exited(_)) | None => return None,
        }
        Some(())
    }

    async fn first_line(&mut self) -> Option<Attributes> {
        loop {
            if let Some(end) = self.window.iter().position(|byte| *byte == b'\n') {
                let line = self.window.split_to(end);
                self.window.advance(1);
                return parse(std::str::from_utf8(&line).ok()?);
            }
            if self.ended || self.window.len() > LONGEST_LINE {
                return None;
            }
            self.more().await?;
        }
    }

    /// Returns what is there, less than `length` bytes only at the end. It must
    /// [reach](Self::reaches) there.
    async fn read(&mut self, offset: u64, length: usize) -> Option<Bytes> {
        let start = usize::try_from(offset.checked_sub(self.begin)?).ok()?;
        while self.window.len() < start + length && !self.ended {
            self.more().await?;
        }
        let end = (start + length).min(self.window.len());
        let piece = Bytes::copy_from_slice(&self.window[start.min(end)..end]);
        let surplus = self.window.len().saturating_sub(WINDOW);
        self.window.advance(surplus);
        self.begin += surplus as u64;
        Some(piece)
    }
}

/// Reads what `stat` says: size, kind and permissions in hexadecimal digits, time of change.
fn parse(line: &str) -> Option<Attributes> {
    let mut words = line.split(' ');
    let size = words.next()?.parse().ok()?;
    let mode = u32::from_str_radix(words.next()?, 16).ok()?;
    let modified: u64 = words.next()?.parse().ok()?;
    let modified = u32::try_from(modified).unwrap_or(u32::MAX);
    words.next().is_none().then_some(Attributes { size, mode, modified })
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_core::instance::ExitStatus;

    fn exited(code: i32) -> AttachedOutput {
        AttachedOutput::Exited(ExitStatus {
            code,
            out_of_memory: false,
            out_of_processes: false,
            reason: None,
            at_ms: 0,
        })
    }

    async fn content(events: Vec<AttachedOutput>) -> Content {
        let (sender, output) = mpsc::channel(events.len().max(1));
        for event in events {
            sender.send(event).await.unwrap();
        }
        let (input, _) = mpsc::channel(1);
        let window = BytesMut::new();
        Content { output, _input: input, window, begin: 0, ended: false }
    }

    fn said(text: &'static str) -> AttachedOutput {
        AttachedOutput::Stdout(Bytes::from(text))
    }

    #[tokio::test]
    async fn a_file_is_read_in_pieces_as_they_are_asked_for() {
        let events =
            vec![said("11 81"), said("a4 1700000000\nhel"), said("lo "), said("world"), exited(0)];
        let mut content = content(events).await;
        let file = content.first_line().await.unwrap();
        assert_eq!(file, Attributes { size: 11, mode: 0o100_644, modified: 1_700_000_000 });
        assert_eq!(content.read(0, 4).await.unwrap(), "hell");
        assert_eq!(content.read(6, 3).await.unwrap(), "wor", "ahead");
        assert_eq!(content.read(4, 4).await.unwrap(), "o wo", "and behind");
        assert_eq!(content.read(8, 400).await.unwrap(), "rld");
        assert_eq!(content.read(11, 4).await.unwrap(), "");
        assert_eq!(content.read(400, 4).await.unwrap(), "");
    }

    #[tokio::test]
    async fn only_so_much_of_a_file_is_kept() {
        let piece = || AttachedOutput::Stdout(Bytes::from(vec![b'x'; WINDOW]));
        let mut content = content(vec![said("9 81a4 1\n"), piece(), piece(), exited(0)]).await;
        assert!(content.first_line().await.is_some());
        assert!(content.reaches(0) && content.reaches(WINDOW as u64));
        assert!(!content.reaches(WINDOW as u64 + 1), "too far ahead");
        assert_eq!(content.read(WINDOW as u64, 5).await.unwrap(), "xxxxx");
        assert_eq!(content.window.len(), WINDOW);
        assert!(!content.reaches(0) && content.reaches(WINDOW as u64));
        assert_eq!(content.read(2 * WINDOW as u64 - 2, 5).await.unwrap(), "xx");
    }

    #[tokio::test]
    async fn a_reader_that_fails_is_no_end_of_the_file() {
        let mut missing = content(vec![exited(1)]).await;
        assert!(missing.first_line().await.is_none());
        let mut cut = content(vec![said("9 81a4 1\nabc"), exited(137)]).await;
        assert_eq!(cut.first_line().await.unwrap().size, 9);
        assert!(cut.read(0, 9).await.is_none());
    }

    #[test]
    fn only_what_stat_says_is_read() {
        for line in ["", "1", "1 2", "1 xyz 3", "-1 81a4 3", "1 81a4 3 4"] {
            assert!(parse(line).is_none(), "{line}");
        }
    }
}
