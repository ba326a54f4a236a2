//! Review apps: their names, and when one is stale.

/// An app's name has at most so many characters.
const NAME: usize = 30;
/// Of them, the last ones tell apps of one branch apart.
const SUFFIX: usize = 4;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Returns a branch as it can stand in a host name: `feature/Login` is `feature-login`.
#[must_use]
pub fn branch_label(branch: &str) -> String {
    let mut label = String::new();
    for character in branch.chars() {
        if character.is_ascii_alphanumeric() {
            label.push(character.to_ascii_lowercase());
        } else if !label.ends_with('-') && !label.is_empty() {
            label.push('-');
        }
    }
    label.trim_end_matches('-').to_owned()
}

/// Returns the name of a review app. With the number of a pull request it is `base-pr-7`; a branch
/// is shortened to what fits, and `random` (hexadecimal digits) keeps names apart.
#[must_use]
pub fn review_app_name(base: &str, branch: &str, request: Option<u64>, random: &str) -> String {
    let random: String = random.chars().take(SUFFIX).collect();
    let what = match request {
        Some(number) => format!("pr-{number}"),
        None => branch_label(branch),
    };
    let suffix = if request.is_some() { String::new() } else { format!("-{random}") };
    // Half of the rest at least is left to the branch.
    let rest = NAME - suffix.len() - 1;
    let what = cut(&what, rest.saturating_sub(base.len()).max(rest / 2));
    let base = cut(base, rest - what.len());
    let middle = if what.is_empty() { String::new() } else { format!("-{what}") };
    format!("{base}{middle}{suffix}")
}

fn cut(text: &str, most: usize) -> String {
    let short: String = text.chars().take(most).collect();
    short.trim_end_matches('-').to_owned()
}

/// What a change of a branch means for its review app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BranchAction {
    Create,
    Deploy,
    Destroy,
    Nothing,
}

/// Decides what a change of a branch means: whether the branch is still there, whether it has a
/// review app, and whether the pipeline makes them by itself.
#[must_use]
pub fn on_branch(is_there: bool, has_app: bool, automatic: bool) -> BranchAction {
    match (is_there, has_app) {
        (true, true) => BranchAction::Deploy,
        (true, false) if automatic => BranchAction::Create,
        (false, true) => BranchAction::Destroy,
        _ => BranchAction::Nothing,
    }
}

/// Whether an app that was deployed last at `deployed_ms` has been left alone for `days` days.
#[must_use]
pub fn is_stale(deployed_ms: u64, now_ms: u64, days: u32) -> bool {
    now_ms.saturating_sub(deployed_ms) >= u64::from(days) * DAY_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::AppName;

    #[test]
    fn names_tell_pipeline_and_branch_and_always_fit() {
        for (base, branch, request, name) in [
            ("shop", "login", None, "shop-login-12ab"),
            ("shop", "feature/Login_page", None, "shop-feature-login-page-12ab"),
            ("shop", "any", Some(7), "shop-pr-7"),
            ("a-pipeline-with-a-long-name-xy", "fix", None, "a-pipeline-with-a-lon-fix-12ab"),
            ("shop", "///", None, "shop-12ab"),
            ("shop", "żółw", None, "shop-w-12ab"),
        ] {
            assert_eq!(review_app_name(base, branch, request, "12abcdef"), name);
        }
        let long = "very-long-branch-name-that-goes-on-and-on/";
        for base in ["ab", "shop", "a-pipeline-with-a-long-name-xy"] {
            for length in 1..long.len() {
                for request in [None, Some(123_456)] {
                    let name = review_app_name(base, &long[..length], request, "ffff0000");
                    assert!(name.parse::<AppName>().is_ok(), "{name}");
                }
            }
        }
    }

    #[test]
    fn a_branch_brings_its_app_and_takes_it_along() {
        use BranchAction::{Create, Deploy, Destroy, Nothing};
        for (is_there, has_app, automatic, action) in [
            (true, false, true, Create),
            (true, false, false, Nothing),
            (true, true, false, Deploy),
            (true, true, true, Deploy),
            (false, true, false, Destroy),
            (false, false, true, Nothing),
        ] {
            assert_eq!(on_branch(is_there, has_app, automatic), action);
        }
    }

    #[test]
    fn an_app_is_stale_after_its_days() {
        assert!(!is_stale(DAY_MS, 5 * DAY_MS, 5));
        assert!(is_stale(DAY_MS, 6 * DAY_MS, 5));
        assert!(!is_stale(7 * DAY_MS, 6 * DAY_MS, 1), "a clock that was set back");
    }
}
