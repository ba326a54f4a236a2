//! `windlass demo`: everything once, for real, and nothing left afterwards.

mod app;
mod child;
mod http;
mod interrupt;
mod leftovers;
mod load;
mod platform;
mod screen;
mod timeline;

use crate::arguments::DemoArguments;
use crate::config::Config;
use crate::setup::SetupError;
use app::DemoApp;
use interrupt::Interrupt;
use load::{Load, Tally};
use platform::DemoPlatform;
use screen::{Screen, grouped};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// For a load on a machine that has other things to do.
const LOAD_LIMIT: Duration = Duration::from_secs(300);
/// Drain limit and grace period of the server, and some.
const DRAIN_LIMIT: Duration = Duration::from_secs(90);
/// What shells give for a command ended by SIGINT.
const EXIT_INTERRUPTED: u8 = 130;

#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("interrupted")]
    Interrupted,
    #[error("the setup did not succeed, see above")]
    Setup,
    #[error("{0}")]
    Failed(String),
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
    #[error(transparent)]
    Stack(#[from] SetupError),
}

impl DemoError {
    fn io(what: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let what = format!("{what} {}", path.display());
        move |source| Self::Io { what, source }
    }
}

pub fn main(arguments: &DemoArguments) -> ExitCode {
    let stack_home = match preconditions() {
        Ok(data_directory) => data_directory,
        Err(code) => return code,
    };
    let mut screen = Screen::stdout();
    for mut dead in DemoPlatform::of_killed_demos() {
        screen.detail(&format!(
            "removing {}, left by a demo that was killed",
            dead.directory().display()
        ));
        dead.clean_up().iter().for_each(|what| screen.bad(&format!("left behind: {what}")));
    }
    let started = Interrupt::watch()
        .map_err(|source| DemoError::Io { what: "signals cannot be received".to_owned(), source })
        .and_then(|interrupt| Ok((interrupt, DemoPlatform::prepare_directories()?)));
    let (interrupt, mut platform) = match started {
        Ok(started) => started,
        Err(error) => return crate::fail(&error, 1),
    };
    let mut outcome = tour(arguments, &stack_home, &mut platform, &mut screen, &interrupt);
    if outcome.is_ok() {
        screen.times();
        if !arguments.exit {
            outcome = stay(&mut platform, &screen, &interrupt);
        }
    }
    screen.heading("Cleaning up");
    let left = platform.clean_up();
    if left.is_empty() {
        screen.say(
            "nothing is left: no process, mount, cgroup, network device, firewall rule, directory",
        );
    }
    for what in &left {
        screen.bad(&format!("left behind: {what}"));
    }
    match outcome {
        Ok(()) if left.is_empty() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(DemoError::Interrupted) => ExitCode::from(EXIT_INTERRUPTED),
        Err(error) => crate::fail(&error, 1),
    }
}

/// Returns the data directory of the server that this machine may have.
fn preconditions() -> Result<PathBuf, ExitCode> {
    match crate::setup::is_root() {
        Ok(true) => {}
        Ok(false) => {
            let what = "containers need root: run the demo with sudo".to_owned();
            return Err(crate::fail(&DemoError::Failed(what), 1));
        }
        Err(error) => return Err(crate::fail(&error, 1)),
    }
    Config::load(None, |name| std::env::var(name).ok(), &BTreeMap::new())
        .map(|config| config.data_directory)
        .map_err(|error| crate::fail(&error, crate::EXIT_CONFIG))
}

fn tour(
    arguments: &DemoArguments,
    stack_home: &Path,
    platform: &mut DemoPlatform,
    screen: &mut Screen,
    interrupt: &Interrupt,
) -> Result<(), DemoError> {
    screen.step("Host packages and stack");
    if platform.borrow_stack(stack_home)? {
        screen.say(&format!("using the stack in {}", stack_home.display()));
    }
    platform.set_up(arguments.yes || !std::io::stdin().is_terminal(), interrupt)?;

    screen.step("Start the platform");
    platform.start_server(interrupt)?;
    let doors = platform.doors()?.clone();
    screen.say(&format!("apps at http://<app>.localhost:{}", doors.router.port()));
    screen.say(&format!("API and git at {}", doors.api_url));

    screen.step("Create the app and push it");
    let app = DemoApp::write(platform, interrupt)?;
    app.create(screen, interrupt)?;
    app.push(screen, interrupt)?;
    show_page(platform, screen, "v1")?;

    screen.step("Push version 2 under load");
    app.set_version("v2", interrupt)?;
    let report = push_under_load(platform, &app, arguments.requests, screen, interrupt)?;

    screen.step("The result");
    show_page(platform, screen, "v2")?;
    report.show(screen)
}

