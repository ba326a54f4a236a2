//! `cargo xtask vm`: the container tests on pure cgroup v2, whatever this machine has. Debian's
//! cloud kernel runs in QEMU, which needs no help from the processor and so works in CI too.

mod disk;
mod kernel;

use crate::run::{Outcome, is_installed, root, shown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// How long the machine may run. It took 14 minutes on two cores with a load of 6 to 25.
const LIMIT: Duration = Duration::from_secs(45 * 60);

/// Programs that this uses, and the Debian packages that bring them.
pub const NEEDED: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("cpio", "cpio"),
    ("strip", "binutils"),
    ("busybox", "busybox-static"),
    ("nft", "nftables"),
    ("mkfs.ext4", "e2fsprogs"),
];

/// What is run unless something else is asked for, by parts of names: what the driver promises,
/// and what touches control groups. The rest is the same on both versions and would take as long
/// again.
const CHOSEN: &[&str] = &[
    "contract::",
    "lifecycle::",
    "limits::",
    "recovery::",
    "exec::a_client_that_goes_away",
    "exec::a_fork_bomb",
    "exec::it_is_no_more",
    "exec::what_it_leaves_behind",
    "volumes::instances_share",
];

/// What is left out of that, each with its reason.
const EXCLUDED: &[(&str, &str)] = &[
    (
        "lifecycle::fifty_at_once",
        "with emulated processors the last shims report after their limit",
    ),
    ("lifecycle::the_log_is_limited", "200,000 lines through emulated processors take a minute"),
];

const KERNEL_ARGUMENTS: &str = "console=ttyS0 quiet panic=-1 reboot=t nokaslr mitigations=off";

/// What `second.sh` says when no test has failed.
const ENDED_WELL: &str = "windlass-vm: ended with 0";

/// Why a step failed, in words.
pub type Failure = String;

pub fn main(parts: &[String]) -> ExitCode {
    let begun = Instant::now();
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(program, _)| !is_installed(program)).map(|(_, p)| *p).collect();
    if !missing.is_empty() {
        println!("install first: apt-get install --no-install-recommends {}", missing.join(" "));
        return ExitCode::FAILURE;
    }
    let machine = test_program().and_then(|program| prepare(&program, parts));
    let outcome = match machine {
        Ok(machine) => machine.boot(shown),
        Err(failure) => {
            println!("{failure}");
            return ExitCode::FAILURE;
        }
    };
    println!("in {} s", begun.elapsed().as_secs());
    if outcome.success { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What a machine is booted from.
pub struct Machine {
    kernel: PathBuf,
    memory_disk: PathBuf,
    disk: PathBuf,
}

/// Brings the kernel if it is not there, which [`prepare`] would do otherwise.
pub fn fetch_kernel() -> Result<(), Failure> {
    kernel::fetch(&directory()?).map(|_| ())
}

fn directory() -> Result<PathBuf, Failure> {
    let directory = root().join("target/vm");
    std::fs::create_dir_all(&directory).map_err(failed("make", &directory))?;
    Ok(directory)
}

/// Makes a machine that runs the container tests whose names contain one of `parts`, or those of
/// [`CHOSEN`], and ends. `program` is what they are compiled to.
pub fn prepare(program: &Path, parts: &[String]) -> Result<Machine, Failure> {
    if !cfg!(target_arch = "x86_64") {
        return Err("the machine for cgroup v2 needs an x86-64 processor's programs".to_owned());
    }
    let directory = directory()?;
    let kernel = kernel::fetch(&directory)?;
    let memory_disk = kernel.memory_disk(&directory)?;
    let disk = disk::make(&directory, program, &arguments(parts))?;
    Ok(Machine { kernel: kernel.image, memory_disk, disk })
}

fn arguments(parts: &[String]) -> Vec<String> {
    if !parts.is_empty() {
        return parts.to_vec();
    }
    let skipped = EXCLUDED.iter().map(|(part, reason)| {
        println!("left out: {part}: {reason}");
        format!("--skip={part}")
    });
    skipped.chain(CHOSEN.iter().map(ToString::to_string)).collect()
}

/// Builds the container tests with the features of the whole workspace, as `cargo xtask test` does.
fn test_program() -> Result<PathBuf, Failure> {
    let arguments = ["test", "--workspace", "--test", "containers", "--no-run"];
    let built = shown("cargo", &arguments, 40 * MINUTE);
    let found = built.lines.iter().find_map(|line| executable(line)).filter(|_| built.success);
    found.map(|path| root().join(path)).ok_or_else(|| "the tests cannot be built".to_owned())
}

/// Returns the program that a line of cargo names.
fn executable(line: &str) -> Option<&str> {
    let (_, path) = line.trim_start().strip_prefix("Executable ")?.split_once(" (")?;
    path.strip_suffix(')')
}

/// Runs a program: [`shown`] or [`silent`](crate::run::silent).
type Run = fn(&str, &[&str], Duration) -> Outcome;

impl Machine {
    /// Boots it and waits for its end. A success only if the tests have ended and said so.
    pub fn boot(&self, run: Run) -> Outcome {
        let [kernel, memory_disk, disk] =
            [&self.kernel, &self.memory_disk, &self.disk].map(|path| path.display().to_string());
        let drive = format!("file={disk},format=raw,if=virtio,cache=unsafe");
        // An emulated processor: no machine of CI need have virtualisation. One, and of a plain
        // kind: two that can do all that there is take twice the time of the real ones, which
        // other tests need.
        let hardware = "-accel tcg -machine q35 -cpu qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt -smp 1 \
            -m 1024 -nodefaults -no-user-config -nographic -no-reboot -serial stdio";
        let mut arguments: Vec<&str> = hardware.split_whitespace().collect();
        arguments.extend(["-drive", &drive, "-kernel", &kernel, "-initrd", &memory_disk]);
        arguments.extend(["-append", KERNEL_ARGUMENTS]);
        let mut outcome = run("qemu-system-x86_64", &arguments, LIMIT);
        outcome.success &= outcome.lines.iter().any(|line| line.trim_end() == ENDED_WELL);
        outcome
    }
}

/// Words an error of the file system.
fn failed<'a>(what: &'a str, path: &'a Path) -> impl Fn(std::io::Error) -> Failure + 'a {
    move |error| format!("{what} {}: {error}", path.display())
}

/// Runs a program of the host and returns what it printed.
fn output_of(program: &str, arguments: &[&str], directory: &Path) -> Result<String, Failure> {
    output_with_input(program, arguments, directory, Path::new("/dev/null"))
}

/// The same, with a file as the program's input.
fn output_with_input(
    program: &str,
    arguments: &[&str],
    directory: &Path,
    input: &Path,
) -> Result<String, Failure> {
    let said = |text: String| format!("{program} {} failed: {text}", arguments.join(" "));
    let mut command = std::process::Command::new("timeout");
    let input = std::fs::File::open(input).map_err(failed("open", input))?;
    command.arg("300").arg(program).args(arguments).current_dir(directory).stdin(input);
    let run = command.output();
    let output = run.map_err(|error| said(error.to_string()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(said(String::from_utf8_lossy(&output.stderr).into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_names_the_program() {
        let line = "  Executable tests/containers/main.rs (target/debug/deps/containers-1a2b)";
        assert_eq!(executable(line), Some("target/debug/deps/containers-1a2b"));
        assert_eq!(executable("   Compiling xtask v0.1.0 (/x)"), None);
    }
}
