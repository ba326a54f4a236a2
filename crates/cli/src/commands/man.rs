//! `windlass man`

use crate::error::{CliError, Result};
use crate::session::Session;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, clap::Args)]
pub struct Man {
    /// The command whose page is printed [default: that of all]
    command: Option<String>,
    /// Write the pages of all commands into this folder instead
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    directory: Option<PathBuf>,
}

impl Man {
    pub fn run(self, session: &mut Session, root: fn() -> clap::Command) -> Result<()> {
        let root = root();
        if let Some(folder) = &self.directory {
            let written = write_all(&root, folder)?;
            return session.output.note(format!("Wrote {written} pages to {}", folder.display()));
        }
        let page = match &self.command {
            None => page(root, "windlass")?,
            Some(name) => {
                let named = |command: &&clap::Command| {
                    command.get_name() == name
                        || command.get_all_aliases().any(|alias| alias == name)
                };
                let found = root.get_subcommands().find(named).cloned().ok_or_else(|| {
                    CliError::usage(format!("There is no command {name}."))
                        .hint("`windlass help` lists them.")
                })?;
                let title = format!("windlass {}", found.get_name());
                self::page(found, &title)?
            }
        };
        session.output.bytes(&page)?;
        Ok(())
    }
}

/// Writes `windlass.1` and `windlass-config-set.1` and so on; returns how many.
fn write_all(root: &clap::Command, folder: &Path) -> Result<usize> {
    let unwritable = |error: std::io::Error| {
        CliError::file(format!("Could not write {}", folder.display()), &error)
    };
    fs::create_dir_all(folder).map_err(unwritable)?;
    let mut written = 1;
    fs::write(folder.join("windlass.1"), page(root.clone(), "windlass")?).map_err(unwritable)?;
    for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = command.get_name();
        let file = folder.join(format!("windlass-{}.1", name.replace(':', "-")));
        fs::write(file, page(command.clone(), &format!("windlass {name}"))?).map_err(unwritable)?;
        written += 1;
    }
    Ok(written)
}

/// Returns a page in roff. Commands keep the name by which they are called: `windlass config:set`.
fn page(command: clap::Command, name: &str) -> Result<Vec<u8>> {
    // clap wants names that live as long as the program; these are made once in it.
    let name: &'static str = name.to_owned().leak();
    let command = command.name(name).bin_name(name).version(env!("CARGO_PKG_VERSION"));
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .title(name.replace([' ', ':'], "-"))
        .source(concat!("Windlass ", env!("CARGO_PKG_VERSION")))
        .manual("Windlass")
        .render(&mut page)?;
    Ok(page)
}
