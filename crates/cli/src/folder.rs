//! A folder on its way to the server, as a tar.gz that is made while it is sent.

use crate::error::{CliError, Result};
use crate::process;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::{self, Metadata};
use std::io::{self, PipeWriter, Read, Write};
use std::path::{Path, PathBuf};
use tar::{Builder, HeaderMode};

/// What of a folder is deployed.
pub struct Folder {
    directory: PathBuf,
    /// Relative to the directory.
    paths: Vec<PathBuf>,
    in_repository: bool,
}

impl Folder {
    /// Looks what is to be sent: in a git repository what git knows or would add, elsewhere
    /// everything.
    pub fn open(directory: PathBuf) -> Result<Folder> {
        let what = format!("Could not read the folder {}", directory.display());
        let directory = directory.canonicalize().map_err(|error| CliError::file(&what, &error))?;
        let in_repository = directory.ancestors().any(|folder| folder.join(".git").exists());
        let mut paths = Vec::new();
        if in_repository {
            for path in listed_by_git(&directory)? {
                add(&directory, &path, &mut paths)
                    .map_err(|error| CliError::file(&what, &error))?;
            }
        } else {
            add_children(&directory, Path::new(""), &mut paths)
                .map_err(|error| CliError::file(&what, &error))?;
        }
        if paths.is_empty() {
            let message = format!("There is nothing to deploy in {}.", directory.display());
            return Err(CliError::usage(message));
        }
        Ok(Folder { directory, paths, in_repository })
    }

    /// How many files and links there are.
    pub fn files(&self) -> usize {
        self.paths.len()
    }

    /// The commit, if the folder is exactly as it was committed.
    pub fn version(&self) -> Result<Option<String>> {
        if !self.in_repository {
            return Ok(None);
        }
        let changes = process::run("git", &["status", "--porcelain", "."], &self.directory)?;
        let head =
            process::run("git", &["rev-parse", "--verify", "--quiet", "HEAD"], &self.directory)?;
        let clean = changes.status.success() && changes.stdout.is_empty() && head.status.success();
        Ok(clean.then(|| head.stdout.trim().to_owned()))
    }

    /// Makes the archive in a thread while `send` reads it.
    pub fn stream<T>(&self, send: impl FnOnce(&mut dyn Read) -> Result<T>) -> Result<T> {
        let failed = |error: io::Error| CliError::file("Could not make the archive", &error);
        let (mut reader, writer) = io::pipe().map_err(failed)?;
        std::thread::scope(|scope| {
            let packing = scope.spawn(|| self.pack(writer));
            let sent = send(&mut reader);
            // The thread must not wait for a reader that has given up.
            drop(reader);
            let packed = packing.join().unwrap_or_else(|_| Err(io::Error::other("it broke off")));
            let sent = sent?;
            packed.map_err(failed)?;
            Ok(sent)
        })
    }

    fn pack(&self, writer: PipeWriter) -> io::Result<()> {
        // Sending is what takes long on most networks, but so does the best compression.
        let mut archive = Builder::new(GzEncoder::new(writer, Compression::fast()));
        archive.follow_symlinks(false);
        archive.mode(HeaderMode::Deterministic);
        for path in &self.paths {
            archive.append_path_with_name(self.directory.join(path), path)?;
        }
        archive.into_inner()?.finish()?.flush()
    }
}

