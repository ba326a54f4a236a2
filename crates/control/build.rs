//! Embeds the first-party buildpacks and the builder script, so that the binary needs no files.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let buildpacks = root.join("../../buildpacks");
    println!("cargo::rerun-if-changed={}", buildpacks.display());
    println!("cargo::rerun-if-changed=src/build/builder.sh");
    let mut files = vec![("builder.sh".to_owned(), root.join("src/build/builder.sh"))];
    collect(&buildpacks, "buildpacks", &mut files);
    files.sort();
    let mut table = String::from("pub(super) const ASSETS: &[Asset] = &[\n");
    for (name, path) in files {
        let mode =
            std::fs::metadata(&path).expect("it was just listed").permissions().mode() & 0o777;
        let path = path.canonicalize().expect("it was just listed");
        writeln!(
            table,
            "    Asset {{ path: {name:?}, mode: {mode:#o}, bytes: include_bytes!({path:?}) }},"
        )
        .expect("a String");
    }
    table.push_str("];\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    std::fs::write(out.join("assets.rs"), table).expect("OUT_DIR can be written");
}

/// Lists the files of a buildpack that a build needs: not its tests.
fn collect(directory: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) {
    let mut entries: Vec<_> =
        std::fs::read_dir(directory).into_iter().flatten().flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, file_name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let skipped = ["test", "tests", "README.md", "__pycache__"].contains(&file_name.as_str())
            || file_name.ends_with("test.sh");
        if skipped {
            continue;
        }
        let name = format!("{name}/{file_name}");
        if path.is_dir() {
            println!("cargo::rerun-if-changed={}", path.display());
            collect(&path, &name, files);
        } else {
            println!("cargo::rerun-if-changed={}", path.display());
            files.push((name, path));
        }
    }
}
