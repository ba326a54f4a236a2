//! What the kernel has to offer, read from /proc and /sys.

use super::Check;
use std::collections::BTreeSet;
use std::path::Path;

const NEEDED_CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

pub fn checks() -> Vec<Check> {
    let release = read("/proc/sys/kernel/osrelease");
    vec![
        version(release.trim()),
        overlayfs(&read("/proc/filesystems"), release.trim()),
        user_namespaces(&read("/proc/sys/user/max_user_namespaces")),
        seccomp(&read("/proc/sys/kernel/seccomp/actions_avail")),
        cgroups(&read("/sys/fs/cgroup/cgroup.controllers"), &read("/proc/self/mountinfo")),
        ip_forward(&read("/proc/sys/net/ipv4/ip_forward")),
    ]
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn version(release: &str) -> Check {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match version {
        (5, 19..) | (6.., _) => {
            Check::ok("kernel", format!("{release}, with id-mapped image layers"))
        }
        _ => Check::fail(
            "kernel",
            format!("{release} is too old for id-mapped image layers"),
            "upgrade to Linux 5.19 or newer",
        ),
    }
}

fn overlayfs(file_systems: &str, release: &str) -> Check {
    let name = "overlayfs";
    if file_systems.lines().any(|line| line.split_whitespace().last() == Some("overlay")) {
        return Check::ok(name, "there");
    }
    let module = Path::new("/lib/modules").join(release).join("kernel/fs/overlayfs");
    if module.exists() {
        return Check::fail(name, "its kernel module is not loaded", "modprobe overlay");
    }
    Check::fail(name, "this kernel has none", "use a kernel with CONFIG_OVERLAY_FS")
}

fn user_namespaces(maximum: &str) -> Check {
    let name = "user namespaces";
    match maximum.trim().parse::<u64>() {
        Ok(0) => Check::fail(name, "switched off", "sysctl -w user.max_user_namespaces=65536"),
        Ok(maximum) => Check::ok(name, format!("up to {maximum}")),
        Err(_) => Check::fail(name, "this kernel has none", "use a kernel with CONFIG_USER_NS"),
    }
}

fn seccomp(actions: &str) -> Check {
    if actions.split_whitespace().any(|action| action == "errno") {
        Check::ok("seccomp", "there")
    } else {
        Check::fail(
            "seccomp",
            "this kernel cannot filter system calls",
            "use a kernel with CONFIG_SECCOMP_FILTER",
        )
    }
}

/// `unified` lists the controllers of a v2 hierarchy at the usual place, if that is what is there.
fn cgroups(unified: &str, mount_info: &str) -> Check {
    let v2: BTreeSet<&str> = unified.split_whitespace().collect();
    let (version, found) =
        if v2.is_empty() { ("v1", v1_controllers(mount_info)) } else { ("v2", v2) };
    let missing: Vec<&str> =
        NEEDED_CONTROLLERS.into_iter().filter(|name| !found.contains(name)).collect();
    if missing.is_empty() {
        return Check::ok("cgroups", format!("{version} with {}", NEEDED_CONTROLLERS.join(", ")));
    }
    let mend = if missing.contains(&"memory") {
        "boot with the kernel parameters cgroup_enable=memory swapaccount=1, or mount the controllers"
    } else {
        "mount the cgroup file system with these controllers"
    };
    Check::fail("cgroups", format!("{version} without {}", missing.join(", ")), mend)
}

/// Returns the names among the mount options of all mounts of the type `cgroup`.
fn v1_controllers(mount_info: &str) -> BTreeSet<&str> {
    mount_info.lines().filter_map(v1_options).flatten().collect()
}

fn v1_options(line: &str) -> Option<Vec<&str>> {
    // ... - <type> <source> <options of the file system>
    let (_, after) = line.split_once(" - ")?;
    let mut fields = after.split(' ');
    (fields.next()? == "cgroup").then(|| fields.nth(1).unwrap_or_default().split(',').collect())
}

fn ip_forward(value: &str) -> Check {
    match value.trim() {
        "1" => Check::ok("ip forwarding", "on"),
        "0" => Check::ok("ip forwarding", "off; the server switches it on when it starts"),
        _ => {
            Check::fail("ip forwarding", "this kernel has no IPv4", "use a kernel with CONFIG_INET")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn kernels_are_told_apart() {
        assert_eq!(version("6.1.0-13-amd64").status, Status::Ok);
        assert_eq!(version("5.19.0").status, Status::Ok);
        assert_eq!(version("5.15.0-91-generic").status, Status::Fail);
        assert_eq!(version("4.19.0").status, Status::Fail);
        assert_eq!(version("").status, Status::Fail);
    }

    #[test]
    fn controllers_of_both_versions_are_found() {
        assert_eq!(cgroups("cpuset cpu io memory pids\n", "").found, "v2 with cpu, memory, pids");
        let hybrid = "40 30 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
                      41 30 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      42 30 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,pids\n";
        let check = cgroups("", hybrid);
        assert_eq!((check.status, check.found.as_str()), (Status::Fail, "v1 without pids"));
        let whole =
            format!("{hybrid}43 30 0:33 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n");
        assert_eq!(cgroups("", &whole).status, Status::Ok);
        assert!(cgroups("cpu pids", "").mend.unwrap().contains("cgroup_enable=memory"));
    }

    #[test]
    fn switched_off_features_are_seen() {
        assert_eq!(user_namespaces("0\n").status, Status::Fail);
        assert_eq!(user_namespaces("96365\n").status, Status::Ok);
        assert_eq!(user_namespaces("").status, Status::Fail);
        assert_eq!(overlayfs("nodev\tproc\n\text4\nnodev\toverlay\n", "x").status, Status::Ok);
        assert_eq!(overlayfs("nodev\tproc\n", "x").status, Status::Fail);
        assert_eq!(seccomp("kill_process errno allow").status, Status::Ok);
        assert_eq!(seccomp("").status, Status::Fail);
        assert_eq!(ip_forward("0\n").status, Status::Ok);
        assert_eq!(ip_forward("").status, Status::Fail);
    }
}
