//! A server of its own for a bench: temporary directories, free ports, an existing stack.

use super::door::{Disk, Door};
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

/// Returns the directories of an image's layers, the lowest first.
pub fn stack_layers(images: &Path, tag: &str) -> Result<Vec<PathBuf>> {
    let read = |path: PathBuf| -> Result<serde_json::Value> {
        let text = std::fs::read(&path).map_err(BenchError::io(path.display().to_string()))?;
        serde_json::from_slice(&text).map_err(|error| BenchError::Failed(error.to_string()))
    };
    let hash = |entry: &serde_json::Value| {
        let digest = entry["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:"));
        digest.map(str::to_owned).ok_or_else(|| BenchError::failed("an entry without a digest"))
    };
    let index = read(images.join("index.json"))?;
    let image = index["manifests"].as_array().into_iter().flatten().find(|image| {
        image["annotations"]["org.opencontainers.image.ref.name"].as_str() == Some(tag)
    });
    let image = image.ok_or_else(|| BenchError::Failed(format!("there is no {tag}")))?;
    let manifest = read(images.join("blobs/sha256").join(hash(image)?))?;
    let layers = manifest["layers"].as_array().into_iter().flatten();
    layers.map(|layer| Ok(images.join("layers").join(hash(layer)?))).collect()
}

pub struct Server {
    windlass: PathBuf,
    child: Option<Child>,
    pub router: SocketAddr,
    pub pid: u32,
    api_url: String,
    token: String,
    run_directory: PathBuf,
    /// Of its data directory, if that is on one of its own. Goes before the directory does.
    _disk: Option<Disk>,
    directory: Directory,
}

impl Server {
    pub fn start(windlass: &Path) -> Result<Self> {
        Self::start_with(windlass, "")
    }

    /// The same, with these lines as its configuration file.
    pub fn start_with(windlass: &Path, configuration: &str) -> Result<Self> {
        Self::start_in(windlass, configuration, None)
    }

    /// The same, with a file system of this size for its data directory.
    pub fn start_on_own_disk(windlass: &Path, configuration: &str, bytes: u64) -> Result<Self> {
        Self::start_in(windlass, configuration, Some(bytes))
    }

