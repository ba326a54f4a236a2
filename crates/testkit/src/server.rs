//! The real binary as a server in a temporary directory, and its client.

mod survival;

use crate::command::{self, Finished, Running};
use crate::http::{self, Response};
use crate::leftovers::{self, leftovers};
use crate::wait_for;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use windlass_oci::ImageStore;

/// From the start to the ready file.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// From SIGTERM to the end: the doors close within ten seconds, on a machine that has time.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// How long the last things may take to go away after a teardown: the kernel keeps a network
/// namespace until the last connection in it has ended, which nobody waits for.
const LEFTOVERS_LIMIT: Duration = Duration::from_secs(90);

/// Short limits, so that tests of them are quick.
const OPTIONS: &[(&str, &str)] = &[
    ("domain", "localhost"),
    // Not short: an app has to start within it while others are built.
    ("boot-timeout", "20"),
    ("drain-timeout", "10"),
    ("stop-grace", "3"),
    ("build-concurrent", "2"),
    // What tests have fetched and called stands on this machine.
    ("webhooks-allow-private", "on"),
];

/// What the server writes when it is ready.
#[derive(Clone, Debug, Deserialize)]
struct Ready {
    pid: u32,
    api: SocketAddr,
    ssh: SocketAddr,
    http: SocketAddr,
    https: SocketAddr,
}

/// A server. When it is dropped it is torn down, and nothing of it may be left on the machine.
pub struct TestServer {
    binary: PathBuf,
    directory: PathBuf,
    options: Vec<String>,
    token: String,
    state: Mutex<State>,
    /// Set by a test that failed: directories and logs are kept.
    pub(crate) failed: AtomicBool,
}

struct State {
    child: Option<Child>,
    ready: Ready,
}

/// Why no server can be started here.
#[derive(Debug)]
pub struct Unavailable(pub String);

/// Returns the data directory whose stack the tests use.
#[must_use]
pub fn stack_directory() -> PathBuf {
    std::env::var_os("WINDLASS_TEST_STACK")
        .map_or_else(|| "/var/lib/windlass".into(), PathBuf::from)
}

