//! From the name of a branch, tag or commit to what is fetched.

use crate::{PlatformError, Result};

/// What is to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The name of a ref, or a commit.
    pub name: String,
    /// The commit that it is now.
    pub commit: String,
}

/// Returns what to ask the remote about.
pub(super) fn patterns(reference: Option<&str>) -> Vec<String> {
    match reference {
        Some(name) => vec![name.to_owned(), format!("{name}^{{}}")],
        None => vec!["HEAD".to_owned()],
    }
}

/// Finds a ref in what `git ls-remote` said. A branch goes before a tag of the same name, and both
/// before a commit.
///
/// # Errors
/// `Invalid` if there is none.
pub(super) fn resolve(listing: &str, reference: Option<&str>) -> Result<Wanted> {
    let refs: Vec<(&str, &str)> =
        listing.lines().filter_map(|line| line.split_once('\t')).map(|(id, n)| (n, id)).collect();
    let id_of = |wanted: &str| refs.iter().find(|(name, _)| *name == wanted).map(|(_, id)| *id);
    let name = reference.unwrap_or("HEAD");
    for candidate in [name.to_owned(), format!("refs/heads/{name}"), format!("refs/tags/{name}")] {
        if let Some(id) = id_of(&candidate) {
            // An annotated tag is an object of its own: the commit is behind it.
            let commit = id_of(&format!("{candidate}^{{}}")).unwrap_or(id).to_owned();
            return Ok(Wanted { name: candidate, commit });
        }
    }
    if is_commit(name) {
        return Ok(Wanted { name: name.to_owned(), commit: name.to_ascii_lowercase() });
    }
    Err(PlatformError::Invalid(match reference {
        None => "The repository has no default branch: it is empty, or name a branch.".to_owned(),
        Some(name) if name.len() >= 7 && name.bytes().all(|b| b.is_ascii_hexdigit()) => format!(
            "The repository has no branch or tag {name}. If it is a commit, give all of its 40 digits."
        ),
        Some(name) => format!("The repository has no branch or tag {name}."),
    }))
}

fn is_commit(name: &str) -> bool {
    [40, 64].contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "1111\tHEAD\n1111\trefs/heads/main\n2222\trefs/heads/feature/main\n\
                           3333\trefs/tags/v1\n4444\trefs/tags/v1^{}\n5555\trefs/tags/main\n";

    #[test]
    fn names_are_found_as_people_mean_them() {
        let commit = "0123456789abcdef0123456789ABCDEF01234567";
        let lower = commit.to_ascii_lowercase();
        for (reference, name, id) in [
            (None, "HEAD", "1111"),
            (Some("main"), "refs/heads/main", "1111"),
            (Some("refs/tags/main"), "refs/tags/main", "5555"),
            (Some("feature/main"), "refs/heads/feature/main", "2222"),
            (Some("v1"), "refs/tags/v1", "4444"),
            (Some(commit), commit, lower.as_str()),
        ] {
            let found = resolve(LISTING, reference).unwrap();
            assert_eq!((found.name.as_str(), found.commit.as_str()), (name, id));
        }
        assert!(resolve(LISTING, Some("nothing")).unwrap_err().to_string().contains("nothing"));
        let short = resolve(LISTING, Some("0123abc")).unwrap_err().to_string();
        assert!(short.contains("40 digits"), "{short}");
        assert!(resolve("", None).unwrap_err().to_string().contains("no default branch"));
    }
}
