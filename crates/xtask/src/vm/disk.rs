//! The machine's disk: an ext4 file system with the tests, busybox and the few programs that the
//! driver and the tests call.

use super::{Failure, failed, output_of};
use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Programs that busybox has not, or not well enough.
const PROGRAMS: &[&str] = &["nft", "mkfs.ext4", "e2fsck", "resize2fs", "unshare", "fsfreeze"];

/// Where programs are.
const PATH: &[&str] = &["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Sparse: only what is used takes room.
const SIZE: &str = "2G";

/// Makes the disk anew, with a test program and what it is called with. Returns its image.
pub fn make(directory: &Path, tests: &Path, arguments: &[String]) -> Result<PathBuf, Failure> {
    let tree = directory.join("tree");
    if tree.exists() {
        fs::remove_dir_all(&tree).map_err(failed("remove", &tree))?;
    }
    for part in ["bin", "dev", "etc", "proc", "run", "sys", "tmp", "usr/sbin", "var/tmp"] {
        let part = tree.join(part);
        fs::create_dir_all(&part).map_err(failed("make", &part))?;
    }
    let busybox = copy_busybox(&tree.join("bin"))?;
    for applet in output_of(&busybox, &["--list"], directory)?.lines() {
        // The ones that are there in full come first in PATH.
        if applet != "busybox" {
            let link = tree.join("bin").join(applet);
            symlink("busybox", &link).map_err(failed("link", &link))?;
        }
    }
    let stripped = tree.join("containers").display().to_string();
    output_of("strip", &["-o", &stripped, &tests.display().to_string()], directory)?;
    let mut needed = libraries(tests, directory)?;
    for program in PROGRAMS {
        let from = find(program)?;
        let to = tree.join("usr/sbin").join(program);
        fs::copy(&from, &to).map_err(failed("copy", &from))?;
        needed.extend(libraries(&from, directory)?);
    }
    for library in needed {
        let to = tree.join(library.strip_prefix("/").unwrap_or(&library));
        let above = to.parent().unwrap_or(&tree);
        fs::create_dir_all(above).map_err(failed("make", above))?;
        fs::copy(&library, &to).map_err(failed("copy", &library))?;
    }
    let settings = Path::new("/etc/mke2fs.conf");
    fs::copy(settings, tree.join("etc/mke2fs.conf")).map_err(failed("copy", settings))?;
    fs::write(tree.join("etc/resolv.conf"), "nameserver 192.0.2.53\n")
        .and_then(|()| fs::write(tree.join("arguments"), arguments.join("\n") + "\n"))
        .map_err(failed("write to", &tree))?;
    script(&tree.join("second.sh"), include_str!("second.sh"))?;
    format(directory, &tree)
}

fn format(directory: &Path, tree: &Path) -> Result<PathBuf, Failure> {
    let image = directory.join("disk.img");
    if image.exists() {
        fs::remove_file(&image).map_err(failed("remove", &image))?;
    }
    let (from, to) = (tree.display().to_string(), image.display().to_string());
    output_of("mkfs.ext4", &["-q", "-F", "-d", &from, &to, SIZE], directory)?;
    Ok(image)
}

/// Copies busybox into a directory. Returns where it is on this machine.
pub fn copy_busybox(into: &Path) -> Result<String, Failure> {
    let busybox = find("busybox")?;
    fs::copy(&busybox, into.join("busybox")).map_err(failed("copy", &busybox))?;
    Ok(busybox.display().to_string())
}

/// Writes a script that can be executed.
pub fn script(to: &Path, text: &str) -> Result<(), Failure> {
    fs::write(to, text)
        .and_then(|()| fs::set_permissions(to, Permissions::from_mode(0o755)))
        .map_err(failed("write", to))
}

fn find(program: &str) -> Result<PathBuf, Failure> {
    let mut candidates = PATH.iter().map(|directory| Path::new(directory).join(program));
    candidates.find(|path| path.is_file()).ok_or_else(|| format!("there is no {program} here"))
}

/// Returns the libraries with which a program is linked, the loader included.
fn libraries(program: &Path, directory: &Path) -> Result<BTreeSet<PathBuf>, Failure> {
    let text = output_of("ldd", &[&program.display().to_string()], directory)?;
    Ok(text.lines().filter_map(library).map(PathBuf::from).collect())
}

/// Returns the file that a line of `ldd` names.
fn library(line: &str) -> Option<&str> {
    line.split_whitespace().find(|word| word.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_ldd() {
        let lines = [
            "\tlinux-vdso.so.1 (0x00007f60120e6000)",
            "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f6010c1e000)",
            "\t/lib64/ld-linux-x86-64.so.2 (0x00007f60120e8000)",
        ];
        let found: Vec<_> = lines.into_iter().filter_map(library).collect();
        assert_eq!(found, ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
    }
}
