//! What this machine must have to run containers, for `windlass doctor`.

use crate::cgroup::Hierarchies;
use crate::driver::{host_resolv_conf, name_servers};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const NFT_LIMIT: Duration = Duration::from_secs(10);

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What to do about it; empty when nothing is to be done.
    pub remedy: &'static str,
}

/// Looks at the machine. Changes nothing.
#[must_use]
pub fn probe() -> Vec<Check> {
    vec![
        root(),
        kernel(),
        cgroups(),
        overlay(),
        user_namespaces(),
        seccomp(),
        nft(),
        forwarding(),
        name_resolution(),
    ]
}

fn check(name: &'static str, ok: bool, detail: String, remedy: &'static str) -> Check {
    Check { name, ok, detail, remedy: if ok { "" } else { remedy } }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn root() -> Check {
    let user = nix::unistd::geteuid();
    check("root", user.is_root(), format!("running as user {user}"), "run the server as root")
}

/// Id-mapped mounts of overlay layers came with 5.19; the other calls in use are older.
fn kernel() -> Check {
    let release = read("/proc/sys/kernel/osrelease");
    let ok = kernel_version(&release).is_some_and(|version| version >= (5, 19));
    check("kernel", ok, format!("Linux {release}"), "use Linux 5.19 or newer (id-mapped mounts)")
}

fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn cgroups() -> Check {
    let remedy = "mount the cgroup controllers memory, cpu and pids below /sys/fs/cgroup";
    match Hierarchies::detect() {
        Ok(found) => check("cgroups", true, format!("version {}", found.version()), remedy),
        Err(error) => check("cgroups", false, error.to_string(), remedy),
    }
}

fn overlay() -> Check {
    let known = read("/proc/filesystems").lines().any(|line| line.ends_with("\toverlay"));
    let release = read("/proc/sys/kernel/osrelease");
    let module = Path::new("/lib/modules").join(release).join("kernel/fs/overlayfs").exists();
    let detail = match (known, module) {
        (true, _) => "available",
        (false, true) => "available as a module",
        (false, false) => "not in this kernel",
    };
    let remedy = "use a kernel with overlayfs, or load it: modprobe overlay";
    check("overlayfs", known || module, detail.to_owned(), remedy)
}

fn user_namespaces() -> Check {
    let most = read("/proc/sys/user/max_user_namespaces");
    let ok = most.parse::<u64>().is_ok_and(|number| number > 0);
    let detail =
        if most.is_empty() { "not in this kernel".to_owned() } else { format!("{most} allowed") };
    check("user namespaces", ok, detail, "sysctl user.max_user_namespaces=65536")
}

fn seccomp() -> Check {
    let kernel = read("/proc/sys/kernel/seccomp/actions_avail");
    let compiled = crate::seccomp::compile();
    let ok = kernel.split(' ').any(|action| action == "errno") && compiled.is_ok();
    let detail = match compiled {
        Ok(program) => format!("filter of {} instructions", program.len()),
        Err(error) => error.to_string(),
    };
    check("seccomp", ok, detail, "use a kernel with CONFIG_SECCOMP_FILTER on a supported processor")
}

fn nft() -> Check {
    let remedy = "install the package nftables";
    match run_nft() {
        Ok(version) => check("nftables", true, version, remedy),
        Err(error) => check("nftables", false, error, remedy),
    }
}

fn run_nft() -> Result<String, String> {
    let mut child = Command::new("nft")
        .args(["list", "tables"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("nft: {error}"))?;
    let deadline = Instant::now() + NFT_LIMIT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok("works".to_owned()),
            Ok(Some(status)) => return Err(format!("nft ended with {status}")),
            Ok(None) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Err("nft does not answer".to_owned());
            }
        }
    }
}

/// Another firewall may drop what is forwarded: then instances have no way out. Docker sets that
/// policy, for example.
fn forwarding() -> Check {
    let on = read("/proc/sys/net/ipv4/ip_forward") == "1";
    let detail = if on { "on" } else { "off; the server switches it on" };
    let docker = Path::new("/sys/class/net/docker0").exists();
    let detail = if docker {
        format!(
            "{detail}; Docker is here and drops forwarded packets by default: if instances cannot \
             reach the network, run `iptables -I DOCKER-USER -s 10.200.0.0/14 -j ACCEPT` and the \
             same with `-d`"
        )
    } else {
        detail.to_owned()
    };
    check("forwarding", true, detail, "")
}

fn name_resolution() -> Check {
    let remedy = "put a name server that is not on 127.0.0.0/8 into the resolv.conf for containers";
    let Some(file) = host_resolv_conf() else {
        return check("name servers", false, "there is no /etc/resolv.conf".to_owned(), remedy);
    };
    let servers = name_servers(&file);
    let ok = servers.iter().any(|server| !server.is_loopback());
    let names: Vec<_> = servers.iter().map(ToString::to_string).collect();
    check("name servers", ok, format!("{} in {}", names.join(", "), file.display()), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_versions() {
        assert_eq!(kernel_version("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(kernel_version("5.4.0"), Some((5, 4)));
        assert_eq!(kernel_version("x"), None);
    }

    #[test]
    fn says_what_to_do_only_when_something_is_wrong() {
        for check in probe() {
            assert_eq!(check.ok, check.remedy.is_empty(), "{check:?}");
            assert!(!check.detail.is_empty(), "{check:?}");
        }
    }
}
