//! Files from and to a process, as tar archives through commands that run inside it.

use crate::attach::{Attachment, Connection, Signals, Sink};
use crate::error::{CliError, Result};
use std::fs;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;
use tar::{Archive, Builder, EntryType};

/// Of what a program complains only so much is kept, in bytes.
const MOST_ERRORS: usize = 4096;

/// One side of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Process { name: String, path: String },
    Here(PathBuf),
}

impl Place {
    /// `web.1:/path` is a process's; `./web.1:x` is a file here.
    pub fn parse(text: &str) -> Place {
        let process = text.split_once(':').filter(|(name, path)| {
            let number = name.rsplit_once('.').filter(|(kind, _)| !kind.is_empty());
            let word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !path.is_empty()
                && name.chars().all(word)
                && number.is_some_and(|(_, number)| number.parse::<u32>().is_ok())
        });
        match process {
            Some((name, path)) => Place::Process { name: name.to_owned(), path: path.to_owned() },
            None => Place::Here(text.into()),
        }
    }
}

/// Splits a path inside a process into its folder and its name.
fn split(path: &str) -> Result<(String, String)> {
    let trimmed = path.trim_end_matches('/');
    let (folder, name) = match trimmed.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((folder, name)) => (folder, name),
        None => (".", trimmed),
    };
    if matches!(name, "" | "." | "..") {
        let message = format!("{path} cannot be copied as a whole.");
        return Err(CliError::usage(message).hint("Name a file or folder in it."));
    }
    Ok((folder.to_owned(), name.to_owned()))
}

/// What a program inside says, kept apart.
struct Collector<W> {
    out: W,
    errors: Vec<u8>,
}

impl<W: Write> Sink for Collector<W> {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    fn err(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = MOST_ERRORS.saturating_sub(self.errors.len());
        self.errors.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(())
    }
}

/// Runs a program to its end. Returns its exit code and what it complained of.
fn drive(connection: Connection, input: &PipeReader, out: impl Write) -> (Result<u8>, String) {
    let mut collector = Collector { out, errors: Vec::new() };
    let code = Signals::take()
        .map_err(|error| CliError::file("Could not set up signals", &error))
        .and_then(|signals| {
            Attachment::new(connection, input.as_fd(), signals, false).run(&mut collector)
        });
    (code, String::from_utf8_lossy(&collector.errors).trim().to_owned())
}

fn check(name: &str, code: u8, errors: &str) -> Result<()> {
    if code == 0 {
        return Ok(());
    }
    let last = errors.lines().find(|line| !line.is_empty()).unwrap_or("it did not say why");
    Err(CliError::general(format!("tar in {name} ended with status {code}: {last}")))
}

/// An input that has ended.
fn no_input() -> Result<PipeReader> {
    Ok(io::pipe().map_err(|error| CliError::file("Could not make a pipe", &error))?.0)
}

/// From a process to here.
pub struct Download {
    folder: String,
    name: String,
    target: PathBuf,
    /// Beside the target; what arrives is unpacked here first.
    staging: PathBuf,
}

impl Drop for Download {
    fn drop(&mut self) {
        if self.staging.is_dir()
            && let Err(error) = fs::remove_dir_all(&self.staging)
        {
            eprintln!("{} was left behind: {error}", self.staging.display());
        }
    }
}

impl Download {
    /// Looks where the copy goes: into a folder that is there, else to that very name.
    pub fn new(path: &str, local: &Path) -> Result<Download> {
        let (folder, name) = split(path)?;
        let target = if local.is_dir() { local.join(&name) } else { local.to_owned() };
        if target.is_dir() {
            return Err(CliError::usage(format!("{} is there already.", target.display()))
                .hint("Name another folder."));
        }
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let staging = parent.join(format!(".windlass-copy-{}", std::process::id()));
        Ok(Download { folder, name, target, staging })
    }

    /// Gives the number of files.
    pub fn run(
        self,
        process: &str,
        start: impl FnOnce(&[&str]) -> Result<Connection>,
    ) -> Result<usize> {
        let member = format!("./{}", self.name);
        let connection = start(&["tar", "-cf", "-", "-C", &self.folder, &member])?;
        let here = |error: io::Error| {
            CliError::file(format!("Could not write {}", self.target.display()), &error)
        };
        fs::create_dir(&self.staging).map_err(here)?;
        let input = no_input()?;
        let (reader, writer) = io::pipe().map_err(here)?;
        let (unpacked, ran) = thread::scope(|scope| {
            let unpacking = scope.spawn(|| unpack(reader, &self.staging));
            let ran = drive(connection, &input, writer);
            (unpacking.join().unwrap_or_else(|_| Err(io::Error::other("it broke off"))), ran)
        });
        let (code, errors) = ran;
        // The program's own words first: an archive that breaks off follows from them.
        match (code, unpacked) {
            (Ok(0), unpacked) => {
                let files = unpacked.map_err(here)?;
                fs::rename(self.staging.join(&self.name), &self.target).map_err(here)?;
                Ok(files)
            }
            (Ok(code), _) => check(process, code, &errors).map(|()| 0),
            (Err(_), Err(error)) => Err(here(error)),
            (Err(error), Ok(_)) => Err(error),
        }
    }
}

/// Unpacks files, folders and links below `folder`, never outside of it; all else is left out.
fn unpack(mut reader: PipeReader, folder: &Path) -> io::Result<usize> {
    let mut files = 0;
    let mut archive = Archive::new(&mut reader);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        let known = [EntryType::Regular, EntryType::Directory, EntryType::Symlink, EntryType::Link];
        if known.contains(&kind) || kind == EntryType::Continuous {
            entry.unpack_in(folder)?;
            files += usize::from(!kind.is_dir());
        }
    }
    // Padding after the end, which the sender must be able to write.
    io::copy(&mut reader, &mut io::sink())?;
    Ok(files)
}