    fn start_in(windlass: &Path, configuration: &str, bytes: Option<u64>) -> Result<Self> {
        let directory = Directory::new()?;
        let (image, data) = (directory.0.join("disk.img"), directory.0.join("data"));
        let disk = bytes.map(|bytes| Disk::mount(&image, &data, bytes)).transpose()?;
        let run_directory = PathBuf::from(format!("/run/windlass/bench-{}", std::process::id()));
        borrow_stack(&directory.0.join("data/images"))?;
        let write = BenchError::io("cannot write to the bench's directory");
        std::fs::write(directory.0.join("windlass.toml"), configuration).map_err(write)?;
        let mut server = Self {
            windlass: windlass.to_owned(),
            child: None,
            router: SocketAddr::from(([127, 0, 0, 1], 0)),
            pid: 0,
            api_url: String::new(),
            token: String::new(),
            run_directory,
            _disk: disk,
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
        let file = std::fs::File::options().create(true).append(true).open(&log);
        let file = file.map_err(BenchError::io("the server's log"))?;
        let copy = file.try_clone().map_err(BenchError::io("the server's log"))?;
        let mut command = self.role("server");
        // Port 0 at first, then those that it got.
        let api = if self.pid == 0 { "127.0.0.1:0".to_owned() } else { self.api_address() };
        command.arg("--router-listen").arg(self.router.to_string());
        command.arg("--api-listen").arg(api);
        command.args(["--router-https-listen", "off"]);
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
                let last: Vec<&str> = log.lines().rev().take(10).collect();
                let log = last.into_iter().rev().collect::<Vec<_>>().join("\n");
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

    /// Returns what clients need.
    pub fn door(&self) -> Door {
        Door {
            windlass: self.windlass.clone(),
            home: self.directory().to_owned(),
            api_url: self.api_url.clone(),
            token: self.token.clone(),
        }
    }

    fn prepare(&self, command: &mut Command) {
        self.door().prepare(command);
    }

    /// Ends the server as `kill -9` does; what it started goes on.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Starts it again at the same addresses.
    pub fn start_again(&mut self) -> Result<()> {
        self.kill();
        let _ = std::fs::remove_file(self.run_directory.join("ready.json"));
        self.spawn()?;
        self.read_doors()
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

    /// Commits everything that is in a repository's directory.
    pub fn commit_all(&self, repository: &Path) -> Result<()> {
        self.git(repository, &["add", "--all"])?;
        self.git(repository, &["commit", "--quiet", "--message", "changed"]).map(drop)
    }

    /// Returns the push of what is committed to an app; its remote has the app's name.
    pub fn push_command(&self, repository: &Path, app: &str) -> Command {
        let mut push = Command::new("git");
        push.args(["push", app, "main"]).current_dir(repository);
        self.prepare(&mut push);
        push
    }

    /// Pushes and returns what the pusher sees.
    pub fn push(&self, repository: &Path, app: &str) -> Result<String> {
        all_output("git push", &mut self.push_command(repository, app))
    }

    /// Runs a command of the client.
    pub fn client(&self, directory: &Path, arguments: &[&str]) -> Result<()> {
        self.client_output(directory, arguments).map(drop)
    }

    /// The same; returns what it prints on standard output.
    pub fn client_output(&self, directory: &Path, arguments: &[&str]) -> Result<String> {
        let mut client = Command::new(&self.windlass);
        client.args(arguments).current_dir(directory);
        self.prepare(&mut client);
        output(&format!("windlass {}", arguments[0]), &mut client)
    }

    /// Returns the answer's body to `GET /`, or nothing if there is no good answer.
    pub fn get(&self, app: &str) -> Option<String> {
        get(self.router, &format!("GET / HTTP/1.1\r\nHost: {app}.localhost\r\n"))
    }

    fn api_address(&self) -> String {
        self.api_url.trim_start_matches("http://").replace("localhost", "127.0.0.1")
    }

    /// Returns what the Platform API answers to a `GET`, as the owner.
    pub fn api(&self, path: &str) -> Result<String> {
        let host = self.api_address();
        let address = host.parse().map_err(|_| BenchError::failed("the API's URL is unclear"))?;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nAccept: application/vnd.heroku+json; version=3\r\n",
            self.token
        );
        get(address, &head).ok_or_else(|| BenchError::Failed(format!("no good answer to {path}")))
    }
}

fn get(address: SocketAddr, head: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let is_good = head.starts_with("HTTP/1.1 200 ") || head.starts_with("HTTP/1.1 206 ");
    is_good.then(|| body.to_owned())
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; what it left running goes all the same.
            let mut kill = Command::new("kill");
            let _ = output("kill", kill.arg("-TERM").arg(child.id().to_string()));
            let since = Instant::now();
            while matches!(child.try_wait(), Ok(None)) && since.elapsed() < Duration::from_secs(20)
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        if self.pid != 0
            && let Err(error) = output("teardown", &mut self.role("teardown"))
        {
            eprintln!("bench: {error}");
        }
        let _ = std::fs::remove_dir_all(&self.run_directory);
    }
}

/// Runs a command to its end and returns its standard output.
pub fn output(what: &str, command: &mut Command) -> Result<String> {
    run_to_end(what, command).map(|(out, _)| out)
}

/// Runs a command to its end and returns its standard output and error.
pub fn all_output(what: &str, command: &mut Command) -> Result<String> {
    run_to_end(what, command).map(|(out, err)| out + &err)
}

fn run_to_end(what: &str, command: &mut Command) -> Result<(String, String)> {
    let output = command.stdin(Stdio::null()).output().map_err(BenchError::io(what))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    if output.status.success() {
        return Ok((out, err));
    }
    Err(BenchError::Failed(format!("{what} ({}):\n{out}{err}", output.status)))
}