/// Shows the app's page. Errors: it is not served, or is another version.
fn show_page(platform: &DemoPlatform, screen: &Screen, version: &str) -> Result<(), DemoError> {
    let doors = platform.doors()?;
    let host = host(platform)?;
    screen.command(&format!("curl http://{host}/"));
    let answer = http::get(doors.router, &host, "/", "")
        .map_err(|source| DemoError::Io { what: "the app does not answer".to_owned(), source })?;
    if answer.status != 200 {
        return Err(DemoError::Failed(format!("the app answers with status {}", answer.status)));
    }
    for line in app::text_of(&answer.body) {
        screen.say(&line);
    }
    match app::version_of(&answer.body) {
        Some(shown) if shown == version => Ok(()),
        other => {
            let shown = other.unwrap_or("no version");
            Err(DemoError::Failed(format!("the page shows {shown} and not {version}")))
        }
    }
}

fn host(platform: &DemoPlatform) -> Result<String, DemoError> {
    Ok(format!("bibly.localhost:{}", platform.doors()?.router.port()))
}

/// What the load and the log say about the second push.
struct Report {
    tally: Tally,
    moments: Vec<timeline::Moment>,
}

/// The load starts before the push, and ends when the old instance is gone and `wanted` requests
/// are made.
fn push_under_load(
    platform: &DemoPlatform,
    app: &DemoApp,
    wanted: u64,
    screen: &Screen,
    interrupt: &Interrupt,
) -> Result<Report, DemoError> {
    let log = log_file(platform)?;
    let read_log = || std::fs::read_to_string(&log).map_err(DemoError::io("cannot read", &log));
    let load = Load::start(platform.doors()?.router, &host(platform)?);
    interrupt.wait("the load", Duration::from_secs(30), || Ok(load.done() >= 100))?;
    screen.say("a load of 6 clients is on the app: 4 keep their connection, 2 make new ones");
    let begun = SystemTime::now();
    app.push(screen, interrupt)?;
    let ended = SystemTime::now();
    interrupt.wait("the old instance's end", DRAIN_LIMIT, || {
        Ok(timeline::old_one_is_gone(&read_log()?, begun))
    })?;
    interrupt.wait("the load", LOAD_LIMIT, || Ok(load.done() >= wanted))?;
    let tally = load.finish();
    let moments = timeline::of_push(&read_log()?, begun, ended, &tally, "v2");
    Ok(Report { tally, moments })
}

fn log_file(platform: &DemoPlatform) -> Result<PathBuf, DemoError> {
    let doors = platform.doors()?;
    let headers = format!(
        "Authorization: Bearer {}\r\nAccept: application/vnd.heroku+json; version=3\r\n",
        doors.token
    );
    let answer = http::get(doors.api, "localhost", "/apps/bibly", &headers)
        .map_err(|source| DemoError::Io { what: "the API does not answer".to_owned(), source })?;
    let app: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    match app["id"].as_str() {
        Some(id) => Ok(platform.data_directory().join("logs").join(id).join("current.log")),
        None => Err(DemoError::Failed(format!("the API does not know the app: {}", answer.body))),
    }
}

impl Report {
    /// Prints it. Errors: a request was lost, or version 2 was not seen.
    fn show(&self, screen: &Screen) -> Result<(), DemoError> {
        screen.heading("Timeline of the second push");
        for moment in &self.moments {
            screen.say(&format!("{:>6.0} ms  {}", moment.ms, moment.what));
        }
        let total = self.tally.answered() + self.tally.lost();
        let shares: Vec<String> = self
            .tally
            .versions
            .iter()
            .map(|(version, count)| format!("{} by {version}", grouped(*count)))
            .collect();
        let slowest = self.tally.slowest.as_millis();
        screen.heading("The load");
        screen.say(&format!("answered: {}; the slowest took {slowest} ms", shares.join(", ")));
        let verdict = format!("{} lost of {} requests", grouped(self.tally.lost()), grouped(total));
        if self.tally.lost() > 0 {
            screen.bad(&verdict);
            for (why, count) in &self.tally.lost {
                screen.bad(&format!("{}: {why}", grouped(*count)));
            }
            return Err(DemoError::Failed(verdict));
        }
        screen.good(&verdict);
        if self.tally.versions.contains_key("v2") {
            Ok(())
        } else {
            Err(DemoError::Failed("the load never saw version 2".to_owned()))
        }
    }
}

/// Waits for Ctrl-C. Errors: the server ends by itself.
fn stay(
    platform: &mut DemoPlatform,
    screen: &Screen,
    interrupt: &Interrupt,
) -> Result<(), DemoError> {
    let doors = platform.doors()?.clone();
    let repository = platform.directory().join("bibly");
    screen.heading("It is yours until you press Ctrl-C");
    screen.say(&format!("open     http://{}", host(platform)?));
    screen.say(&format!("log in   windlass login {} --token {}", doors.api_url, doors.token));
    screen.say(&format!(
        "source   {} (change it, commit, git push windlass main)",
        repository.display()
    ));
    screen.say("then     Ctrl-C stops everything and removes it");
    loop {
        match interrupt.check() {
            Err(DemoError::Interrupted) => return Ok(()),
            other => other?,
        }
        platform.check_server()?;
        std::thread::sleep(Duration::from_millis(100));
    }
}
