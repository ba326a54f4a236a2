//! A driver on a small root file system, and a loop that runs the tests.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use windlass_core::driver::{Driver, DriverError};
use windlass_core::ids::{AppId, Digest, InstanceId};
use windlass_core::instance::{
    ExitStatus, InstanceKind, InstanceLabels, InstanceSpec, InstanceState, ObservedInstance,
    Output, Resources,
};
use windlass_oci::{ImageConfig, ImageStore};
use windlass_runtime::{EmbeddedDriver, RuntimeConfig};

/// How long one test may take, and how long it may wait for something. Says nothing about the
/// driver: an emulated processor beside others that compute is fifty times as slow as a real one.
const TEST_LIMIT: Duration = Duration::from_secs(600);
const LIMIT: Duration = Duration::from_secs(120);

pub type TestFuture = Pin<Box<dyn Future<Output = ()>>>;
pub type Test = (&'static str, fn() -> TestFuture);

/// Names test functions: `tests![one, two]` gives `tests()`.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub fn tests() -> Vec<$crate::harness::Test> {
            vec![$((
                concat!(module_path!(), "::", stringify!($name)),
                || Box::pin($name()) as $crate::harness::TestFuture,
            )),*]
        }
    };
}

/// Why nothing can be tested here, if so.
fn missing() -> Option<String> {
    let checks = windlass_runtime::probe();
    let failed = checks.into_iter().find(|check| !check.ok && check.name != "name servers");
    failed
        .map(|check| format!("{}: {}; {}", check.name, check.detail, check.remedy))
        .or_else(|| busybox().is_none().then(|| "install busybox-static".to_owned()))
}

fn busybox() -> Option<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox"].into_iter().map(PathBuf::from).find(|path| path.exists())
}

/// Keeps what panics say, beside printing it.
fn note_panics() -> Arc<Mutex<String>> {
    let said = Arc::new(Mutex::new(String::new()));
    let (noted, print) = (said.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        *noted.lock().unwrap_or_else(PoisonError::into_inner) += &format!("{panic}\n");
        print(panic);
    }));
    said
}

