//! What `windlass help` says: the commands by what they are for, and each with examples.

use crate::commands::{SECTIONS, Section};
use crate::error::CliError;
use clap::Command;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One example a line; its second word says of which command.
const EXAMPLES: &str = include_str!("examples.txt");

/// A name is taken for a mistyped one of ours if at most so many letters are wrong.
const MOST_TYPOS: usize = 2;

const BEGINNING: &str = "\
Usage: windlass COMMAND [ARGUMENTS]

On a server, as root:  windlass setup, then windlass server
With an app:           windlass login, windlass create, git push windlass main, windlass logs
More about a command:  windlass help COMMAND, with examples

A star says that there are more commands of that name: `windlass help config` lists config:set and
its sisters.
";

/// Returns the program's clap command with an overview in place of clap's long list, and with
/// examples below the help of each command.
pub fn with_help(root: Command) -> Command {
    let overview = overview(&root);
    let shown: Vec<(String, String)> = shown(&root).map(name_and_about).collect();
    let examples = examples();
    root.override_help(overview).mut_subcommands(|command| {
        let text = below(command.get_name(), &examples, &shown);
        if text.is_empty() { command } else { command.after_help(text) }
    })
}

/// Returns the examples by command.
pub fn examples() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut by_name: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in EXAMPLES.lines() {
        by_name.entry(line.split(' ').nth(1).unwrap_or_default()).or_default().push(line);
    }
    by_name
}

/// Says that there is no command of a name, and which was probably meant.
pub fn unknown_command(name: &str, root: &Command) -> CliError {
    let error = CliError::usage(format!("There is no command {name}."));
    match nearest(name, root) {
        Some(nearest) => error.hint(format!("Did you mean `windlass {nearest}`?")),
        None => error.hint("`windlass help` lists them."),
    }
}

fn shown(root: &Command) -> impl Iterator<Item = &Command> {
    root.get_subcommands().filter(|command| !command.is_hide_set())
}

fn name_and_about(command: &Command) -> (String, String) {
    let about = command.get_about().map(ToString::to_string);
    (command.get_name().to_owned(), about.unwrap_or_default())
}

/// What a name begins with, up to its first colon.
fn topic(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

/// A line for each command but those whose topic has one itself.
fn overview(root: &Command) -> String {
    let shown: Vec<(String, String)> = shown(root).map(name_and_about).collect();
    let is_topic = |name: &str| shown.iter().any(|(other, _)| other == name);
    let mut text = format!("{}\n\n{BEGINNING}", name_and_about(root).1);
    for Section { title, topics, .. } in SECTIONS {
        let _ = write!(text, "\n{title}:\n");
        for (name, about) in shown.iter().filter(|(name, _)| topics.contains(&topic(name))) {
            let own = topic(name);
            if own != name && is_topic(own) {
                continue;
            }
            let has_more = shown.iter().any(|(other, _)| topic(other) == name && other != name);
            let star = if has_more { " *" } else { "" };
            let _ = writeln!(text, "  {:<20} {about}", format!("{name}{star}"));
        }
    }
    text.push_str("\nOptions:\n  -h, --help     Print help\n  -V, --version  Print version\n");
    text
}

/// What stands below a command's own help.
fn below(name: &str, examples: &BTreeMap<&str, Vec<&str>>, shown: &[(String, String)]) -> String {
    let mut text = String::new();
    if let Some(lines) = examples.get(name) {
        text.push_str(if lines.len() == 1 { "Example:\n" } else { "Examples:\n" });
        for line in lines {
            let _ = writeln!(text, "  {line}");
        }
    }
    let more: Vec<_> =
        shown.iter().filter(|(other, _)| topic(other) == name && other != name).collect();
    if !more.is_empty() {
        let width = more.iter().map(|(other, _)| other.len()).max().unwrap_or_default();
        text.push_str(if text.is_empty() { "See also:\n" } else { "\nSee also:\n" });
        for (other, about) in more {
            let _ = writeln!(text, "  {other:<width$}  {about}");
        }
    }
    text.trim_end().to_owned()
}

/// Returns the command that was probably meant: the one with the fewest wrong letters, or the first
/// that ends so (`snapshot` is `volumes:snapshot`).
fn nearest(name: &str, root: &Command) -> Option<String> {
    let name = name.to_lowercase();
    let names: Vec<&str> = shown(root)
        .flat_map(|command| std::iter::once(command.get_name()).chain(command.get_all_aliases()))
        .collect();
    // Two of three letters are no typo but another word.
    let most = MOST_TYPOS.min(name.chars().count() / 3);
    let typo = names
        .iter()
        .map(|known| (distance(&name, known), *known))
        .filter(|(wrong, _)| *wrong <= most)
        .min();
    let ending = || names.iter().copied().find(|known| known.ends_with(&format!(":{name}")));
    typo.map(|(_, known)| known).or_else(ending).map(str::to_owned)
}

/// How many letters must be put in, taken out or changed to come from one word to the other
/// (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, its) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *its);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::root;

    #[test]
    fn a_mistyped_command_is_guessed() {
        let cases = [
            ("confg:set", Some("config:set")),
            ("Deploy", Some("deploy")),
            ("deplyo", Some("deploy")),
            ("snapshot", Some("volumes:snapshot")),
            ("log", Some("log")),
            ("frobnicate", None),
            ("xy", None),
        ];
        for (given, expected) in cases {
            assert_eq!(nearest(given, &root()).as_deref(), expected, "{given}");
        }
        let error = unknown_command("confg:set", &root());
        assert_eq!(error.message, "There is no command confg:set.");
        assert_eq!(error.hint.unwrap(), "Did you mean `windlass config:set`?");
    }

    #[test]
    fn a_command_is_helped_with_examples_and_its_sisters() {
        let mut root = with_help(root());
        let overview = root.render_help().to_string();
        assert!(
            overview.contains("\n  config *             Show an app's config vars\n"),
            "{overview}"
        );
        assert!(!overview.contains("\n  config:set"), "{overview}");
        let config = root.find_subcommand_mut("config").unwrap().render_help().to_string();
        assert!(config.contains("See also:\n  config:set    Set config vars"), "{config}");
        let set = root.find_subcommand_mut("config:set").unwrap().render_help().to_string();
        assert!(set.contains("Examples:\n  windlass config:set GREETED=Bibly\n"), "{set}");
    }
}
