//! An app on a test server.

use crate::command::{Finished, Running};
use crate::git::Repository;
use crate::http::{Connection, Response};
use crate::load::Load;
use crate::server::TestServer;
use crate::{wait_for, wait_until};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long an app may take to get into a state.
const LIMIT: Duration = Duration::from_secs(40);

/// An app that no other test uses. Destroyed when it is dropped; after a failure its log is shown.
pub struct TestApp {
    pub server: Arc<TestServer>,
    pub name: String,
    /// Whether it stays when this is dropped.
    stays: bool,
}

impl TestApp {
    /// Makes an app whose name begins with `hint`.
    #[must_use]
    pub fn create(server: &Arc<TestServer>, hint: &str) -> Self {
        let name = server.unused_name(hint);
        let _ = server.cli(&["create", &name]).success();
        Self { server: server.clone(), name, stays: false }
    }

    /// Makes an app and pushes a repository to it, which must succeed.
    #[must_use]
    pub fn deployed(server: &Arc<TestServer>, hint: &str, repository: &Repository) -> Self {
        let app = Self::create(server, hint);
        let _ = app.push(repository).success();
        app
    }

    /// Returns an app that is there already.
    #[must_use]
    pub fn existing(server: &Arc<TestServer>, name: &str) -> Self {
        Self { server: server.clone(), name: name.to_owned(), stays: false }
    }

    /// Leaves the app when this is dropped: somebody else sees to it.
    #[must_use]
    pub fn staying(mut self) -> Self {
        self.stays = true;
        self
    }

    #[must_use]
    pub fn host(&self) -> String {
        format!("{}.localhost", self.name)
    }

    /// Returns the URL to push to over HTTP.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.git_url(&self.name)
    }

    /// Pushes the repository's HEAD to main.
    pub fn push(&self, repository: &Repository) -> Finished {
        repository.push(&self.url(), "HEAD:refs/heads/main")
    }

    /// Runs the client on this app.
    pub fn cli(&self, arguments: &[&str]) -> Finished {
        self.server.cli(&self.with_app(arguments))
    }

    /// Starts the client on this app.
    #[must_use]
    pub fn start_cli(&self, arguments: &[&str]) -> Running {
        self.server.start_cli(&self.with_app(arguments))
    }

    /// The app goes after the command's name: what follows may be for another program.
    fn with_app<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        let (verb, rest) = arguments.split_first().expect("a verb");
        [&[*verb, "--app", &self.name], rest].concat()
    }

    /// Runs the client with `--json` and parses what it prints.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let text = self.cli(&[arguments, &["--json"]].concat()).success();
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error} in {text}"))
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.server.get(&self.host(), path)
    }

    /// Opens a connection to the app through the router.
    #[must_use]
    pub fn connect(&self) -> Connection {
        Connection::open(self.server.http(), &self.host()).expect("the router accepts connections")
    }

    /// Starts a load on the app and waits until it is under way.
    #[must_use]
    pub fn load(&self) -> Load {
        let load = Load::start(self.server.http(), &self.host(), "/healthz");
        load.wait_for(20);
        load
    }

    /// Returns the last lines of the app's log.
    #[must_use]
    pub fn logs(&self) -> String {
        self.cli(&["logs", "-n", "1500"]).success()
    }

    /// Waits until the log has a line with this text.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        wait_until(&format!("{text:?} in the log"), LIMIT, || self.logs().contains(text));
    }

    /// Returns name and state of each process, for example `("web.1", "up")`.
    #[must_use]
    pub fn processes(&self) -> Vec<(String, String)> {
        let list = self.json(&["ps"]);
        let text = |entry: &serde_json::Value, key: &str| {
            entry[key].as_str().unwrap_or_default().to_owned()
        };
        let entries = list.as_array().into_iter().flatten();
        let mut processes: Vec<_> =
            entries.map(|entry| (text(entry, "name"), text(entry, "state"))).collect();
        processes.sort();
        processes
    }

    /// Waits until exactly these processes are there and up.
    #[track_caller]
    pub fn wait_for_processes(&self, names: &[&str]) {
        let wanted: Vec<_> =
            names.iter().map(|name| ((*name).to_owned(), "up".to_owned())).collect();
        let mut seen = Vec::new();
        let what = format!("{names:?} to be up");
        wait_for(&what, LIMIT, || {
            seen = self.processes();
            (seen == wanted).then_some(())
        });
    }

    /// Returns the version of the release that is served.
    #[must_use]
    pub fn version(&self) -> u64 {
        let releases = self.json(&["releases"]);
        let current =
            releases.as_array().into_iter().flatten().find(|release| release["current"] == true);
        current.and_then(|release| release["version"].as_u64()).expect("there is a current release")
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.server.failed.store(true, Ordering::Relaxed);
            let log = self.cli(&["logs", "-n", "60"]).everything();
            eprintln!("the log of {}:\n{log}", self.name);
            let log = self.server.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!(
                "the server's log:\n{}",
                tail.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        } else if !self.stays {
            let _ = self.server.cli(&["destroy", &self.name, "--confirm", &self.name]);
        }
    }
}
