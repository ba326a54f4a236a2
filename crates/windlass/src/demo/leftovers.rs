//! Looks for anything of a server that should be gone.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The kernel takes a moment to be done with what has ended.
const PATIENCE: Duration = Duration::from_secs(5);

/// Returns what is left of the server called `name` (six digits), which had `directories`.
pub fn find(name: &str, directories: &[&Path]) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = find_now(name, directories);
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn find_now(name: &str, directories: &[&Path]) -> Vec<String> {
    let mut left = Vec::new();
    let paths: Vec<String> = directories.iter().map(|path| path.display().to_string()).collect();
    left.extend(directories.iter().filter(|path| path.exists()).map(|path| format!("{path:?}")));
    left.extend(processes(&paths));
    left.extend(mounts(&paths));
    left.extend(cgroups(&format!("windlass-{name}")));
    left.extend(devices(&format!("wl{name}")));
    left.extend(firewall(&format!("windlass_{name}")));
    left
}

fn entries(directory: &str) -> impl Iterator<Item = std::fs::DirEntry> {
    std::fs::read_dir(directory).into_iter().flatten().flatten()
}

/// Processes that were started with one of the paths.
fn processes(paths: &[String]) -> Vec<String> {
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in entries("/proc") {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if pid != own && paths.iter().any(|path| command.contains(path)) {
            found.push(format!("process {pid}: {}", command.trim()));
        }
    }
    found
}

fn mounts(paths: &[String]) -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let ours = |line: &&str| paths.iter().any(|path| line.contains(path));
    mounts.lines().filter(ours).map(|line| format!("mount {line}")).collect()
}

/// In every hierarchy: `/sys/fs/cgroup` itself on version 2, the directories in it on version 1.
fn cgroups(name: &str) -> Vec<String> {
    let root = "/sys/fs/cgroup";
    let hierarchies = entries(root).map(|entry| entry.path()).chain([root.into()]);
    let groups = hierarchies.map(|hierarchy| hierarchy.join(name));
    groups
        .filter(|group| group.exists())
        .map(|group| format!("cgroup {}", group.display()))
        .collect()
}

fn devices(prefix: &str) -> Vec<String> {
    let names =
        entries("/sys/class/net").map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(prefix)).map(|name| format!("device {name}")).collect()
}

fn firewall(table: &str) -> Option<String> {
    let output = Command::new("nft").args(["list", "tables"]).output().ok()?;
    let tables = String::from_utf8_lossy(&output.stdout).into_owned();
    tables.contains(table).then(|| format!("firewall table {table}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_and_a_process_with_it_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let file = path.join("file");
        std::fs::write(&file, "").unwrap();
        let mut child = Command::new("tail").arg("-f").arg(&file).spawn().unwrap();
        // A child that has not begun its program yet has none of its words.
        let give_up = Instant::now() + Duration::from_secs(20);
        let mut left = find_now("000000", &[path]);
        while left.len() < 2 && Instant::now() < give_up {
            std::thread::sleep(Duration::from_millis(10));
            left = find_now("000000", &[path]);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(left.len(), 2, "{left:?}");
        assert!(left[1].contains(&child.id().to_string()), "{left:?}");
        let gone = path.to_owned();
        drop(directory);
        assert_eq!(find_now("000000", &[&gone]), Vec::<String>::new());
    }
}
