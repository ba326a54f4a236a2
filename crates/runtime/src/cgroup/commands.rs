//! Groups of commands that are run beside an instance's own processes, below its group.
//!
//! They have no limits of their own, so those of the instance hold for both together; they are
//! there so that all processes of a command can be found and killed, those included that have
//! left its session. Version 1 needs the group in one tree only, that of the processes' numbers;
//! version 2 allows it beside processes because it hands no controllers down.

use super::{Cgroup, Hierarchies, make_directory};
use std::fs::File;
use std::io;
use std::path::PathBuf;

impl Cgroup {
    /// Returns the group of the command `name`.
    #[must_use]
    pub fn of_command(&self, name: &str) -> Self {
        Self { hierarchies: self.hierarchies.clone(), path: format!("{}/{name}", self.path) }
    }

    /// Makes the group of a command. Returns it and the files through which a process enters it
    /// and every other group of the instance.
    pub fn create_for_command(&self, name: &str) -> io::Result<(Self, Vec<File>)> {
        let group = self.of_command(name);
        make_directory(&group.file("pids", ""))?;
        let own = self.file("pids", "");
        let mut entrances = Vec::new();
        for directory in self.hierarchies.directories(&self.path) {
            let is_counted = matches!(self.hierarchies, Hierarchies::V2(_)) || directory == own;
            let directory = if is_counted { group.file("pids", "") } else { directory };
            match File::options().write(true).open(directory.join("cgroup.procs")) {
                // A tree in which the instance has no group.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !is_counted => {}
                other => entrances.push(other?),
            }
        }
        Ok((group, entrances))
    }

    /// Returns the directories of all commands' groups, by which processes are counted.
    pub(super) fn command_directories(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.file("pids", "")).into_iter().flatten().flatten();
        let directories = entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()));
        directories.map(|entry| entry.path()).collect()
    }
}
