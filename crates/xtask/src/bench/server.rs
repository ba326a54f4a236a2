//! A server of its own for a bench: temporary directories, free ports, an existing stack.

use super::{BenchError, Result};
use crate::run;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const READY_LIMIT: Duration = Duration::from_secs(30);

/// Directories that go away with it. Instances must be able to pass through them.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new() -> Result<Self> {
        let path = PathBuf::from(format!("/var/tmp/windlass-bench-{}", std::process::id()));
        let made = std::fs::DirBuilder::new().mode(0o711).create(&path);
        made.map_err(BenchError::io(format!("cannot make {}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("bench: {} was left behind: {error}", self.0.display());
        }
    }
}

/// Makes an image store that uses the layers of the server of this machine.
pub fn borrow_stack(images: &Path) -> Result<()> {
    let data = std::env::var_os("WINDLASS_DATA_DIRECTORY").unwrap_or("/var/lib/windlass".into());
    let theirs = Path::new(&data).join("images");
    if !theirs.join("index.json").exists() {
        let what = format!("there is no stack in {}: run `windlass setup`", theirs.display());
        return Err(BenchError::Failed(what));
    }
    let link = || -> std::io::Result<()> {
        for part in ["blobs/sha256", "layers"] {
            std::fs::create_dir_all(images.join(part))?;
            for entry in std::fs::read_dir(theirs.join(part))? {
                let entry = entry?;
                symlink(entry.path(), images.join(part).join(entry.file_name()))?;
            }
        }
        for file in ["index.json", "oci-layout"] {
            std::fs::copy(theirs.join(file), images.join(file))?;
        }
        Ok(())
    };
    link().map_err(BenchError::io(format!("cannot use {}", theirs.display())))
}

pub struct Server {
    windlass: PathBuf,
    child: Option<Child>,
    pub router: SocketAddr,
    pub pid: u32,
    api_url: String,
    token: String,
    run_directory: PathBuf,
    directory: Directory,
}

impl Server {
    pub fn start(windlass: &Path) -> Result<Self> {
        let directory = Directory::new()?;
        let run_directory = PathBuf::from(format!("/run/windlass/bench-{}", std::process::id()));
        borrow_stack(&directory.0.join("data/images"))?;
        let write = BenchError::io("cannot write to the bench's directory");
        std::fs::write(directory.0.join("windlass.toml"), "").map_err(write)?;
        let mut server = Self {
            windlass: windlass.to_owned(),
            child: None,
            router: SocketAddr::from(([127, 0, 0, 1], 0)),
            pid: 0,
            api_url: String::new(),
            token: String::new(),
            run_directory,
            directory,
        };
        server.spawn()?;
        server.read_doors()?;
        let mut token = server.role("owner-token");
        server.token = output("windlass owner-token", &mut token)?.trim().to_owned();
        Ok(server)
    }

    fn spawn(&mut self) -> Result<()> {
        let log = self.directory.0.join("server.log");
        let file = std::fs::File::create(&log).map_err(BenchError::io("the server's log"))?;
        let copy = file.try_clone().map_err(BenchError::io("the server's log"))?;
        let mut command = self.role("server");
        command.args(["--router-listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"]);
        command.args(["--ssh-listen", "off", "--log", "warn"]);
        command.stdin(Stdio::null()).stdout(file).stderr(copy).process_group(0);
        let child = command.spawn().map_err(BenchError::io("the server"))?;
        self.pid = child.id();
        self.child = Some(child);
        Ok(())
    }

