//! The demo's own platform: directories, the server as a child process, and its end.

use super::interrupt::Interrupt;
use super::{DemoError, child, leftovers};
use crate::config::Config;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use windlass_oci::ImageStore;

/// Where all `windlass` servers keep what must not survive a reboot.
const RUN_PARENT: &str = "/run/windlass";
/// The demo's directory, less its process number.
const DIRECTORY: &str = "/var/tmp/windlass-demo-";
const READY_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(20);
const TEARDOWN_LIMIT: Duration = Duration::from_secs(120);

pub struct DemoPlatform {
    program: PathBuf,
    directory: PathBuf,
    /// The server's configuration, as the server itself will read it.
    config: Config,
    server: Option<Child>,
    doors: Option<Doors>,
    /// Whether no other server has been on this machine since its start.
    made_run_parent: bool,
}

/// Where the server listens, and the owner's token.
#[derive(Clone, Debug)]
pub struct Doors {
    pub router: SocketAddr,
    pub api: SocketAddr,
    pub api_url: String,
    pub token: String,
}

impl DemoPlatform {
    /// Makes the directories. Instances must be able to pass through them.
    pub fn prepare_directories() -> Result<Self, DemoError> {
        let made_run_parent = !Path::new(RUN_PARENT).exists();
        let directory = PathBuf::from(format!("{DIRECTORY}{}", std::process::id()));
        std::fs::DirBuilder::new()
            .mode(0o711)
            .create(&directory)
            .map_err(DemoError::io("cannot make", &directory))?;
        let platform = Self { made_run_parent, ..Self::of(directory)? };
        for name in ["data", "home"] {
            let path = platform.directory.join(name);
            std::fs::create_dir(&path).map_err(DemoError::io("cannot make", &path))?;
        }
        Ok(platform)
    }

