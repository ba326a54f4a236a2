//! `bench start`: from the start of a container to its first output, beside crun and runc.

use super::numbers::{Samples, against_goal};
use super::server::{Directory, borrow_stack, output};
use super::{BenchError, Programs, Result, machine};
use crate::run;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const GOAL_RATIO: f64 = 1.0;
/// Rounds that are not counted: the files are read into memory.
const WARM_UP: usize = 3;
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

const PROFILE: &str = "/usr/share/containers/seccomp.json";
/// The package with Docker's profile, as podman ships it.
const PROFILE_PACKAGE: &str = "golang-github-containers-common";

const DOCKER_CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

pub fn run(programs: &Programs, runs: usize) -> Result<()> {
    machine::print();
    for tool in ["crun", "runc"] {
        if !run::is_installed(tool) {
            let what =
                format!("{tool} is not installed: apt-get install --no-install-recommends {tool}");
            return Err(BenchError::Failed(what));
        }
    }
    let directory = Directory::new()?;
    let images = directory.0.join("images");
    borrow_stack(&images)?;
    let run_directory = RunDirectory::new()?;
    let mut driver = Command::new(&programs.starter);
    driver.arg("driver").args([&images, &directory.0, &run_directory.0.join("driver")]);
    let mut driver = Partner::start(driver.arg(&programs.windlass))?;
    let hello = driver.hear()?;
    let layers: Vec<&str> =
        hello["layers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();

    let plain = bundle(&directory.0, "plain", None)?;
    let filtered = bundle(&directory.0, "filtered", Some(docker_profile(&directory.0)?))?;
    let mut commands = Command::new("unshare");
    commands.args(["--mount", "--propagation", "private", "--"]).arg(&programs.starter);
    commands.arg("commands").arg(directory.0.join("rootfs")).arg(layers.join(":"));
    let mut commands = Partner::start(&mut commands)?;
    commands.hear()?;
    let line = |tool: &str, bundle: &Path| {
        let state = run_directory.0.join(tool);
        format!("{tool} --root {} run --bundle {}", state.display(), bundle.display())
    };
    let mut rows = [
        Row::new("windlass shim, its profile", String::new()),
        Row::new("crun, Docker's profile", line("crun", &filtered)),
        Row::new("runc, Docker's profile", line("runc", &filtered)),
        Row::new("crun, no profile", line("crun", &plain)),
        Row::new("runc, no profile", line("runc", &plain)),
    ];
    for round in 0..WARM_UP + runs {
        for row in &mut rows {
            let partner = if row.line.is_empty() { &mut driver } else { &mut commands };
            let answer = partner.ask(&row.line)?;
            if round >= WARM_UP {
                row.add(&answer)?;
            }
        }
    }
    print(&rows, runs);
    Ok(())
}

struct Row {
    name: &'static str,
    line: String,
    first_output: Samples,
    gone: Samples,
    processor: Samples,
}

impl Row {
    fn new(name: &'static str, line: String) -> Self {
        let (first_output, gone, processor) = Default::default();
        Self { name, line, first_output, gone, processor }
    }

    fn add(&mut self, answer: &Value) -> Result<()> {
        for (samples, name) in [
            (&mut self.first_output, "first_output"),
            (&mut self.gone, "gone"),
            (&mut self.processor, "processor"),
        ] {
            let unclear = || BenchError::Failed(format!("unclear: {answer}"));
            samples.push(answer[name].as_f64().ok_or_else(unclear)?);
        }
        Ok(())
    }
}

fn print(rows: &[Row], runs: usize) {
    println!("start to first output of /bin/echo in the stack, {runs} runs each, in turns; ms");
    println!("the shim mounts the root and makes a network; crun and runc find the root mounted\n");
    println!(
        "  {:<28} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10}",
        "", "best", "median", "p90", "gone", "CPU", "to crun's"
    );
    let crun = rows[1].first_output.median();
    for row in rows {
        println!(
            "  {:<28} {:>8.1} {:>8.1} {:>8.1} {:>8.1} {:>8.1} {:>10.2}",
            row.name,
            row.first_output.best(),
            row.first_output.median(),
            row.first_output.p90(),
            row.gone.median(),
            row.processor.mean(),
            row.first_output.median() / crun
        );
    }
    println!();
    against_goal(
        "the shim to crun, both filtered",
        rows[0].first_output.median() / crun,
        GOAL_RATIO,
        "×",
    );
}

/// A program that measures: a line in, a line of JSON out.
struct Partner {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Partner {
    fn start(command: &mut Command) -> Result<Self> {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(BenchError::io("the starter"))?;
        let (sender, lines) = channel();
        let output = child.stdout.take().ok_or_else(|| BenchError::failed("no output"))?;
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take();
        Ok(Self { child, input, lines })
    }

    fn ask(&mut self, line: &str) -> Result<Value> {
        let input = self.input.as_mut().ok_or_else(|| BenchError::failed("no input"))?;
        writeln!(input, "{line}").map_err(BenchError::io("the starter"))?;
        self.hear()
    }

    fn hear(&mut self) -> Result<Value> {
        let line = self.lines.recv_timeout(ANSWER_LIMIT);
        let line =
            line.map_err(|_| BenchError::failed("the starter gives no answer, see above"))?;
        serde_json::from_str(&line).map_err(|_| BenchError::Failed(format!("unclear: {line}")))
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        // It cleans up and ends when it has read everything.
        self.input = None;
        let since = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && since.elapsed() < ANSWER_LIMIT {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The state of all runtimes, on a tmpfs as it should be: not every machine has one at `/run`.
struct RunDirectory(PathBuf);

impl RunDirectory {
    fn new() -> Result<Self> {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        let at_run = mounts.lines().any(|line| line.starts_with("tmpfs /run tmpfs"));
        let parent = if at_run { "/run" } else { "/dev/shm" };
        let path = PathBuf::from(format!("{parent}/windlass-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(BenchError::io("the run directory"))?;
        Ok(Self(path))
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Returns Docker's profile: that of this machine, else out of the package, which is not installed.
fn docker_profile(directory: &Path) -> Result<Value> {
    let mut path = PathBuf::from(PROFILE);
    if !path.exists() {
        let download = directory.join("profile");
        std::fs::create_dir(&download).map_err(BenchError::io("the profile"))?;
        let mut get = Command::new("apt-get");
        output(
            "apt-get download",
            get.args(["-q", "download", PROFILE_PACKAGE]).current_dir(&download),
        )?;
        let entries = std::fs::read_dir(&download).map_err(BenchError::io("the profile"))?;
        let package = entries.flatten().next().ok_or_else(|| BenchError::failed("no package"))?;
        let mut unpack = Command::new("dpkg-deb");
        output("dpkg-deb", unpack.arg("--extract").arg(package.path()).arg(&download))?;
        path = download.join(PROFILE.trim_start_matches('/'));
    }
    let text = std::fs::read(&path).map_err(BenchError::io(PROFILE))?;
    let profile: Value =
        serde_json::from_slice(&text).map_err(|error| BenchError::Failed(error.to_string()))?;
    Ok(applied(&profile))
}

/// What Docker makes of its profile for a container with the usual capabilities.
fn applied(profile: &Value) -> Value {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let has =
        |list: &Value, wanted: &str| list.as_array().is_some_and(|l| l.iter().any(|v| v == wanted));
    let capabilities = |list: &Value| -> Vec<bool> {
        let names = list.as_array().into_iter().flatten().filter_map(Value::as_str);
        names.map(|name| DOCKER_CAPABILITIES.contains(&name.trim_start_matches("CAP_"))).collect()
    };
    let applies = |rule: &Value| {
        let (includes, excludes) = (&rule["includes"], &rule["excludes"]);
        let only_for = includes["arches"].as_array().is_some_and(|list| !list.is_empty());
        !(only_for && !has(&includes["arches"], architecture)
            || has(&excludes["arches"], architecture)
            || capabilities(&includes["caps"]).contains(&false)
            || capabilities(&excludes["caps"]).contains(&true))
    };
    let rules: Vec<Value> = profile["syscalls"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|rule| applies(rule))
        .map(|rule| {
            let mut kept = json!({"names": rule["names"], "action": rule["action"]});
            for field in ["args", "errnoRet"] {
                if !rule[field].is_null() {
                    kept[field] = rule[field].clone();
                }
            }
            kept
        })
        .collect();
    let architectures: &[&str] = if architecture == "arm64" {
        &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
    } else {
        &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    };
    json!({"defaultAction": "SCMP_ACT_ERRNO", "architectures": architectures, "syscalls": rules})
}

/// Writes a bundle as Docker would make it, over the root that both bundles share.
fn bundle(directory: &Path, name: &str, seccomp: Option<Value>) -> Result<PathBuf> {
    let bundle = directory.join(name);
    for part in
        [&bundle, &directory.join("rootfs"), &directory.join("upper"), &directory.join("work")]
    {
        std::fs::create_dir_all(part).map_err(BenchError::io("the bundle"))?;
    }
    let mount = |target: &str, kind: &str, options: &[&str]| json!({"destination": target, "type": kind, "source": kind, "options": options});
    let capabilities: Vec<String> =
        DOCKER_CAPABILITIES.iter().map(|c| format!("CAP_{c}")).collect();
    let namespaces: Vec<Value> = ["pid", "mount", "uts", "ipc", "network", "cgroup"]
        .iter()
        .map(|kind| json!({"type": kind}))
        .collect();
    let mut config = json!({
        "ociVersion": "1.0.2",
        "hostname": "bench",
        "root": {"path": directory.join("rootfs"), "readonly": false},
        "process": {
            "user": {"uid": 1000, "gid": 1000}, "cwd": "/", "args": ["/bin/echo", "started"],
            "env": ["PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/app"], "noNewPrivileges": true,
            "capabilities": {"bounding": capabilities},
        },
        "mounts": [
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
            mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        ],
        "linux": {
            "namespaces": namespaces,
            "cgroupsPath": format!("/windlass-bench-{}", std::process::id()),
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            "resources": {
                "devices": [{"allow": false, "access": "rwm"}],
                "memory": {"limit": 512 << 20}, "cpu": {"shares": 1024}, "pids": {"limit": 256},
            },
        },
    });
    if let Some(seccomp) = seccomp {
        config["linux"]["seccomp"] = seccomp;
    }
    let file = bundle.join("config.json");
    std::fs::write(&file, config.to_string()).map_err(BenchError::io("config.json"))?;
    Ok(bundle)
}