/// A port that nobody uses now, outside the range of outgoing connections, so that a server that
/// is started again finds it free.
#[must_use]
pub fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(20_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl TestServer {
    /// Starts a server with the tests' stack.
    pub fn start(binary: &Path) -> Result<Arc<Self>, Unavailable> {
        Self::start_with(binary, &[])
    }

    /// Starts a server with further settings, each a flag without its dashes and a value.
    pub fn start_with(binary: &Path, settings: &[(&str, &str)]) -> Result<Arc<Self>, Unavailable> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Unavailable("containers need root".to_owned()));
        }
        let directory = new_directory();
        borrow_stack(&directory)?;
        let options = options(&directory, settings);
        std::fs::create_dir_all(directory.join("home")).unwrap();
        let (child, ready) = spawn(binary, &directory, &options);
        let token = read_token(&directory);
        let state = Mutex::new(State { child: Some(child), ready });
        let failed = AtomicBool::new(false);
        Ok(Arc::new(Self { binary: binary.to_owned(), directory, options, token, state, failed }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[must_use]
    pub fn data_directory(&self) -> PathBuf {
        self.directory.join("data")
    }

    #[must_use]
    pub fn run_directory(&self) -> PathBuf {
        self.directory.join("run")
    }

    /// Returns the server's own log: what it wrote to standard error.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.directory.join("server.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.state().ready.pid
    }

    /// Where the router takes requests.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.state().ready.http
    }

    /// Where the router takes requests over TLS.
    #[must_use]
    pub fn https(&self) -> SocketAddr {
        self.state().ready.https
    }

    #[must_use]
    pub fn api(&self) -> SocketAddr {
        self.state().ready.api
    }

    #[must_use]
    pub fn ssh(&self) -> SocketAddr {
        self.state().ready.ssh
    }

    /// Returns the URL to push an app to over HTTP.
    #[must_use]
    pub fn git_url(&self, app: &str) -> String {
        format!("http://user:{}@{}/{app}.git", self.token, self.api())
    }

    /// Gets a page of a host over the router.
    #[track_caller]
    pub fn get(&self, host: &str, path: &str) -> Response {
        http::get(self.http(), host, path)
            .unwrap_or_else(|error| panic!("GET {host}{path}: {error}"))
    }

    /// Returns the client with its arguments, not started yet.
    #[must_use]
    pub fn client(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare_client(arguments);
        command
            .env("WINDLASS_URL", format!("http://{}", self.api()))
            .env("WINDLASS_TOKEN", &self.token);
        command
    }

    /// The same without a login.
    #[must_use]
    pub fn bare_client(&self, arguments: &[&str]) -> Command {
        let home = self.directory.join("home");
        let mut command = Command::new(&self.binary);
        command.args(arguments).env_clear().env("HOME", &home).current_dir(home);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LANG", "C.UTF-8");
        command
    }

    /// Runs the client.
    pub fn cli(&self, arguments: &[&str]) -> Finished {
        command::run(&mut self.client(arguments), b"")
    }

    /// Starts the client.
    #[must_use]
    pub fn start_cli(&self, arguments: &[&str]) -> Running {
        command::start(&mut self.client(arguments))
    }

    /// Runs a role of the binary with this server's settings: `doctor`, `server`, `teardown` …
    pub fn role(&self, role: &str) -> Finished {
        command::run(&mut self.role_command(role), b"")
    }

    /// The same, not started yet.
    #[must_use]
    pub fn role_command(&self, role: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg(role).args(&self.options);
        command
    }

    /// Ends the server with a signal and waits until it is gone. Apps and router go on.
    pub fn stop(&self, signal: Signal) {
        let Some(mut child) = self.state().child.take() else { return };
        let _ = kill(Pid::from_raw(child.id().cast_signed()), signal);
        let end = Instant::now() + STOP_LIMIT;
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() > end {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the server did not stop within {} s of {signal}", STOP_LIMIT.as_secs());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts a stopped server again.
    pub fn start_again(&self) {
        let _ = std::fs::remove_file(self.run_directory().join("ready.json"));
        let (child, ready) = spawn(&self.binary, &self.directory, &self.options);
        *self.state() = State { child: Some(child), ready };
    }

    /// Returns the pid of the router, once there is one.
    #[must_use]
    pub fn router_pid(&self) -> Option<u32> {
        let socket = self.run_directory().join("router.sock").display().to_string();
        let entries = std::fs::read_dir("/proc").ok()?;
        entries.flatten().find_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let command = std::fs::read(entry.path().join("cmdline")).ok()?;
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            (command.contains(" router ") && command.contains(&socket)).then_some(pid)
        })
    }

    /// Returns the addresses of this server's instances, as this machine's routes have them.
    #[must_use]
    pub fn instance_addresses(&self) -> Vec<Ipv4Addr> {
        let devices = format!("wl{}", leftovers::name_of(&self.data_directory()));
        let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
        let ours = routes.lines().filter(|line| line.starts_with(&devices));
        let destinations = ours.filter_map(|line| {
            let number = u32::from_str_radix(line.split_whitespace().nth(1)?, 16).ok()?;
            Some(Ipv4Addr::from(number.to_le_bytes()))
        });
        destinations.collect()
    }

    /// Returns a name for an app that no other test of this server has.
    #[must_use]
    pub fn unused_name(&self, hint: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        format!("{hint}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The flags of a server in this directory.
fn options(directory: &Path, settings: &[(&str, &str)]) -> Vec<String> {
    let mut options = vec![
        "--data-directory".to_owned(),
        directory.join("data").display().to_string(),
        "--run-directory".to_owned(),
        directory.join("run").display().to_string(),
    ];
    for door in ["router", "router-https", "api", "ssh"] {
        options.extend([format!("--{door}-listen"), format!("127.0.0.1:{}", free_port())]);
    }
    let defaults =
        OPTIONS.iter().filter(|(name, _)| !settings.iter().any(|(other, _)| other == name));
    for (name, value) in defaults.chain(settings) {
        options.extend([format!("--{name}"), (*value).to_owned()]);
    }
    options
}

/// The container's root passes through it, so that it may not be closed to others.
fn new_directory() -> PathBuf {
    let open = std::fs::Permissions::from_mode(0o755);
    let directory = tempfile::Builder::new().prefix("windlass-test-").permissions(open).tempdir();
    directory.expect("a temporary directory can be made").keep()
}

fn borrow_stack(directory: &Path) -> Result<(), Unavailable> {
    let stack = stack_directory().join("images");
    let missing =
        || Unavailable(format!("there is no stack in {}: run `windlass setup`", stack.display()));
    let borrowed = || {
        let from = ImageStore::open(&stack)?;
        if from.tag("stack/debian-12-run")?.is_none() {
            return Ok(false);
        }
        ImageStore::open(&directory.join("data/images"))?.borrow_tags_from(&from).map(|()| true)
    };
    if !stack.join("index.json").exists() {
        let _ = std::fs::remove_dir_all(directory);
        return Err(missing());
    }
    match borrowed() {
        Ok(true) => Ok(()),
        Ok(false) => {
            let _ = std::fs::remove_dir_all(directory);
            Err(missing())
        }
        Err(error) => panic!("the stack could not be borrowed: {error}"),
    }
}

fn spawn(binary: &Path, directory: &Path, options: &[String]) -> (Child, Ready) {
    let append =
        |name: &str| File::options().create(true).append(true).open(directory.join(name)).unwrap();
    let mut child = Command::new(binary)
        .arg("server")
        .args(options)
        .stdin(Stdio::null())
        .stdout(append("server.out"))
        .stderr(append("server.log"))
        .spawn()
        .expect("the binary can be run");
    let ready_file = directory.join("run/ready.json");
    let end = Instant::now() + READY_LIMIT;
    loop {
        let ready = std::fs::read(&ready_file)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Ready>(&bytes).ok());
        if let Some(ready) = ready.filter(|ready| ready.pid == child.id()) {
            return (child, ready);
        }
        let ended = child.try_wait().expect("it is our child");
        if ended.is_some() || Instant::now() > end {
            let _ = child.kill();
            let log = std::fs::read_to_string(directory.join("server.log")).unwrap_or_default();
            panic!("the server did not become ready ({ended:?}); {}:\n{log}", directory.display());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Finds the token that the first start prints.
fn read_token(directory: &Path) -> String {
    let file = directory.join("server.out");
    wait_for("the owner's token", Duration::from_secs(5), || {
        let text = std::fs::read_to_string(&file).ok()?;
        let words =
            text.split_whitespace().find(|word| word.starts_with("wl-") && word.len() == 43);
        words.map(str::to_owned)
    })
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let mut faults = Vec::new();
        if let Some(child) = self.state().child.take() {
            faults.extend(end_server(child));
        }
        let teardown = command::run(&mut self.role_command("teardown"), b"");
        if !teardown.status.success() {
            faults.push(format!("the teardown failed: {teardown}"));
        }
        let (data, run) = (self.data_directory(), self.run_directory());
        let end = Instant::now() + LEFTOVERS_LIMIT;
        let mut left = leftovers(&data, &run);
        while !left.is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50));
            left = leftovers(&data, &run);
        }
        faults.extend(left.into_iter().map(|what| format!("left behind: {what}")));
        if run.exists() {
            faults.push(format!("left behind: {}", run.display()));
        }
        if faults.is_empty() && !self.failed.load(Ordering::Relaxed) {
            let _ = std::fs::remove_dir_all(&self.directory);
            return;
        }
        eprintln!("kept for you to look at: {}", self.directory.display());
        let message = format!("the server did not end cleanly:\n{}", faults.join("\n"));
        if faults.is_empty() {
            return;
        }
        if std::thread::panicking() {
            eprintln!("{message}");
        } else {
            panic!("{message}");
        }
    }
}

/// Stops the server; returns what went wrong.
fn end_server(mut child: Child) -> Option<String> {
    let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
    let end = Instant::now() + STOP_LIMIT;
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() > end => {
                let _ = child.kill();
                let _ = child.wait();
                return Some("the server ignored SIGTERM".to_owned());
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(10)),
            Ok(Some(status)) if status.success() => return None,
            Ok(Some(status)) => return Some(format!("the server ended with {status}")),
            Err(error) => return Some(format!("the server was lost: {error}")),
        }
    }
}
