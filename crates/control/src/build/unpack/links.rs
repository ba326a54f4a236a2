//! Symbolic links of an archive: each is followed before any is made.

use super::{invalid, not_written, shown};
use crate::Result;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

/// Links on the way to what a link names (Linux: 40).
const LINKS_FOLLOWED: usize = 40;

/// Makes all links, if none of them leads out.
pub(super) fn make(root: &Path, links: &BTreeMap<PathBuf, PathBuf>) -> Result<()> {
    for (path, target) in links {
        if !stays_inside(path, target, links) {
            return invalid(format!(
                "The archive's link {} leads out of it, to {}.",
                shown(path.as_os_str().as_bytes()),
                shown(target.as_os_str().as_bytes())
            ));
        }
    }
    for (path, target) in links {
        let name = shown(path.as_os_str().as_bytes());
        symlink(target, root.join(path)).map_err(|error| not_written(&name, error))?;
    }
    Ok(())
}

/// Follows a link through all the others, as the kernel would. Targets that do not exist are fine.
fn stays_inside(path: &Path, target: &Path, links: &BTreeMap<PathBuf, PathBuf>) -> bool {
    let mut place: PathBuf = path.parent().map(Path::to_owned).unwrap_or_default();
    // What is still to be walked, the next part last.
    let mut parts: Vec<OsString> = reversed(target);
    let mut followed = 0;
    while let Some(part) = parts.pop() {
        if part == ".." {
            if !place.pop() {
                return false;
            }
            continue;
        }
        place.push(&part);
        if let Some(next) = links.get(&place) {
            followed += 1;
            if followed > LINKS_FOLLOWED || next.is_absolute() {
                return false;
            }
            place.pop();
            parts.extend(reversed(next));
        }
    }
    true
}

fn reversed(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    let mut parts: Vec<OsString> = parts.map(|part| part.as_os_str().to_owned()).collect();
    parts.reverse();
    parts
}
