//! The few packages of the host that Windlass delegates to.

use super::child::ChildCommand;
use super::progress::Progress;
use super::{SetupArgs, SetupError};
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// A package, how to see that it is not needed, and why it is.
struct HostPackage {
    name: &'static str,
    there: fn() -> bool,
    why: &'static str,
}

const PACKAGES: &[HostPackage] = &[
    HostPackage { name: "git", there: || in_path("git"), why: "receives pushes" },
    HostPackage {
        name: "mmdebstrap",
        there: || in_path("mmdebstrap"),
        why: "builds the stack that apps run on",
    },
    HostPackage {
        name: "nftables",
        there: || in_path("nft"),
        why: "connects and isolates the apps' networks",
    },
    HostPackage {
        name: "buildah",
        there: || in_path("buildah"),
        why: "builds apps that have a Dockerfile",
    },
    HostPackage {
        name: "e2fsprogs",
        there: || in_path("mkfs.ext4"),
        why: "makes the file systems of volumes",
    },
    HostPackage {
        name: "ca-certificates",
        there: || Path::new("/etc/ssl/certs/ca-certificates.crt").exists(),
        why: "lets builds check whom they download from",
    },
    HostPackage {
        name: "debian-archive-keyring",
        there: || Path::new("/usr/share/keyrings/debian-archive-keyring.gpg").exists(),
        why: "checks the signatures of the stack's packages",
    },
];

/// Installs what is missing, after saying so.
pub fn ensure(args: &SetupArgs, out: &mut Progress, log: &mut dyn Write) -> Result<(), SetupError> {
    let missing: Vec<&HostPackage> = PACKAGES.iter().filter(|package| !(package.there)()).collect();
    if missing.is_empty() {
        out.line("Host packages", "all there");
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    if !in_path("apt-get") {
        return Err(SetupError::Unusable(format!(
            "this host has no apt-get; install what provides {} and run `windlass setup` again",
            names.join(", ")
        )));
    }
    out.line("Host packages", "to be installed with apt-get:");
    for package in &missing {
        out.line("", &format!("{:<24} {}", package.name, package.why));
    }
    if !args.yes {
        confirm()?;
    }
    out.start();
    install(&names, out, log)?;
    if let Some(package) = missing.iter().find(|package| !(package.there)()) {
        return Err(SetupError::Unusable(format!(
            "{} was installed and is still not found in the PATH; look at `dpkg -L {0}`",
            package.name
        )));
    }
    out.line("Host packages", &format!("installed {}", names.join(", ")));
    Ok(())
}

fn install(names: &[&str], out: &mut Progress, log: &mut dyn Write) -> Result<(), SetupError> {
    let mut watch = |line: Option<&str>| {
        let _ = line;
        out.update(0.0, "fetching the package lists");
    };
    ChildCommand::new("apt-get update", TIMEOUT, ["apt-get", "-q", "update"])
        .run(log, &mut watch)?;
    let mut done = 0;
    let mut watch = |line: Option<&str>| {
        if line.is_some_and(super::stack::is_package_step) {
            done += 1;
        }
        // A package comes with about four others, each fetched, unpacked and set up.
        out.update(f64::from(done) / (names.len() * 15) as f64, "installing");
    };
    let fixed = ["apt-get", "-q", "-y", "--no-install-recommends", "install", "--"];
    let arguments = fixed.iter().chain(names);
    ChildCommand::new("apt-get install", TIMEOUT, arguments).run(log, &mut watch)
}

fn confirm() -> Result<(), SetupError> {
    if !std::io::stdin().is_terminal() {
        return Err(SetupError::Unusable(
            "nobody can be asked whether to install them; run `windlass setup --yes`".to_owned(),
        ));
    }
    eprint!("Install them? [Y/n] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(SetupError::io("cannot read", "the answer"))?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "" | "y" | "yes" => Ok(()),
        _ => Err(SetupError::Unusable("nothing was installed or changed".to_owned())),
    }
}

/// Says whether a program is in one of the usual directories, of which a user's PATH lacks some.
fn in_path(program: &str) -> bool {
    let usual = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    usual.iter().any(|directory| Path::new(directory).join(program).is_file())
}