fn listed_by_git(directory: &Path) -> Result<Vec<PathBuf>> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    let listed = process::run("git", &arguments, directory)?;
    if !listed.status.success() {
        let said = listed.stderr.trim();
        return Err(CliError::general(format!("git ls-files failed: {said}")));
    }
    if let Some(name) = listed.stdout.split('\0').find(|name| name.contains('\u{fffd}')) {
        return Err(CliError::general(format!("The file name {name} is not UTF-8.")));
    }
    let mut paths: Vec<PathBuf> =
        listed.stdout.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    // A file in conflict is listed once for each side.
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// Adds a file or link; of a directory (a submodule) what is in it. What was removed since git
/// listed it, and what is neither, is left out.
fn add(directory: &Path, path: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    match directory.join(path).symlink_metadata() {
        Ok(found) if found.is_dir() => add_children(directory, path, paths),
        Ok(found) if is_file_or_link(&found) => {
            paths.push(path.to_owned());
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn add_children(directory: &Path, path: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory.join(path))? {
        names.push(entry?.file_name());
    }
    names.sort();
    for name in names.into_iter().filter(|name| name != ".git") {
        add(directory, &path.join(name), paths)?;
    }
    Ok(())
}

fn is_file_or_link(metadata: &Metadata) -> bool {
    metadata.is_file() || metadata.is_symlink()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::git;
    use flate2::read::GzDecoder;
    use std::os::unix::fs::symlink;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("deep/er")).unwrap();
        fs::write(folder.path().join("deep/er/file"), "text").unwrap();
        fs::write(folder.path().join("secret.env"), "x").unwrap();
        fs::write(folder.path().join(".gitignore"), "*.env\n").unwrap();
        symlink("deep/er/file", folder.path().join("link")).unwrap();
        fs::write(folder.path().join("long".repeat(40)), "").unwrap();
        folder
    }

    fn names(folder: &Folder) -> Vec<String> {
        let bytes = folder.stream(|archive| {
            let mut bytes = Vec::new();
            archive.read_to_end(&mut bytes).unwrap();
            Ok(bytes)
        });
        let mut archive = tar::Archive::new(GzDecoder::new(io::Cursor::new(bytes.unwrap())));
        let entries = archive.entries().unwrap();
        entries.map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
    }

    #[test]
    fn without_git_everything_is_sent() {
        let folder = folder();
        let opened = Folder::open(folder.path().to_owned()).unwrap();
        let long = "long".repeat(40);
        assert_eq!(names(&opened), [".gitignore", "deep/er/file", "link", &long, "secret.env"]);
        assert_eq!(opened.version().unwrap(), None);
    }

    #[test]
    fn in_a_repository_what_is_ignored_or_removed_is_not_sent() {
        let folder = folder();
        git(folder.path(), &["init", "--quiet"]);
        fs::write(folder.path().join("gone"), "").unwrap();
        git(folder.path(), &["add", "."]);
        fs::remove_file(folder.path().join("gone")).unwrap();
        fs::write(folder.path().join("untracked"), "").unwrap();
        let opened = Folder::open(folder.path().to_owned()).unwrap();
        let long = "long".repeat(40);
        assert_eq!(names(&opened), [".gitignore", "deep/er/file", "link", &long, "untracked"]);
        assert_eq!(opened.version().unwrap(), None, "nothing is committed");
        let below = Folder::open(folder.path().join("deep")).unwrap();
        assert_eq!(names(&below), ["er/file"]);
    }

    #[test]
    fn a_clean_folder_has_its_commit_as_its_version() {
        let folder = folder();
        git(folder.path(), &["init", "--quiet"]);
        git(folder.path(), &["add", "."]);
        let who = ["-c", "user.name=T", "-c", "user.email=t@example.com"];
        git(folder.path(), &[&who[..], &["commit", "--quiet", "-m", "x"]].concat());
        let opened = Folder::open(folder.path().to_owned()).unwrap();
        let head = git(folder.path(), &["rev-parse", "HEAD"]);
        assert_eq!(opened.version().unwrap().as_deref(), Some(head.trim()));
        fs::write(folder.path().join("deep/er/file"), "changed").unwrap();
        assert_eq!(opened.version().unwrap(), None);
    }

    #[test]
    fn an_empty_or_missing_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Folder::open(folder.path().to_owned()).is_err());
        assert!(Folder::open(folder.path().join("missing")).is_err());
    }

    #[test]
    fn a_sender_that_gives_up_ends_the_packing() {
        let folder = folder();
        fs::write(folder.path().join("large"), vec![7; 4 << 20]).unwrap();
        let opened = Folder::open(folder.path().to_owned()).unwrap();
        let error = opened.stream(|_| -> Result<()> { Err(CliError::general("no")) }).unwrap_err();
        assert_eq!(error.message, "no");
    }
}