    /// Returns what demos have left behind that were killed before they could clean up.
    pub fn of_killed_demos() -> Vec<Self> {
        let is_dead = |path: &Path| {
            let pid = path.to_str().and_then(|path| path.strip_prefix(DIRECTORY));
            pid.is_some_and(|pid| {
                pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists()
            })
        };
        // Everybody may make such a name there.
        let is_ours = |path: &Path| {
            std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == 0)
        };
        let entries = std::fs::read_dir("/var/tmp").into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        paths
            .filter(|path| is_dead(path) && is_ours(path))
            .filter_map(|path| Self::of(path).ok())
            .collect()
    }

    fn of(directory: PathBuf) -> Result<Self, DemoError> {
        let proc_exe = Path::new("/proc/self/exe");
        let program = std::env::current_exe().map_err(DemoError::io("cannot find", proc_exe))?;
        let config = config(&directory)?;
        Ok(Self { program, directory, config, server: None, doors: None, made_run_parent: false })
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn data_directory(&self) -> &Path {
        &self.config.data_directory
    }

    pub fn doors(&self) -> Result<&Doors, DemoError> {
        self.doors.as_ref().ok_or_else(|| DemoError::Failed("the server is not up".to_owned()))
    }

    /// Uses the stack of a server that is installed on this machine, if it has one. Returns
    /// whether it has.
    pub fn borrow_stack(&self, data_directory: &Path) -> Result<bool, DemoError> {
        let theirs = data_directory.join("images");
        if !theirs.join("index.json").exists() {
            return Ok(false);
        }
        let failed =
            |error| DemoError::Failed(format!("the stack in {}: {error}", theirs.display()));
        let theirs = ImageStore::open(&theirs).map_err(failed)?;
        let ready = crate::setup::stack_state(&theirs, crate::setup::DEFAULT_STACK)?;
        if !matches!(ready, crate::setup::StackState::Ready(_)) {
            return Ok(false);
        }
        let ours = ImageStore::open(&self.config.image_directory()).map_err(failed)?;
        ours.borrow_tags_from(&theirs).map_err(failed)?;
        Ok(true)
    }

    /// Runs `windlass setup` for our own data directory, with its own output and questions.
    pub fn set_up(&self, yes: bool, interrupt: &Interrupt) -> Result<(), DemoError> {
        let mut setup = self.role("setup");
        if yes {
            setup.arg("--yes");
        }
        let mut setup = setup.spawn().map_err(DemoError::io("cannot start", &self.program))?;
        let ended = interrupt.wait("windlass setup", Duration::from_secs(3600), || {
            setup
                .try_wait()
                .map(|s| s.is_some())
                .map_err(DemoError::io("cannot wait for", &self.program))
        });
        let status = child::stop(&mut setup, STOP_LIMIT);
        ended?;
        if status.is_some_and(|status| status.success()) { Ok(()) } else { Err(DemoError::Setup) }
    }

    pub fn start_server(&mut self, interrupt: &Interrupt) -> Result<(), DemoError> {
        let log = self.server_log();
        let open = std::fs::File::options().create(true).append(true).mode(0o600).open(&log);
        let file = open.map_err(DemoError::io("cannot write", &log))?;
        let copy = file.try_clone().map_err(DemoError::io("cannot write", &log))?;
        let router = preferred(&[8080, 8000, 8088, 8888]);
        let api = preferred(&[8081, 8001, 8089, 8889]);
        // However the demo ends, the server does not outlive it.
        let mut server = Command::new("setpriv");
        server.args(["--pdeathsig", "TERM", "--"]);
        let role = self.role("server");
        server.arg(role.get_program()).args(role.get_args());
        remove_settings(&mut server);
        server.args(["--ssh-listen", "off", "--router-https-listen", "off"]);
        server.args(["--router-listen", &router.to_string(), "--api-listen", &api.to_string()]);
        server.stdin(Stdio::null()).stdout(file).stderr(copy);
        // Ctrl-C is for the demo, which stops the server when it is its turn.
        std::os::unix::process::CommandExt::process_group(&mut server, 0);
        self.server = Some(server.spawn().map_err(DemoError::io("cannot start", &self.program))?);
        let ready = self.config.run_directory().join("ready.json");
        interrupt.wait("the server's start", READY_LIMIT, || {
            self.check_server()?;
            Ok(ready.exists())
        })?;
        self.doors = Some(self.read_doors(&ready, interrupt)?);
        Ok(())
    }

    /// Errors: the server has ended; with the last line it said.
    pub fn check_server(&mut self) -> Result<(), DemoError> {
        let ended = self.server.as_mut().and_then(|server| server.try_wait().ok().flatten());
        let Some(status) = ended else { return Ok(()) };
        let log = std::fs::read_to_string(self.server_log()).unwrap_or_default();
        let last = log.trim_end().lines().last().unwrap_or("it said nothing").to_owned();
        Err(DemoError::Failed(format!("the server has ended ({status}): {last}")))
    }

    fn read_doors(&self, ready: &Path, interrupt: &Interrupt) -> Result<Doors, DemoError> {
        let text = std::fs::read_to_string(ready).map_err(DemoError::io("cannot read", ready))?;
        let unclear = || DemoError::Failed(format!("{} is unclear: {text}", ready.display()));
        let json: serde_json::Value = serde_json::from_str(&text).map_err(|_| unclear())?;
        let field = |name: &str| json[name].as_str().ok_or_else(unclear);
        let address = |name: &str| field(name)?.parse::<SocketAddr>().map_err(|_| unclear());
        let mut token = String::new();
        child::run(
            "windlass owner-token",
            self.role("owner-token"),
            READY_LIMIT,
            interrupt,
            |line| {
                token = line.to_owned();
            },
        )?;
        Ok(Doors {
            router: address("http")?,
            api: address("api")?,
            api_url: field("api_url")?.to_owned(),
            token,
        })
    }

    /// A command of the client, as the owner of the demo's server.
    pub fn client(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        self.prepare(&mut command);
        command
    }

    /// Gives a command the demo's home and server, and nothing of the user's.
    pub fn prepare(&self, command: &mut Command) {
        remove_settings(command);
        command.env("HOME", self.directory.join("home")).env_remove("XDG_CONFIG_HOME");
        // What is on this machine is reached directly.
        command.env("no_proxy", "localhost,127.0.0.1").env("NO_PROXY", "localhost,127.0.0.1");
        if let Some(doors) = &self.doors {
            command.env("WINDLASS_URL", &doors.api_url).env("WINDLASS_TOKEN", &doors.token);
        }
    }

    /// A role of this program on the demo's directories.
    fn role(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(name).arg("--config").arg(self.config_file());
        command.arg("--data-directory").arg(self.data_directory());
        remove_settings(&mut command);
        command
    }

    fn config_file(&self) -> PathBuf {
        self.directory.join("windlass.toml")
    }

    fn server_log(&self) -> PathBuf {
        self.directory.join("server.log")
    }

    /// Ends everything, removes everything, and returns what is left all the same.
    pub fn clean_up(&mut self) -> Vec<String> {
        let (mut left, mut said) = (Vec::new(), Vec::new());
        if let Some(mut server) = self.server.take() {
            child::stop(&mut server, STOP_LIMIT);
        }
        // The server makes it before anything else.
        if self.config.run_directory().exists() {
            let teardown = self.role("teardown");
            let note = |line: &str| said.push(format!("teardown said: {line}"));
            let never = Interrupt::never();
            if let Err(error) =
                child::run("windlass teardown", teardown, TEARDOWN_LIMIT, &never, note)
            {
                left.push(error.to_string());
            }
        }
        let run = self.config.run_directory();
        for directory in [&self.directory, &run] {
            if let Err(error) = remove(directory) {
                left.push(format!("{} could not be removed: {error}", directory.display()));
            }
        }
        if self.made_run_parent {
            // Not if another server has come meanwhile: then they are not empty.
            let _ = std::fs::remove_file(Path::new(RUN_PARENT).join("subnets/.lock"));
            let _ = std::fs::remove_dir(Path::new(RUN_PARENT).join("subnets"));
            let _ = std::fs::remove_dir(RUN_PARENT);
        }
        left.extend(leftovers::find(&self.config.name(), &[&self.directory, &run]));
        if !left.is_empty() {
            left.append(&mut said);
        }
        left
    }
}

