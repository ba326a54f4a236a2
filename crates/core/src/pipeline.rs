//! Pipelines: apps of one program at different stages, and what moves from one to the next.

mod review;

pub use review::{BranchAction, branch_label, is_stale, on_branch, review_app_name};

use crate::access::TeamRole;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A place in a pipeline, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Of Heroku's CI, which is not here: no app can be in it.
    Test,
    Review,
    Development,
    Staging,
    Production,
}

impl Stage {
    pub const ALL: [Self; 5] =
        [Self::Test, Self::Review, Self::Development, Self::Staging, Self::Production];

    /// Its name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Review => "review",
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }

    /// Returns the stage that an app of this one is promoted to; the last has none.
    #[must_use]
    pub fn downstream(self) -> Option<Self> {
        match self {
            Self::Test => None,
            Self::Review => Some(Self::Development),
            Self::Development => Some(Self::Staging),
            Self::Staging => Some(Self::Production),
            Self::Production => None,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("There is no stage {0:?}: use review, development, staging or production.")]
pub struct UnknownStage(pub String);

impl FromStr for Stage {
    type Err = UnknownStage;
    fn from_str(text: &str) -> Result<Self, UnknownStage> {
        let found = Self::ALL.into_iter().find(|stage| stage.as_str() == text);
        found.ok_or_else(|| UnknownStage(text.chars().take(40).collect()))
    }
}

/// What somebody may do with a pipeline itself; what with its apps is decided app by app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PipelineAccess {
    Nothing,
    /// See it, and those of its apps that they may see.
    View,
    /// Name it, put apps into it, configure it, make and destroy its review apps.
    Change,
}

/// Returns what a person may do with a pipeline: the one rule for all doors.
#[must_use]
pub fn pipeline_access(
    owns_server: bool,
    owns_pipeline: bool,
    role_in_owning_team: Option<TeamRole>,
    sees_one_of_its_apps: bool,
) -> PipelineAccess {
    match role_in_owning_team {
        _ if owns_server || owns_pipeline => PipelineAccess::Change,
        Some(TeamRole::Admin | TeamRole::Member) => PipelineAccess::Change,
        Some(TeamRole::Viewer) => PipelineAccess::View,
        None if sees_one_of_its_apps => PipelineAccess::View,
        None => PipelineAccess::Nothing,
    }
}

/// Why a promotion has no targets.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTargets {
    #[error("An app of the stage {0} has nowhere to be promoted to.")]
    LastStage(Stage),
    #[error(
        "The pipeline has no app in a stage after {0}: add one with `windlass pipelines:add`, or name the target with --to."
    )]
    NobodyDownstream(Stage),
}

/// Returns the apps that an app of stage `from` is promoted to if nobody names any: those of the
/// next stage that has apps.
pub fn targets_of<T: Clone>(from: Stage, couplings: &[(T, Stage)]) -> Result<Vec<T>, NoTargets> {
    let mut stage = from.downstream().ok_or(NoTargets::LastStage(from))?;
    loop {
        let there = couplings.iter().filter(|(_, other)| *other == stage);
        let there: Vec<T> = there.map(|(app, _)| app.clone()).collect();
        if !there.is_empty() {
            return Ok(there);
        }
        stage = stage.downstream().ok_or(NoTargets::NobodyDownstream(from))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_have_one_order() {
        for stage in Stage::ALL {
            assert_eq!(stage.as_str().parse(), Ok(stage));
            assert!(stage.downstream().is_none_or(|next| next > stage), "{stage}");
        }
        assert_eq!(Stage::Review.downstream(), Some(Stage::Development));
        assert!("prod".parse::<Stage>().unwrap_err().to_string().contains("\"prod\""));
    }

    #[test]
    fn who_sees_an_app_sees_its_pipeline_and_no_more() {
        use PipelineAccess::{Change, Nothing, View};
        for (server, own, role, sees, expected) in [
            (false, false, None, false, Nothing),
            (false, false, None, true, View),
            (false, false, Some(TeamRole::Viewer), true, View),
            (false, false, Some(TeamRole::Member), false, Change),
            (false, true, None, false, Change),
            (true, false, None, false, Change),
        ] {
            assert_eq!(pipeline_access(server, own, role, sees), expected, "{role:?}");
        }
    }

    #[test]
    fn the_next_stage_that_has_apps_is_promoted_to() {
        use Stage::{Development, Production, Review, Staging};
        let apps = [("r", Review), ("s", Staging), ("p1", Production), ("p2", Production)];
        assert_eq!(targets_of(Review, &apps), Ok(vec!["s"]), "nobody is in development");
        assert_eq!(targets_of(Staging, &apps), Ok(vec!["p1", "p2"]));
        assert_eq!(targets_of(Production, &apps), Err(NoTargets::LastStage(Production)));
        let alone = [("d", Development)];
        assert_eq!(targets_of(Development, &alone), Err(NoTargets::NobodyDownstream(Development)));
    }
}
