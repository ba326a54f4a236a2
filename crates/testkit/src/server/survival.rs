//! What happens to servers: reboots, restored backups, another process in their place.

use super::{State, TestServer, Unavailable, borrow_stack, new_directory, spawn};
use crate::leftovers;
use crate::wait_until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

fn processes(is_meant: impl Fn(u32, &str, &str) -> bool) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let read = |file: &str| {
            let bytes = std::fs::read(entry.path().join(file)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        is_meant(pid, &read("cmdline"), &read("cgroup")).then_some(pid)
    });
    found.collect()
}

impl TestServer {
    /// Starts a server on what `restore` has put into its data directory, with a token that is
    /// valid there. `restore` gets the directory and the server's flags.
    pub fn start_restored(
        binary: &Path,
        token: &str,
        restore: impl FnOnce(&Path, &[String]),
    ) -> Result<Arc<Self>, Unavailable> {
        let directory = new_directory();
        let options = super::options(&directory, &[]);
        restore(&directory.join("data"), &options);
        borrow_stack(&directory)?;
        std::fs::create_dir_all(directory.join("home")).unwrap();
        let (child, ready) = spawn(binary, &directory, &options);
        Ok(Arc::new(Self {
            binary: binary.to_owned(),
            directory,
            options,
            token: token.to_owned(),
            state: Mutex::new(State { child: Some(child), ready }),
            failed: AtomicBool::new(false),
        }))
    }

    /// Returns the pids of all routers: the one that serves and those that end with what they have
    /// in flight.
    #[must_use]
    pub fn router_pids(&self) -> Vec<u32> {
        let socket = self.run_directory().join("router.sock").display().to_string();
        processes(|_, command, _| command.contains(" router ") && command.contains(&socket))
    }

    /// Ends all processes of a server that was killed, and empties its run directory: what a
    /// reboot does.
    pub fn end_everything_of_the_run(&self) {
        let group = format!("windlass-{}", leftovers::name_of(&self.data_directory()));
        let run: PathBuf = self.run_directory();
        let run_text = run.display().to_string();
        let ours = || {
            processes(|pid, command, groups| {
                pid != std::process::id()
                    && (command.contains(&run_text) || groups.contains(&group))
            })
        };
        wait_until("all processes to end", LIMIT, || {
            let pids = ours();
            for pid in &pids {
                let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            }
            pids.is_empty()
        });
        std::fs::remove_dir_all(&run).unwrap();
    }

    /// Returns a subcommand of `windlass backup`, with this server's data directory.
    #[must_use]
    pub fn backup_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare_client(&[]);
        command.arg("backup").args(arguments);
        command.arg("--data-directory").arg(self.data_directory());
        command
    }

    /// Takes over from a server process that somebody else has started in place of ours: ends it
    /// and starts our own.
    pub fn adopt(&self) {
        if let Some(mut child) = self.state().child.take() {
            let _ = child.wait();
        }
        let ready = std::fs::read(self.run_directory().join("ready.json")).unwrap();
        let ready: serde_json::Value = serde_json::from_slice(&ready).unwrap();
        let pid = i32::try_from(ready["pid"].as_i64().unwrap()).unwrap();
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        let stat = format!("/proc/{pid}/stat");
        wait_until("the other server to end", LIMIT, || {
            std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))
        });
        self.start_again();
    }
}