    fn read_doors(&mut self) -> Result<()> {
        let ready = self.run_directory.join("ready.json");
        let since = Instant::now();
        while !ready.exists() {
            let ended = self.child.as_mut().is_some_and(|c| !matches!(c.try_wait(), Ok(None)));
            if ended || since.elapsed() > READY_LIMIT {
                let log = std::fs::read_to_string(self.directory.0.join("server.log"));
                let log = log.unwrap_or_default();
                return Err(BenchError::Failed(format!("the server does not start:\n{log}")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let text = std::fs::read_to_string(&ready).map_err(BenchError::io("ready.json"))?;
        let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let router = json["http"].as_str().and_then(|address| address.parse().ok());
        self.router = router.ok_or_else(|| BenchError::Failed(format!("unclear: {text}")))?;
        self.api_url = json["api_url"].as_str().unwrap_or_default().to_owned();
        Ok(())
    }

    pub fn data(&self) -> PathBuf {
        self.directory.0.join("data")
    }

    pub fn directory(&self) -> &Path {
        &self.directory.0
    }

    pub fn run_directory(&self) -> &Path {
        &self.run_directory
    }

    fn role(&self, name: &str) -> Command {
        let mut command = Command::new(&self.windlass);
        command.arg(name).arg("--config").arg(self.directory.0.join("windlass.toml"));
        command.arg("--data-directory").arg(self.data());
        command.arg("--run-directory").arg(&self.run_directory);
        command.env_remove("WINDLASS_DATA_DIRECTORY");
        command
    }

    /// Gives a command the owner's login and nothing of the user's.
    fn prepare(&self, command: &mut Command) {
        command.env("HOME", self.directory()).env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_TERMINAL_PROMPT", "0").env("no_proxy", "localhost,127.0.0.1");
        command.env("WINDLASS_URL", &self.api_url).env("WINDLASS_TOKEN", &self.token);
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "bench");
            command.env(format!("GIT_{role}_EMAIL"), "bench@localhost");
        }
    }

    /// Runs git in a repository.
    pub fn git(&self, repository: &Path, arguments: &[&str]) -> Result<String> {
        let mut git = Command::new("git");
        git.args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"]).args(arguments);
        git.current_dir(repository);
        self.prepare(&mut git);
        output(&format!("git {}", arguments.join(" ")), &mut git)
    }

    /// Makes a repository of an example, with one commit.
    pub fn repository(&self, example: &str) -> Result<PathBuf> {
        let (from, to) =
            (run::root().join("examples").join(example), self.directory().join(example));
        let mut copy = Command::new("cp");
        copy.arg("-r").arg(&from).arg(&to);
        output("cp", &mut copy)?;
        self.git(&to, &["init", "--quiet", "--initial-branch=main"])?;
        self.git(&to, &["add", "--all"])?;
        self.git(&to, &["commit", "--quiet", "--message", "first"])?;
        Ok(to)
    }

    /// Creates an app whose git remote has its name.
    pub fn create(&self, name: &str, repository: &Path) -> Result<()> {
        let mut create = Command::new(&self.windlass);
        create.args(["create", name, "--remote", name]).current_dir(repository);
        self.prepare(&mut create);
        output("windlass create", &mut create).map(drop)
    }

    /// Returns the answer's body to `GET /`, or nothing if there is no good answer.
    pub fn get(&self, app: &str) -> Option<String> {
        let mut stream = TcpStream::connect_timeout(&self.router, Duration::from_secs(2)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let request =
            format!("GET / HTTP/1.1\r\nHost: {app}.localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 200 ").then(|| body.to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let mut kill = Command::new("kill");
            kill.arg("-TERM").arg(child.id().to_string());
            let asked = output("kill", &mut kill);
            let since = Instant::now();
            while matches!(child.try_wait(), Ok(None)) && since.elapsed() < Duration::from_secs(20)
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = child.kill();
            let _ = child.wait();
            if let Err(error) = asked.and_then(|_| output("teardown", &mut self.role("teardown"))) {
                eprintln!("bench: {error}");
            }
        }
        let _ = std::fs::remove_dir_all(&self.run_directory);
    }
}

/// Runs a command to its end and returns its standard output.
pub fn output(what: &str, command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(BenchError::io(what))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(said(&output.stdout));
    }
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    Err(BenchError::Failed(format!("{what} ({}):\n{out}{err}", output.status)))
}