/// From here to a process.
pub struct Upload {
    local: PathBuf,
    path: String,
}

impl Upload {
    pub fn new(local: &Path, path: &str) -> Result<Upload> {
        let what = format!("Could not read {}", local.display());
        fs::symlink_metadata(local).map_err(|error| CliError::file(&what, &error))?;
        Ok(Upload { local: local.to_owned(), path: path.to_owned() })
    }

    /// Gives the number of files. As `cp` does, it copies into a folder that is there, else to
    /// that very name.
    pub fn run(
        self,
        process: &str,
        start: impl Fn(&[&str]) -> Result<Connection>,
    ) -> Result<usize> {
        let is_folder = self.path.ends_with('/')
            || match start(&["test", "-d", &self.path]) {
                Ok(connection) => drive(connection, &no_input()?, io::sink()).0? == 0,
                // An image without it: then the name is taken as it is.
                Err(error) if error.message.contains("no such command") => false,
                Err(error) => return Err(error),
            };
        let (folder, name) = match is_folder {
            true => (self.path.clone(), self.own_name()?),
            false => split(&self.path)?,
        };
        let connection = start(&["tar", "-xof", "-", "-C", &folder])?;
        let here = |error: io::Error| {
            CliError::file(format!("Could not read {}", self.local.display()), &error)
        };
        let (reader, writer) = io::pipe().map_err(here)?;
        let (packed, (code, errors)) = thread::scope(|scope| {
            let packing = scope.spawn(|| pack(writer, &self.local, &name));
            let ran = drive(connection, &reader, io::sink());
            // The thread must not wait for a reader that has given up.
            drop(reader);
            (packing.join().unwrap_or_else(|_| Err(io::Error::other("it broke off"))), ran)
        });
        check(process, code?, &errors)?;
        packed.map_err(here)
    }

    fn own_name(&self) -> Result<String> {
        let path = self.local.canonicalize();
        let path = path.map_err(|error| CliError::file("Could not read the file", &error))?;
        let name = self.local.file_name().or_else(|| path.file_name()).and_then(|n| n.to_str());
        name.map(str::to_owned)
            .ok_or_else(|| CliError::usage(format!("{} has no name.", self.local.display())))
    }
}

fn pack(writer: PipeWriter, local: &Path, name: &str) -> io::Result<usize> {
    let mut archive = Builder::new(writer);
    archive.follow_symlinks(false);
    let files = if local.is_dir() {
        archive.append_dir_all(name, local)?;
        count(local)?
    } else {
        archive.append_path_with_name(fs::canonicalize(local)?, name)?;
        1
    };
    archive.into_inner()?.flush()?;
    Ok(files)
}

fn count(folder: &Path) -> io::Result<usize> {
    let mut files = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        files += if entry.file_type()?.is_dir() { count(&entry.path())? } else { 1 };
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        let process = |name: &str, path: &str| Place::Process {
            name: name.to_owned(),
            path: path.to_owned(),
        };
        assert_eq!(Place::parse("web.1:/app/x"), process("web.1", "/app/x"));
        assert_eq!(Place::parse("my-web.12:log:1"), process("my-web.12", "log:1"));
        for text in ["file", "./web.1:x", "web:x", "web.1:", "web.x:/y", ".1:/x", "C.1/a:b"] {
            assert_eq!(Place::parse(text), Place::Here(text.into()), "{text}");
        }
    }

    #[test]
    fn paths_inside_are_split() {
        let parts = |path: &str| split(path).ok();
        let is = |folder: &str, name: &str| Some((folder.to_owned(), name.to_owned()));
        assert_eq!(parts("/app/log.txt"), is("/app", "log.txt"));
        assert_eq!(parts("/etc/"), is("/", "etc"));
        assert_eq!(parts("log"), is(".", "log"));
        for path in ["/", "//", ".", "/app/..", "./"] {
            assert_eq!(parts(path), None, "{path}");
        }
    }

    #[test]
    fn what_arrives_stays_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("inside");
        fs::create_dir(&inside).unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        let mut archive = Builder::new(Vec::new());
        let mut add = |name: &str, kind: EntryType, link: Option<&str>| {
            let mut header = tar::Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(kind);
            header.set_size(if kind == EntryType::Regular { 2 } else { 0 });
            header.set_mode(0o4755);
            if let Some(link) = link {
                header.set_link_name(link).unwrap();
            }
            header.set_cksum();
            archive
                .append(&header, if kind == EntryType::Regular { &b"hi"[..] } else { b"" })
                .unwrap();
        };
        add("./good", EntryType::Regular, None);
        add("../bad", EntryType::Regular, None);
        add("fifo", EntryType::Fifo, None);
        let sending = archive.into_inner().unwrap();
        let thread = thread::spawn(move || writer.write_all(&sending));
        unpack(reader, &inside).unwrap();
        thread.join().unwrap().unwrap();
        assert_eq!(fs::read(inside.join("good")).unwrap(), b"hi");
        assert!(!inside.join("fifo").exists());
        assert!(!folder.path().join("bad").exists());
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(inside.join("good")).unwrap().permissions(),
        );
        assert_eq!(mode & 0o7000, 0);

        // A link that leads out is kept, but nothing is written through it.
        let mut archive = Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        archive.append_link(&mut header, "out", folder.path()).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        archive.append_data(&mut header, "out/through", &b"hi"[..]).unwrap();
        let sending = archive.into_inner().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        let thread = thread::spawn(move || writer.write_all(&sending));
        assert!(unpack(reader, &inside).is_err());
        let _ = thread.join().unwrap();
        assert!(!folder.path().join("through").exists());
    }
}
