//! Reads which Debian packages a directory tree has.

use std::path::Path;

/// Returns `name=version` of each installed package, sorted; nothing if there is no package database.
pub fn installed(root: &Path) -> Vec<String> {
    let status = std::fs::read_to_string(root.join("var/lib/dpkg/status")).unwrap_or_default();
    let mut packages: Vec<String> = status.split("\n\n").filter_map(read_paragraph).collect();
    packages.sort();
    packages
}

fn read_paragraph(paragraph: &str) -> Option<String> {
    let field =
        |name: &str| paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let installed = field("Status")?.ends_with(" installed");
    installed.then_some(format!("{}={}", field("Package")?, field("Version")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_installed_packages_count() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("var/lib/dpkg")).unwrap();
        let status = "Package: zlib1g\nStatus: install ok installed\nVersion: 1:1.2\nDescription: x\n Package: no\n\n\
                      Package: gone\nStatus: deinstall ok config-files\nVersion: 3\n\n\
                      Package: bash\nStatus: install ok installed\nVersion: 5.2\n";
        std::fs::write(folder.path().join("var/lib/dpkg/status"), status).unwrap();
        assert_eq!(installed(folder.path()), ["bash=5.2", "zlib1g=1:1.2"]);
        assert!(installed(Path::new("/nowhere")).is_empty());
    }
}
