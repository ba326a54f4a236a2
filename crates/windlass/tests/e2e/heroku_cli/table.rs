//! docs/reference/heroku-cli.md: what becomes of each command of the CLI.

use super::SCRIPTS;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use windlass_testkit::heroku::{Clients, clients_directory};
use windlass_testkit::skip;

const PAGE: &str = include_str!("../../../../../docs/reference/heroku-cli.md");
const STATES: [&str; 5] = ["tested", "works", "refused", "elsewhere", "local"];

/// Names in the scripts that are other names of a command.
const ALIASES: &[(&str, &str)] =
    &[("create", "apps:create"), ("stack", "apps:stacks"), ("stack:set", "apps:stacks:set")];

/// Returns the cells of each row that begins with code, or with a word of `first`.
fn rows(first: impl Fn(&str) -> bool) -> Vec<Vec<&'static str>> {
    let cells = |line: &'static str| -> Vec<&'static str> {
        line.trim_matches('|').split('|').map(str::trim).collect()
    };
    let rows = PAGE.lines().filter(|line| line.starts_with('|')).map(cells);
    rows.filter(|cells| first(cells[0])).collect()
}

/// Returns the page's commands with their states.
fn listed() -> BTreeMap<&'static str, &'static str> {
    let rows = rows(|cell| cell.starts_with('`'));
    let listed: BTreeMap<_, _> =
        rows.iter().map(|cells| (cells[0].trim_matches('`'), cells[1])).collect();
    assert_eq!(listed.len(), rows.len(), "a command stands there twice");
    listed
}

#[test]
fn the_page_says_which_commands_the_scripts_test() {
    let steps = SCRIPTS.iter().flat_map(|(_, scripts)| scripts.iter().copied().flatten());
    let words = steps.map(|(line, ..)| line.split(' ').next().unwrap_or_default());
    let commands = words.filter(|word| !word.starts_with('@') && !["git", "sh"].contains(word));
    let alias = |word: &'static str| {
        ALIASES.iter().find(|(alias, _)| *alias == word).map_or(word, |(_, command)| command)
    };
    let run: BTreeSet<&str> = commands.map(alias).collect();
    let listed = listed();
    let tested = listed.iter().filter(|(_, state)| **state == "tested").map(|(name, _)| *name);
    assert_eq!(run, tested.collect(), "left: the scripts; right: the page");

    let counts = rows(|cell| STATES.contains(&cell) || cell == "all");
    for count in counts {
        let of_state = listed.values().filter(|state| count[0] == "all" || count[0] == **state);
        assert_eq!(count[1], of_state.count().to_string(), "{}", count[0]);
    }
    assert!(listed.values().all(|state| STATES.contains(state)), "{listed:?}");
}

#[test]
fn the_page_has_every_command_of_the_cli() {
    if let Err(reason) = Clients::installed() {
        return skip(&reason);
    }
    let file = clients_directory().join("heroku/node_modules/heroku/oclif.manifest.json");
    let commands = commands_in(&file);
    let listed: BTreeSet<String> = listed().into_keys().map(str::to_owned).collect();
    assert_eq!(commands, listed, "left: the CLI; right: the page");
}

fn commands_in(file: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    manifest["commands"].as_object().unwrap().keys().cloned().collect()
}
