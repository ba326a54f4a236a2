//! Pushes and config changes of one app, one after the other, and what was acknowledged.

use super::is_stopped;
use super::random::Random;
use crate::bench::door::Door;
use crate::bench::server::Server;
use crate::bench::{BenchError, Result};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What was attempted: kept from the last that was acknowledged on, since what failed for the
/// client may have been done.
#[derive(Default)]
struct Attempts {
    possible: Vec<String>,
    acknowledged: usize,
    failed: usize,
}

impl Attempts {
    fn attempt(&mut self, value: String) {
        self.possible.push(value);
    }

    fn end(&mut self, succeeded: bool) {
        if succeeded {
            self.possible.drain(..self.possible.len().saturating_sub(1));
            self.acknowledged += 1;
        } else {
            self.failed += 1;
        }
    }
}

pub struct Changes {
    name: &'static str,
    repository: PathBuf,
    number: usize,
    pushes: Attempts,
    /// The commits of the pushes.
    commits: Vec<String>,
    config: Attempts,
    releases: Vec<u32>,
}

impl Changes {
    /// Makes the app, with two instances.
    pub fn new(server: &Server, name: &'static str) -> Result<Self> {
        let repository = server.directory().join(name);
        let write = || -> std::io::Result<()> {
            std::fs::create_dir(&repository)?;
            std::fs::write(repository.join("app.py"), super::APP)?;
            std::fs::write(repository.join("requirements.txt"), "")?;
            std::fs::write(repository.join("VERSION"), format!("{name} 0\n"))?;
            std::fs::write(repository.join("Procfile"), "web: exec python3 app.py\n")
        };
        write().map_err(BenchError::io(repository.display().to_string()))?;
        server.git(&repository, &["init", "--quiet", "--initial-branch=main"])?;
        server.commit_all(&repository)?;
        server.create(name, &repository)?;
        server.push(&repository, name)?;
        server.client(&repository, &["config:set", "NUMBER=0", "--app", name])?;
        server.client(&repository, &["ps:scale", "web=2", "--app", name])?;
        let commit = server.git(&repository, &["rev-parse", "HEAD"])?.trim().to_owned();
        let mut changes = Self {
            name,
            repository,
            number: 0,
            pushes: Attempts::default(),
            commits: vec![commit],
            config: Attempts::default(),
            releases: Vec::new(),
        };
        changes.pushes.attempt(format!("{name} 0"));
        changes.pushes.end(true);
        changes.config.attempt("0".to_owned());
        changes.config.end(true);
        Ok(changes)
    }

    pub fn make(&mut self, door: &Door, mut random: Random, until: Instant) {
        while Instant::now() < until && !is_stopped() {
            self.number += 1;
            if random.below(2) == 0 {
                self.push(door);
            } else {
                self.configure(door);
            }
            std::thread::sleep(Duration::from_millis(300 + random.below(1_200) as u64));
        }
    }

    fn push(&mut self, door: &Door) {
        let says = format!("{} {}", self.name, self.number);
        let commit = std::fs::write(self.repository.join("VERSION"), format!("{says}\n"))
            .map_err(BenchError::io("VERSION"))
            .and_then(|()| door.commit(&self.repository));
        // Without a commit there is nothing to push.
        let Ok(commit) = commit else { return };
        self.pushes.attempt(says);
        self.commits.push(commit);
        let outcome = door.push(&self.repository, self.name);
        let succeeded = outcome.is_ok();
        self.pushes.end(succeeded);
        if succeeded {
            self.commits.drain(..self.commits.len() - 1);
        }
        self.note_release(outcome, "Released v");
    }

    fn configure(&mut self, door: &Door) {
        self.config.attempt(self.number.to_string());
        let set = format!("NUMBER={}", self.number);
        let outcome = door.client(&self.repository, &["config:set", &set, "--app", self.name]);
        self.config.end(outcome.is_ok());
        self.note_release(outcome, ", v");
    }

    fn note_release(&mut self, said: Result<String>, before: &str) {
        let Ok(said) = said else { return };
        let number = said
            .rsplit_once(before)
            .map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
        self.releases.extend(number.and_then(|digits| digits.parse::<u32>().ok()));
    }

    /// What is not as it was acknowledged.
    fn violations(&self, server: &Server) -> Vec<String> {
        let name = self.name;
        let mut wrong = Vec::new();
        let mut expect = |what: &str, found: String, possible: &[String]| {
            if !possible.contains(&found) {
                wrong.push(format!("{name}: {what} is {found:?}, and none of {possible:?}"));
            }
        };
        let served = server.get(name).unwrap_or_default().trim().to_owned();
        expect("what is served", served, &self.pushes.possible);
        let remote = server.git(&self.repository, &["ls-remote", name, "refs/heads/main"]);
        let remote = remote.unwrap_or_default();
        let main = remote.split_whitespace().next().unwrap_or_default().to_owned();
        expect("main", main, &self.commits);
        let config = server.api(&format!("/apps/{name}/config-vars")).unwrap_or_default();
        let config: serde_json::Value = serde_json::from_str(&config).unwrap_or_default();
        let number = config["NUMBER"].as_str().unwrap_or_default().to_owned();
        expect("the config var", number, &self.config.possible);
        for version in &self.releases {
            let release = server.api(&format!("/apps/{name}/releases/{version}"));
            if !release.unwrap_or_default().contains("\"status\":\"succeeded\"") {
                wrong.push(format!("{name}: v{version} was acknowledged and has not succeeded"));
            }
        }
        wrong
    }
}

/// Prints the account; returns what must not have been.
pub fn report(server: &Server, all: &[Changes]) -> Vec<String> {
    let sum = |of: fn(&Changes) -> usize| all.iter().map(of).sum::<usize>();
    println!(
        "pushes acknowledged: {}, failed: {}; config changes acknowledged: {}, failed: {}; \
         releases named to clients: {}",
        sum(|c| c.pushes.acknowledged),
        sum(|c| c.pushes.failed),
        sum(|c| c.config.acknowledged),
        sum(|c| c.config.failed),
        sum(|c| c.releases.len())
    );
    let violations: Vec<String> = all.iter().flat_map(|one| one.violations(server)).collect();
    println!("acknowledged operations that are not there: {}", violations.len());
    violations
}