/// The user's settings are for the user's server.
fn remove_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"WINDLASS_") {
            command.env_remove(name);
        }
    }
}

/// What the server will make of the flags that it is given.
fn config(directory: &Path) -> Result<Config, DemoError> {
    let file = directory.join("windlass.toml");
    std::fs::write(&file, "").map_err(DemoError::io("cannot write", &file))?;
    let data = directory.join("data").display().to_string();
    let flags = BTreeMap::from([("data_directory", data)]);
    Config::load(Some(&file), |_| None, &flags)
        .map_err(|error| DemoError::Failed(error.to_string()))
}

/// The first of the ports that is free, else any.
fn preferred(ports: &[u16]) -> SocketAddr {
    let addresses = ports.iter().map(|port| SocketAddr::from(([127, 0, 0, 1], *port)));
    addresses
        .into_iter()
        .find(|address| TcpListener::bind(address).is_ok() && is_quiet(address.port()))
        .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)))
}

/// Whether nobody listens there on another address either: a browser may try IPv6 first.
fn is_quiet(port: u16) -> bool {
    ["[::1]", "0.0.0.0"].iter().all(|host| {
        let address: Option<SocketAddr> = format!("{host}:{port}").parse().ok();
        let bound = address.map(TcpListener::bind);
        !matches!(bound, Some(Err(error)) if error.kind() == std::io::ErrorKind::AddrInUse)
    })
}

/// Removes a directory; processes that are just ending may still write to it.
fn remove(directory: &Path) -> std::io::Result<()> {
    let mut tries = 0;
    loop {
        match std::fs::remove_dir_all(directory) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) if tries == 40 => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
        tries += 1;
    }
}
