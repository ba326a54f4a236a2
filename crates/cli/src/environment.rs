//! What surrounds a command: variables, folder, terminals, the clock.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Read once at the start, so that tests can give their own.
#[derive(Clone, Debug)]
pub struct Environment {
    pub variables: BTreeMap<String, String>,
    pub directory: PathBuf,
    pub stdin_terminal: bool,
    pub stdout_terminal: bool,
    pub stderr_terminal: bool,
    pub now: jiff::Timestamp,
}

impl Environment {
    /// That of the running process. Variables that are not Unicode are left out.
    pub fn of_process() -> Environment {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Environment {
            variables,
            directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            stdin_terminal: std::io::stdin().is_terminal(),
            stdout_terminal: std::io::stdout().is_terminal(),
            stderr_terminal: std::io::stderr().is_terminal(),
            now: jiff::Timestamp::now(),
        }
    }

    /// Whether somebody sits at a terminal who can be asked.
    pub fn is_person(&self) -> bool {
        self.stdin_terminal && self.stderr_terminal
    }

    /// A variable's value; an empty one counts as not set.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(name)?;
        (!value.is_empty()).then_some(value.as_str())
    }

    /// `NO_COLOR` (any value) and `TERM=dumb` switch colours off.
    pub fn colours_wanted(&self) -> bool {
        self.variable("NO_COLOR").is_none() && self.variable("TERM") != Some("dumb")
    }

    /// The user's home folder, if there is one.
    pub fn home(&self) -> Option<&Path> {
        self.variable("HOME").map(Path::new)
    }

    /// Where logins are stored: `$XDG_CONFIG_HOME/windlass/config.toml`, else under `~/.config`.
    pub fn config_file(&self) -> Option<PathBuf> {
        let base = match self.variable("XDG_CONFIG_HOME").map(Path::new) {
            Some(base) if base.is_absolute() => base.to_owned(),
            _ => self.home()?.join(".config"),
        };
        Some(base.join("windlass").join("config.toml"))
    }

    /// Finds a program in `PATH`.
    pub fn find_program(&self, name: &str) -> Option<PathBuf> {
        std::env::split_paths(self.variable("PATH")?)
            .map(|folder| folder.join(name))
            .find(|candidate| candidate.is_file())
    }
}
