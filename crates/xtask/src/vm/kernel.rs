//! Debian's kernel for virtual machines: fetched and unpacked below `target/vm`, never installed.

use super::{Failure, failed, output_of, output_with_input};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Always depends on the newest one.
const PACKAGE: &str = "linux-image-cloud-amd64";

/// What the machine and the tests need of it; what these need in turn is found.
const MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_blk",
    "overlay",
    "loop",
    "veth",
    "dummy",
    "nf_tables",
    "nft_chain_nat",
    "nft_ct",
    "nft_masq",
    "nft_redir",
    "nft_reject_inet",
];

pub struct Kernel {
    pub image: PathBuf,
    /// File by name, with underscores.
    modules: BTreeMap<String, PathBuf>,
}

/// Brings the kernel if it is not there.
pub fn fetch(directory: &Path) -> Result<Kernel, Failure> {
    let unpacked = directory.join("kernel");
    if !unpacked.exists() {
        download(directory, &unpacked)?;
    }
    let boot = unpacked.join("boot");
    let image = fs::read_dir(&boot).map_err(failed("read", &boot))?.flatten();
    let mut image =
        image.filter(|entry| entry.file_name().to_string_lossy().starts_with("vmlinuz"));
    let image = image.next().ok_or_else(|| format!("there is no kernel in {}", boot.display()))?;
    let mut modules = BTreeMap::new();
    find_modules(&unpacked.join("lib/modules"), &mut modules).map_err(failed("read", &unpacked))?;
    Ok(Kernel { image: image.path(), modules })
}

fn download(directory: &Path, unpacked: &Path) -> Result<(), Failure> {
    let depends = output_of("apt-cache", &["depends", PACKAGE], directory)?;
    let mut names = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let name = names.next().ok_or_else(|| format!("apt knows no package {PACKAGE}"))?;
    println!("fetching {name}");
    output_of("apt-get", &["--option", "Acquire::Retries=3", "download", name], directory)?;
    let files = fs::read_dir(directory).map_err(failed("read", directory))?.flatten();
    let mut files = files.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let package = files.find(|file| file.starts_with(name) && file.ends_with(".deb"));
    let package = package.ok_or_else(|| format!("apt-get has not brought {name}"))?;
    let part = directory.join("kernel.part");
    output_of("dpkg-deb", &["-x", &package, "kernel.part"], directory)?;
    fs::rename(&part, unpacked).map_err(failed("rename", &part))?;
    let package = directory.join(package);
    fs::remove_file(&package).map_err(failed("remove", &package))
}

fn find_modules(below: &Path, found: &mut BTreeMap<String, PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(below)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            find_modules(&entry.path(), found)?;
        } else if let Some(name) = name.strip_suffix(".ko") {
            found.insert(name.replace('-', "_"), entry.path());
        }
    }
    Ok(())
}

impl Kernel {
    /// Makes the file system in memory from which the machine starts: busybox and the modules.
    pub fn memory_disk(&self, directory: &Path) -> Result<PathBuf, Failure> {
        let tree = directory.join("memory");
        let modules = tree.join("modules");
        for part in ["bin", "dev", "disk", "modules"] {
            fs::create_dir_all(tree.join(part)).map_err(failed("make", &tree))?;
        }
        let mut order = Vec::new();
        for name in MODULES {
            self.add(name, &mut order)?;
        }
        for name in &order {
            fs::copy(&self.modules[name], modules.join(format!("{name}.ko")))
                .map_err(failed("copy", &modules))?;
        }
        fs::write(modules.join("order"), order.join("\n") + "\n")
            .map_err(failed("write", &modules))?;
        super::disk::copy_busybox(&tree.join("bin"))?;
        super::disk::script(&tree.join("init"), include_str!("first.sh"))?;
        let archive = directory.join("memory.cpio");
        let mut names = ["init", "bin", "bin/busybox", "dev", "disk", "modules", "modules/order"]
            .map(str::to_owned)
            .to_vec();
        names.extend(order.iter().map(|name| format!("modules/{name}.ko")));
        let list = directory.join("memory.txt");
        fs::write(&list, names.join("\n") + "\n").map_err(failed("write", &list))?;
        let pack = ["--create", "--quiet", "--format=newc", "--file=../memory.cpio"];
        output_with_input("cpio", &pack, &tree, &list)?;
        Ok(archive)
    }

    /// Adds a module to the list, after all that it needs.
    fn add(&self, name: &str, order: &mut Vec<String>) -> Result<(), Failure> {
        if order.iter().any(|known| known == name) {
            return Ok(());
        }
        let Some(file) = self.modules.get(name) else {
            return Err(format!("this kernel has no module {name}"));
        };
        let content = fs::read(file).map_err(failed("read", file))?;
        for needed in dependencies(&content) {
            self.add(&needed, order)?;
        }
        order.push(name.to_owned());
        Ok(())
    }
}

/// Returns the names of the modules that a module says it needs: `depends=a,b` and a zero.
fn dependencies(module: &[u8]) -> Vec<String> {
    const FIELD: &[u8] = b"\0depends=";
    let Some(at) = module.windows(FIELD.len()).position(|window| window == FIELD) else {
        return Vec::new();
    };
    let value = module[at + FIELD.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(value);
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_say_what_they_need() {
        let module = b"ELF\0license=GPL\0depends=nf_tables,nf-nat\0retpoline=Y\0";
        assert_eq!(dependencies(module), ["nf_tables", "nf_nat"]);
        assert_eq!(dependencies(b"ELF\0depends=\0retpoline=Y\0"), [""; 0]);
        assert_eq!(dependencies(b"ELF"), [""; 0]);
    }
}