pub fn run(tests: Vec<Test>) -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let skipped: Vec<String> = std::env::args()
        .filter_map(|argument| argument.strip_prefix("--skip=").map(str::to_owned))
        .collect();
    let chosen = |name: &str| {
        (wanted.is_empty() || wanted.iter().any(|part| name.contains(part)))
            && !skipped.iter().any(|part| name.contains(part))
    };
    let tests: Vec<_> = tests.into_iter().filter(|(name, _)| chosen(name)).collect();
    if std::env::args().any(|argument| argument == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    if let Some(why) = missing() {
        println!("SKIPPED: all {} container tests: {why}", tests.len());
        return ExitCode::SUCCESS;
    }
    let (mut failed, mut failures) = (Vec::new(), String::new());
    let panicked = note_panics();
    for (name, test) in &tests {
        panicked.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let start = Instant::now();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let result = std::panic::catch_unwind(|| {
            runtime.block_on(async {
                tokio::time::timeout(TEST_LIMIT, test()).await.expect("took too long");
            });
        });
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        println!("test {name} ... {word} ({:.2} s)", start.elapsed().as_secs_f64());
        if result.is_err() {
            failed.push(*name);
            let said =
                std::mem::take(&mut *panicked.lock().unwrap_or_else(PoisonError::into_inner));
            failures += &format!("---- {name} stdout ----\n{said}\n");
        }
    }
    // As the standard runner says it, for `cargo xtask test`.
    print!("{failures}");
    println!("{} passed, {} failed {failed:?}", tests.len() - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A driver with a data directory of its own. [`Machine::finish`] checks that nothing is left.
pub struct Machine {
    pub driver: Arc<EmbeddedDriver>,
    pub config: RuntimeConfig,
    pub image: Digest,
    pub directory: tempfile::TempDir,
    pub app: AppId,
    /// Whole seconds after which a connection without an answer counts as not allowed.
    pub patience: u64,
}

impl Machine {
    pub async fn start() -> Self {
        let directory =
            tempfile::Builder::new().prefix("windlass-rt").tempdir_in("/var/tmp").unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let images = ImageStore::open(&directory.path().join("images")).unwrap();
        let image = small_image(&images);
        let name = AppId::random().0.simple().to_string()[..6].to_owned();
        let run = directory.path().join("run");
        let config = RuntimeConfig::new(name, run, directory.path().join("work"), images);
        let since = Instant::now();
        let driver = EmbeddedDriver::open(config.clone()).await.unwrap();
        // More where the machine is slow, which shows in how long opening takes.
        let patience = 1 + (2 * since.elapsed().as_secs()).min(10);
        Self { driver, config, image, directory, app: AppId::random(), patience }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn log_file(&self) -> PathBuf {
        self.path().join("logs/app.log")
    }

    /// An instance that runs a shell script as user 1000.
    pub fn script(&self, script: &str) -> InstanceSpec {
        self.command(&["/bin/sh", "-c", script])
    }

    /// One that says `served` at port 80.
    pub fn web_server(&self) -> InstanceSpec {
        self.script("mkdir /tmp/w; echo served > /tmp/w/index.html; exec httpd -f -p 80 -h /tmp/w")
    }

    pub fn command(&self, command: &[&str]) -> InstanceSpec {
        InstanceSpec {
            id: InstanceId::random("web", 1),
            labels: InstanceLabels {
                app: self.app,
                app_name: "testapp".parse().unwrap(),
                kind: InstanceKind::Formation,
                process: "web".parse().unwrap(),
                index: 1,
                release: Some(1),
                time_limit_ms: None,
                generation: 0,
            },
            image: self.image.clone(),
            command: command.iter().map(ToString::to_string).collect(),
            working_directory: "/".to_owned(),
            environment: BTreeMap::new(),
            user: 1000,
            group: None,
            mounts: Vec::new(),
            resources: Resources::default(),
            port: None,
            output: Output::Log { file: self.log_file(), source: "app[web.1]".to_owned() },
        }
    }

    /// Returns the messages in the log, without time and source. Of a large write a reader can
    /// see the beginning: a line without its end is left out.
    pub fn log(&self) -> Vec<String> {
        let text = std::fs::read(self.log_file()).unwrap_or_default();
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        String::from_utf8_lossy(&text[..whole])
            .lines()
            .map(|line| {
                windlass_core::log_line::parse(line).expect("a log line").message.to_owned()
            })
            .collect()
    }

    pub async fn wait_for_log(&self, part: &str) {
        wait_for(&format!("{part:?} in the log"), || self.log().iter().any(|l| l.contains(part)))
            .await;
    }

    /// Starts an instance and waits for its end.
    pub async fn run(&self, spec: InstanceSpec) -> ExitStatus {
        let id = spec.id.clone();
        self.driver.start(spec).await.unwrap();
        self.exited(&id).await
    }

    /// Runs a script to its end and returns what it printed.
    pub async fn output_of(&self, spec: InstanceSpec) -> (ExitStatus, Vec<String>) {
        let _ = std::fs::remove_file(self.log_file());
        let status = self.run(spec).await;
        (status, self.log())
    }

    pub async fn exited(&self, id: &InstanceId) -> ExitStatus {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(InstanceState::Exited(status)) = self.observe(id).await.map(|o| o.state) {
                return status;
            }
            assert!(Instant::now() < deadline, "{id} does not end");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub async fn observe(&self, id: &InstanceId) -> Option<ObservedInstance> {
        self.driver.observe().await.unwrap().into_iter().find(|o| o.spec.id == *id)
    }

    /// Lets the driver go without ending anything, as when the server is stopped, and opens it again.
    pub async fn restart(mut self) -> Self {
        drop(self.driver);
        self.driver = EmbeddedDriver::open(self.config.clone()).await.unwrap();
        self
    }

    /// Ends everything and checks that the machine is as it was.
    pub async fn finish(self) {
        self.driver.shutdown_everything().await;
        let deadline = Instant::now() + LIMIT;
        // The shim of an instance that could not be started has said why and is just ending.
        let mut left = leftovers(&self.config);
        while !left.is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
            left = leftovers(&self.config);
        }
        assert!(left.is_empty(), "left behind: {left:#?}");
    }
}

/// Returns everything on the machine that belongs to this driver.
pub fn leftovers(config: &RuntimeConfig) -> Vec<String> {
    let mut left = Vec::new();
    let name = &config.name;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let run = config.run_directory.to_str().unwrap();
    left.extend(mounts.lines().filter(|line| line.contains(run)).map(str::to_owned));
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        let group = hierarchy.path().join(format!("windlass-{name}"));
        left.extend(group.exists().then(|| format!("{group:?}")));
    }
    for device in std::fs::read_dir("/sys/class/net").unwrap().flatten() {
        let device = device.file_name().to_string_lossy().into_owned();
        left.extend(device.starts_with(&format!("wl{name}")).then_some(device));
    }
    let volumes = config.volumes_directory.to_str().unwrap();
    for device in std::fs::read_dir("/sys/block").unwrap().flatten() {
        let file = std::fs::read_to_string(device.path().join("loop/backing_file"));
        left.extend(file.ok().filter(|file| file.contains(volumes)));
    }
    let tables = Command::new("nft").args(["list", "tables"]).output().unwrap();
    left.extend(
        String::from_utf8_lossy(&tables.stdout).contains(name).then(|| "nft table".to_owned()),
    );
    for claim in std::fs::read_dir("/run/windlass/subnets").into_iter().flatten().flatten() {
        let owner = std::fs::read_to_string(claim.path()).unwrap_or_default();
        left.extend((owner == run).then(|| format!("{:?}", claim.path())));
    }
    left.extend(config.run_directory.exists().then(|| run.to_owned()));
    let writable = config.work_directory.join("writable");
    left.extend(writable.exists().then(|| format!("{writable:?}")));
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let command = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        if command.contains(run) && !is_zombie(&process.path()) {
            left.push(format!("process {:?} {command:?}", process.file_name()));
        }
    }
    left
}

fn is_zombie(process: &Path) -> bool {
    let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
    stat.contains(") Z ")
}

pub async fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Connects to what may not listen yet.
pub async fn connect(address: SocketAddr) -> TcpStream {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Ok(stream) = TcpStream::connect(address).await {
            return stream;
        }
        assert!(Instant::now() < deadline, "{address} does not answer");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub fn start_error(result: Result<ObservedInstance, DriverError>) -> DriverError {
    match result {
        Ok(instance) => panic!("{} has started", instance.spec.id),
        Err(error) => error,
    }
}

/// An image of busybox alone.
fn small_image(images: &ImageStore) -> Digest {
    let staging = images.staging_directory().unwrap();
    let root = staging.join("fs");
    for directory in ["bin", "etc", "home/app", "proc", "sys", "dev", "tmp", "app"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    std::fs::set_permissions(root.join("tmp"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    std::os::unix::fs::chown(root.join("home/app"), Some(1000), Some(1000)).unwrap();
    let busybox = busybox().unwrap();
    std::fs::copy(&busybox, root.join("bin/busybox")).unwrap();
    let applets = Command::new(&busybox).arg("--list").output().unwrap();
    for applet in String::from_utf8_lossy(&applets.stdout).lines().filter(|a| *a != "busybox") {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    std::fs::write(
        root.join("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
    )
    .unwrap();
    std::fs::write(root.join("etc/notexecutable"), "x").unwrap();
    // This very program, to make system calls from inside: it is linked dynamically.
    let layer = images.commit_layer(&staging).unwrap();
    let image = images.put_image(None, &[layer], &ImageConfig::default()).unwrap();
    images.set_tag("test", &image).unwrap();
    image
}
