//! The `heroku` CLI of npm, unmodified, through `windlass connect`, from create to destroy.
//!
//! Each family of commands is a script with the output that a person at Heroku would expect. Where
//! Node and the CLI are not installed the tests are skipped, and say so.

mod account;
mod apps;
mod container;
mod domains;
mod exec;
mod people;
mod pipelines;
mod processes;
mod sides;
mod table;

use windlass_testkit::heroku::{Step, commands};

/// Every script, with its family's name.
const SCRIPTS: &[(&str, &[&[Step]])] = &[
    ("account", account::SCRIPTS),
    ("apps", apps::SCRIPTS),
    ("domains", domains::SCRIPTS),
    ("processes", processes::SCRIPTS),
    ("exec", exec::SCRIPTS),
    ("pipelines", pipelines::SCRIPTS),
    ("people", people::SCRIPTS),
    ("sides", sides::SCRIPTS),
    ("container", container::SCRIPTS),
];

/// The least that the scripts together may be.
const COMMANDS: usize = 200;

/// Topics of the CLI that the scripts go through; a command without one is a topic by itself.
const TOPICS: &[&str] = &[
    "access",
    "addons",
    "apps",
    "auth",
    "authorizations",
    "buildpacks",
    "certs",
    "clients",
    "config",
    "container",
    "domains",
    "drains",
    "features",
    "git",
    "keys",
    "labs",
    "logs",
    "maintenance",
    "members",
    "pipelines",
    "ps",
    "regions",
    "releases",
    "reviewapps",
    "run",
    "stack",
    "status",
    "teams",
    "webhooks",
];

#[test]
fn the_scripts_cover_every_topic_with_two_hundred_commands() {
    let scripts = SCRIPTS.iter().flat_map(|(_, scripts)| scripts.iter());
    let steps: Vec<Step> = scripts.copied().flatten().copied().collect();
    let count = commands(&steps);
    assert!(count >= COMMANDS, "{count} commands");
    let topic = |line: &str| line.split([':', ' ']).next().unwrap_or_default().to_owned();
    for wanted in TOPICS {
        assert!(steps.iter().any(|(line, ..)| topic(line) == *wanted), "nothing of {wanted}");
    }
    for (line, _, expected) in &steps {
        assert!(!expected.is_empty() || line.starts_with('@'), "{line}: nothing is checked");
    }
}
