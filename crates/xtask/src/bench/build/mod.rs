//! `bench build`: pushes with unchanged dependencies, what the build container costs, and what a
//! hostile build does to the apps that are served beside it.

mod burden;
mod load;
mod overhead;
mod second_push;

use super::server::Server;
use super::{BenchError, Programs, Result, machine};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

type Part = fn(&Programs) -> Result<()>;

/// The parts in their order, by the names by which one is chosen.
const PARTS: &[(&str, Part)] =
    &[("second-push", second_push::run), ("overhead", overhead::run), ("burden", burden::run)];

pub fn run(programs: &Programs, parts: &str) -> Result<()> {
    let known = |name: &str| PARTS.iter().find(|(part, _)| *part == name);
    let chosen: Vec<_> = match parts {
        "all" => PARTS.iter().collect(),
        list => list
            .split(',')
            .map(|name| known(name).ok_or_else(|| BenchError::Failed(format!("no part {name:?}"))))
            .collect::<Result<_>>()?,
    };
    machine::print();
    for (_, part) in chosen {
        part(programs)?;
        println!();
    }
    Ok(())
}

/// Makes a repository of an app that brings its own buildpack, which is this script, and has no
/// process that would be started.
fn repository_with_buildpack(server: &Server, name: &str, compile: &str) -> Result<PathBuf> {
    let repository = server.directory().join(name);
    let failed = || BenchError::io(format!("the app {name}"));
    std::fs::create_dir_all(repository.join("pack/bin")).map_err(failed())?;
    let detect = format!("#!/bin/sh\necho {name}\n");
    for (script, text) in [("detect", &*detect), ("compile", compile)] {
        let file = repository.join("pack/bin").join(script);
        std::fs::write(&file, text).map_err(failed())?;
        let runnable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&file, runnable).map_err(failed())?;
    }
    std::fs::write(repository.join("Procfile"), "job: true\n").map_err(failed())?;
    std::fs::write(repository.join(".buildpacks"), "./pack\n").map_err(failed())?;
    set_version(&repository, "first")?;
    server.git(&repository, &["init", "--quiet", "--initial-branch=main"])?;
    server.commit_all(&repository)?;
    server.create(name, &repository)?;
    Ok(repository)
}

/// The one line that each push changes.
fn set_version(repository: &Path, version: &str) -> Result<()> {
    std::fs::write(repository.join("VERSION"), format!("{version}\n"))
        .map_err(BenchError::io("VERSION"))
}
