//! `windlass cli:reference`: the tables of docs/reference/cli.md, made from the commands themselves.

use super::{SECTIONS, Section};
use crate::error::{CliError, Result};
use crate::session::Session;
use clap::Arg;
use std::fmt::Write as _;

/// Options that most commands have: they are described once, below the tables.
const COMMON: &[&str] = &["app", "remote", "server", "context", "json", "help", "version"];

#[derive(Clone, Debug, clap::Args)]
pub struct Reference {}

impl Reference {
    pub fn run(self, session: &mut Session, root: fn() -> clap::Command) -> Result<()> {
        let text = tables(&root()).map_err(CliError::general)?;
        session.output.bytes(text.as_bytes())?;
        Ok(())
    }
}

/// Returns all sections with their tables.
///
/// # Errors
/// A command that belongs to no section, by name.
pub fn tables(root: &clap::Command) -> std::result::Result<String, String> {
    let shown: Vec<_> = root.get_subcommands().filter(|command| !command.is_hide_set()).collect();
    let in_section = |section: &Section, command: &clap::Command| {
        let name = command.get_name();
        section.topics.contains(&name.split(':').next().unwrap_or(name))
    };
    let homeless = |command: &&&clap::Command| {
        let homes = SECTIONS.iter().filter(|section| in_section(section, command)).count();
        homes != 1 && command.get_name() != "help"
    };
    if let Some(command) = shown.iter().find(homeless) {
        return Err(format!("`{}` is in no section of sections.rs, or in two", command.get_name()));
    }
    let mut page = String::new();
    for section in SECTIONS {
        let Section { title, note, .. } = section;
        let _ = write!(page, "\n## {title}\n\n");
        if !note.is_empty() {
            let _ = write!(page, "{note}\n\n");
        }
        page.push_str("| command | what it does | its own options |\n|---|---|---|\n");
        for command in shown.iter().filter(|command| in_section(section, command)) {
            rows(&mut page, "windlass", command);
        }
    }
    Ok(page)
}

/// A command with commands of its own has a row for each of these.
fn rows(page: &mut String, before: &str, command: &clap::Command) {
    let name = format!("{before} {}", command.get_name());
    if command.has_subcommands() {
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            rows(page, &name, inner);
        }
        return;
    }
    let arguments: Vec<String> = command
        .get_positionals()
        .filter(|argument| !argument.is_hide_set())
        .map(positional)
        .collect();
    let mut usage = name;
    for argument in arguments {
        let _ = write!(usage, " {argument}");
    }
    let mut about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let aliases: Vec<_> = command.get_visible_aliases().collect();
    if !aliases.is_empty() {
        let _ = write!(about, " [alias: {}]", aliases.join(", "));
    }
    let options = options(command);
    let cells = [format!("`{usage}`"), about, options].map(|cell| cell.replace('|', "\\|"));
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}

fn positional(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    let name = names.first().map_or(argument.get_id().as_str(), |name| name.as_str());
    let several = argument.get_num_args().is_some_and(|range| range.max_values() > 1)
        || matches!(argument.get_action(), clap::ArgAction::Append);
    let dots = if several { "..." } else { "" };
    if argument.is_required_set() { format!("<{name}>{dots}") } else { format!("[{name}]{dots}") }
}

fn options(command: &clap::Command) -> String {
    let own = |argument: &&Arg| {
        !argument.is_positional()
            && !argument.is_hide_set()
            && !COMMON.contains(&argument.get_id().as_str())
            && argument.get_help_heading() != Some("Settings")
    };
    let mut listed: Vec<String> = command.get_arguments().filter(own).map(option).collect();
    if command.get_arguments().any(|argument| argument.get_help_heading() == Some("Settings")) {
        listed.push("every [setting](configuration.md)".to_owned());
    }
    if listed.is_empty() { "–".to_owned() } else { listed.join(", ") }
}

fn option(argument: &Arg) -> String {
    let mut text = format!("`--{}", argument.get_long().unwrap_or(argument.get_id().as_str()));
    if argument.get_action().takes_values() {
        let names = argument.get_value_names().unwrap_or_default();
        let name = names.first().map_or("VALUE", |name| name.as_str());
        let _ = write!(text, " {name}");
    }
    text.push('`');
    if let Some(short) = argument.get_short() {
        let _ = write!(text, " (`-{short}`)");
    }
    text
}
