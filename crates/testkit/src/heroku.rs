//! The unmodified `heroku` CLI of npm on a test server: command lines with what must come of them.

mod expectation;
mod install;

use crate::command::{self, Finished};
use crate::git::Repository;
use crate::schema::CheckingForwarder;
use crate::server::{TestServer, free_port};
use crate::{app::TestApp, skip};
use expectation::Expectation;
pub use install::{Clients, clients_directory};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

/// A command line, the exit code it must end with, and lines it must print.
///
/// The line is what a person types after `heroku`; one that begins with `git` or `sh` is run as
/// it stands, and `@up web.1 …` waits until exactly these processes are up. Names in braces are
/// replaced: `{app}`, what the test has [set](Session::set), and what a line before has captured.
///
/// In an expected line `*` stands for any text and `<name>` captures a word. A line may come from
/// standard output or error; how far things are apart in it does not matter. One that begins with
/// `!` must not come.
pub type Step = (&'static str, i32, &'static [&'static str]);

/// Returns the number of commands of `heroku` itself in a script.
#[must_use]
pub fn commands(steps: &[Step]) -> usize {
    steps.iter().filter(|(line, ..)| is_heroku(line)).count()
}

fn is_heroku(line: &str) -> bool {
    !["@", "git ", "sh "].iter().any(|start| line.starts_with(start))
}

/// Node loads it before the CLI: connections to anywhere but this machine are refused, and noted.
const GUARD: &str = include_str!("heroku/guard.cjs");

/// What the CLI itself leaves out, whatever a server answers.
const ITS_OWN: &[&str] = &["create_status=undefined"];

/// A person at a terminal with the CLI: a home, a work folder, and one app.
pub struct Session {
    server: Arc<TestServer>,
    /// What stands between the CLI and the server's API.
    forwarder: CheckingForwarder,
    clients: Clients,
    folder: tempfile::TempDir,
    repository: Repository,
    names: BTreeMap<String, String>,
    way: Way,
}

/// How the CLI finds the server.
enum Way {
    /// Through `windlass connect`.
    Forwarder,
    /// The same as `localhost`, so that it makes names below it, at port 443: the only way for
    /// `container:`. The guard leads them to the forwarder.
    Names,
}

impl Session {
    /// Begins a session in `repository`, about an app that is not made yet. `None` (and says why)
    /// where the CLI is not installed.
    #[must_use]
    pub fn begin(server: &Arc<TestServer>, hint: &str, repository: Repository) -> Option<Self> {
        let clients = match Clients::installed() {
            Ok(clients) => clients,
            Err(reason) => {
                skip(&reason);
                return None;
            }
        };
        let folder = tempfile::Builder::new().prefix("windlass-heroku-").tempdir().unwrap();
        std::fs::create_dir(folder.path().join("home")).unwrap();
        std::fs::write(folder.path().join("guard.cjs"), GUARD).unwrap();
        let names = BTreeMap::from([
            ("app".to_owned(), server.unused_name(hint)),
            ("http".to_owned(), server.http().port().to_string()),
            ("token".to_owned(), server.token().to_owned()),
            ("port".to_owned(), free_port().to_string()),
        ]);
        let forwarder = CheckingForwarder::start(server.api());
        let (server, way) = (server.clone(), Way::Forwarder);
        Some(Self { server, forwarder, clients, folder, repository, names, way })
    }

    /// From now on the CLI goes to `api.localhost` and `registry.localhost`. `docker` is what
    /// stands for that program.
    pub fn by_names(&mut self, docker: &str) {
        std::fs::create_dir(self.path("bin")).unwrap();
        std::fs::write(self.path("bin/docker"), docker).unwrap();
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.path("bin/docker"), executable).unwrap();
        self.way = Way::Names;
    }

    /// Sets what a name in braces stands for.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.names.insert(name.to_owned(), value.into());
    }

    /// Returns what a name in braces stands for.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.names.get(name).unwrap_or_else(|| panic!("nothing is called {{{name}}}"))
    }

    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The session's app, as our own client sees it. It must have been made; it stays.
    #[must_use]
    pub fn app(&self) -> TestApp {
        TestApp::existing(&self.server, self.get("app")).staying()
    }

    /// A path for a file of the test, outside the repository.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a script to its end. Panics with every command that did something else.
    #[track_caller]
    pub fn run(&mut self, steps: &[Step]) {
        let mut faults = Vec::new();
        for (line, code, expected) in steps {
            let line = self.filled_in(line);
            if let Some(processes) = line.strip_prefix("@up ") {
                let names: Vec<&str> = processes.split_whitespace().collect();
                self.app().wait_for_processes(&names);
                continue;
            }
            let ended = command::run(&mut self.command(&line), b"");
            if let Err(why) = self.check(*code, expected, &ended) {
                let (stdout, stderr) = (&ended.stdout, &ended.stderr);
                faults.push(format!("$ heroku {line}\n{why}: {}\n{stdout}{stderr}", ended.status));
            }
        }
        if !faults.is_empty() {
            self.server.failed.store(true, std::sync::atomic::Ordering::Relaxed);
            panic!("{}", faults.join("\n"));
        }
    }

    fn check(&mut self, code: i32, expected: &[&str], ended: &Finished) -> Result<(), String> {
        if ended.status.code() != Some(code) {
            return Err(format!("it should have ended with {code}"));
        }
        let said: Vec<String> = ended.everything().lines().map(expectation::plain).collect();
        for bad in ["undefined", "[object Object]", "NaN"] {
            let found = said.iter().find(|line| line.contains(bad));
            if let Some(found) = found.filter(|line| !ITS_OWN.contains(&line.as_str())) {
                return Err(format!("a field is missing from an answer: {found:?}"));
            }
        }
        for wanted in expected {
            let wanted = self.filled_in(wanted);
            let captured = Expectation::new(&wanted).hold(&said)?;
            self.names.extend(captured);
        }
        Ok(())
    }

    /// Replaces names in braces; what is not a name of ours stays.
    fn filled_in(&self, text: &str) -> String {
        let filled = |text: String, (name, value): (&String, &String)| {
            text.replace(&format!("{{{name}}}"), value)
        };
        self.names.iter().fold(text.to_owned(), filled)
    }

    /// A command as this person would start it, not started yet.
    #[must_use]
    pub fn command(&self, line: &str) -> Command {
        let words = expectation::words(line);
        let (program, rest) = match words.split_first() {
            Some((first, rest)) if !is_heroku(line) => (first.as_str(), rest),
            _ => ("heroku", words.as_slice()),
        };
        let forwarder = ["connect", "--port", self.get("port"), "--"];
        let mut command = self.server.bare_client(&forwarder);
        let first = match self.way {
            Way::Forwarder => None,
            Way::Names => {
                self.add_names(&mut command);
                Some(self.path("bin"))
            }
        };
        command.arg(program).args(rest);
        self.clients.environment(&mut command, first.as_deref());
        // A fifth of the CLI's start is asking of each of its files whether it is a link: none is.
        let guard = format!("--preserve-symlinks --require={}", self.path("guard.cjs").display());
        command
            .current_dir(self.repository.path())
            .env("HOME", self.path("home"))
            .env("WINDLASS_URL", format!("http://{}", self.forwarder.address()))
            .env("WINDLASS_TOKEN", self.server.token())
            .env("NODE_OPTIONS", guard)
            .env("GUARD_LOG", self.path("guard.log"))
            .env("GUARD_SSH", self.server.http().port().to_string())
            // No key chain, no colours, no lines broken at 80 columns, no questions.
            .env("HEROKU_NETRC_WRITE", "true")
            .env("HEROKU_NOTIFICATIONS", "0")
            .env("NO_COLOR", "1")
            .env("HEROKU_LOGS_COLOR", "0")
            .env("OCLIF_COLUMNS", "300")
            .env("CI", "true")
            .env("TZ", "UTC")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0");
        command
    }

    /// Has the command run with names below `localhost` in place of what `windlass connect` sets.
    fn add_names(&self, command: &mut Command) {
        let token = self.server.token();
        command
            .args([
                "env",
                "HEROKU_HOST=localhost",
                "HEROKU_PARTICLEBOARD_URL=https://api.localhost",
            ])
            // The CLI sends its token to `localhost` by itself, not to names below it.
            .env("HEROKU_HEADERS", format!("{{\"authorization\":\"Bearer {token}\"}}"))
            .env("GUARD_TO", self.get("port"))
            .env("DOCKER_TO", format!("localhost:{}", self.server.api().port()))
            .env("DOCKER_FOLDER", self.path("docker"));
    }

    /// Ends the session: nothing may have wanted to talk to another machine, and every answer was
    /// as the schemas say.
    #[track_caller]
    pub fn end(self) {
        let log = std::fs::read_to_string(self.path("guard.log")).unwrap_or_default();
        assert!(log.is_empty(), "the CLI wanted to leave this machine:\n{log}");
        self.forwarder.assert_all_matched();
    }
}
