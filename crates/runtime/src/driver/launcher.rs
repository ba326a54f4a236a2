//! Starting shims: from a sealed copy of this program in memory, so that no container can change
//! the file through `/proc/self/exe` and an upgrade in place does not pull it away.

use crate::RuntimeError;
use crate::frame::{Decoder, Kind};
use crate::launch::{LOCK_FILE, Report, SHIM_LOG_FILE};
use crate::shim::EXEC;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MemFdCreateFlag, memfd_create};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

/// How often sealing is tried, and how long between; the kernel itself waits some 0.2 s each time.
const SEAL_ATTEMPTS: u32 = 20;
const SEAL_PAUSE: Duration = Duration::from_millis(50);

/// How long a shim may take until its instance runs or has failed.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Closes the copy to all changes. The kernel refuses with `EBUSY` while anybody holds a page of it,
/// as its own memory management does now and then on a busy machine.
fn seal(file: &File) -> io::Result<()> {
    let mut attempt = 1;
    loop {
        match fcntl(file.as_raw_fd(), FcntlArg::F_ADD_SEALS(SealFlag::all())) {
            Ok(_) => return Ok(()),
            Err(Errno::EBUSY) if attempt < SEAL_ATTEMPTS => std::thread::sleep(SEAL_PAUSE),
            Err(error) => return Err(error.into()),
        }
        attempt += 1;
    }
}

/// The sealed copy.
pub struct ShimProgram(OwnedFd);

impl ShimProgram {
    /// Copies `executable`, or the running program.
    pub fn copy(executable: Option<&Path>) -> Result<Self, RuntimeError> {
        let path = executable.unwrap_or(Path::new("/proc/self/exe"));
        let copy = || -> io::Result<OwnedFd> {
            let flags = MemFdCreateFlag::MFD_CLOEXEC | MemFdCreateFlag::MFD_ALLOW_SEALING;
            let file = File::from(memfd_create(c"windlass", flags)?);
            io::copy(&mut File::open(path)?, &mut &file)?;
            seal(&file)?;
            Ok(file.into())
        };
        copy().map(Self).map_err(RuntimeError::io("make a sealed copy of", path))
    }

    /// Returns a command that starts the program as a shim with this word.
    pub fn command(&self, word: &str) -> Command {
        let mut command = Command::new(format!("/proc/self/fd/{}", self.0.as_raw_fd()));
        command.arg0("windlass").arg("shim").arg(word).env_clear();
        command
    }

    /// Starts the shim of the instance in `directory`. Returns it and our end of its socket.
    pub fn spawn(&self, directory: &Path) -> io::Result<(Child, UnixStream)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        // Locked by us and handed over: there is no moment at which the shim lives unlocked.
        let lock = File::create(directory.join(LOCK_FILE))?;
        lock.lock()?;
        let child = Command::new(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
            .arg0("windlass")
            .arg("shim")
            .arg(directory)
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .stdout(lock)
            .stderr(File::create(directory.join(SHIM_LOG_FILE))?)
            .spawn()?;
        Ok((child, UnixStream::from_std(ours)?))
    }

    /// Starts a shim for a command beside the instance in `directory`. Returns it and our end of
    /// its socket.
    pub fn spawn_exec(&self, directory: &Path) -> io::Result<(Child, UnixStream)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let log = File::options().append(true).create(true).open(directory.join(SHIM_LOG_FILE))?;
        let child = self
            .command(EXEC)
            .arg(directory)
            .stdin(OwnedFd::from(theirs))
            .stdout(std::process::Stdio::null())
            .stderr(log)
            .spawn()?;
        Ok((child, UnixStream::from_std(ours)?))
    }
}

/// Waits for the shim's report. The decoder is returned with what came after it.
pub async fn read_report(
    socket: &mut UnixStream,
    directory: &Path,
) -> Result<(Report, Decoder), String> {
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; 4096];
    let read = async {
        loop {
            match decoder.next().map_err(|error| error.to_string())? {
                Some((Kind::Report, payload)) => {
                    return serde_json::from_slice(&payload).map_err(|error| error.to_string());
                }
                Some((kind, _)) => return Err(format!("the shim sent {kind:?} before its report")),
                None => {}
            }
            match socket.read(&mut buffer).await {
                Ok(length @ 1..) => decoder.push(&buffer[..length]),
                _ => {
                    let said = std::fs::read_to_string(directory.join(SHIM_LOG_FILE));
                    let said = said.unwrap_or_default();
                    return Err(format!("its shim ended without a report. {}", said.trim()));
                }
            }
        }
    };
    match tokio::time::timeout(START_LIMIT, read).await {
        Ok(result) => result.map(|report| (report, decoder)),
        Err(_) => Err(format!("its shim did not report within {} s", START_LIMIT.as_secs())),
    }
}
