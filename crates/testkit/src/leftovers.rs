//! What a server leaves on the machine, apart from its directories.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns what is left of the server with this data and run directory: processes, mounts,
/// cgroups, network devices and namespaces, firewall tables, claims of addresses. Each in words.
#[must_use]
pub fn leftovers(data_directory: &Path, run_directory: &Path) -> Vec<String> {
    let name = name_of(data_directory);
    let directories = [data_directory.display().to_string(), run_directory.display().to_string()];
    let mut found = processes(&name, &directories);
    found.extend(mounts(&directories));
    found.extend(loop_devices(&directories));
    found.extend(cgroups(&name));
    found.extend(entries_with("/sys/class/net", &format!("wl{name}"), "network device"));
    found.extend(entries_with("/run/netns", &name, "network namespace"));
    found.extend(firewall(&name));
    found.extend(claims(&directories));
    found
}

/// The name that the server gives its cgroups, devices and tables.
pub(crate) fn name_of(data_directory: &Path) -> String {
    let digest = windlass_oci::digest_of(data_directory.as_os_str().as_encoded_bytes());
    digest.hex()[..6].to_owned()
}

fn processes(name: &str, directories: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let file_name = entry.file_name();
        let Some(pid) = file_name.to_str().and_then(|text| text.parse::<u32>().ok()) else {
            continue;
        };
        let read = |file: &str| {
            let bytes = fs::read(entry.path().join(file)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        let (command, groups) = (read("cmdline"), read("cgroup"));
        let ours = directories.iter().any(|directory| command.contains(directory.as_str()))
            || groups.contains(&format!("windlass-{name}"));
        if ours && pid != std::process::id() {
            found.push(format!(
                "process {pid}: {} {}",
                read("stat").split(' ').nth(2).unwrap_or("?"),
                command.trim()
            ));
        }
    }
    found
}

fn mounts(directories: &[String]) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let ours = |line: &&str| directories.iter().any(|directory| line.contains(directory.as_str()));
    table.lines().filter(ours).map(|line| format!("mount: {line}")).collect()
}

fn loop_devices(directories: &[String]) -> Vec<String> {
    let entries = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| {
        let file = fs::read_to_string(entry.path().join("loop/backing_file")).ok()?;
        Some((entry.file_name(), file.trim().to_owned()))
    });
    files
        .filter(|(_, file)| directories.iter().any(|directory| file.contains(directory.as_str())))
        .map(|(device, file)| format!("loop device {} of {file}", device.display()))
        .collect()
}

fn cgroups(name: &str) -> Vec<String> {
    let root = PathBuf::from("/sys/fs/cgroup");
    let group = format!("windlass-{name}");
    let mut candidates = vec![root.join(&group)];
    let controllers = fs::read_dir(&root).into_iter().flatten().flatten();
    candidates.extend(controllers.map(|entry| entry.path().join(&group)));
    candidates
        .into_iter()
        .filter(|path| path.exists())
        .map(|path| format!("cgroup {}", path.display()))
        .collect()
}

fn entries_with(directory: &str, part: &str, kind: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|entry| entry.contains(part)).map(|entry| format!("{kind} {entry}")).collect()
}

fn firewall(name: &str) -> Vec<String> {
    let Ok(output) = Command::new("nft").args(["list", "tables"]).output() else {
        return Vec::new();
    };
    let tables = String::from_utf8_lossy(&output.stdout).into_owned();
    let ours = |line: &&str| line.contains(&format!("windlass_{name}"));
    tables.lines().filter(ours).map(|line| format!("firewall {line}")).collect()
}

fn claims(directories: &[String]) -> Vec<String> {
    let entries = fs::read_dir("/run/windlass/subnets").into_iter().flatten().flatten();
    let ours = |path: &PathBuf| {
        let owner = fs::read_to_string(path).unwrap_or_default();
        !owner.is_empty()
            && directories.iter().any(|directory| owner.starts_with(directory.as_str()))
    };
    entries
        .map(|entry| entry.path())
        .filter(ours)
        .map(|path| format!("claim of addresses {}", path.display()))
        .collect()
}
