//! Roles in a team, and what all that a person has been given amounts to on one app.

use super::{Permission, Permissions};
use std::fmt;
use std::str::FromStr;

/// What somebody is in a team, as on Heroku.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TeamRole {
    /// Sees the team, its people and its apps that are not locked.
    Viewer,
    /// As a viewer; makes apps in the team, and joins those that are not locked.
    Member,
    /// May do everything with the team and all of its apps.
    Admin,
}

impl TeamRole {
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Member, Self::Admin];

    /// Its name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for TeamRole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role in a team: use admin, member or viewer")]
pub struct UnknownRole(pub String);

impl FromStr for TeamRole {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| UnknownRole(text.chars().take(40).collect()))
    }
}

/// Where a person stands with an app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub owns_server: bool,
    /// The app is theirs and no team's.
    pub owns_app: bool,
    /// Their role in the team whose app it is.
    pub team_role: Option<TeamRole>,
    /// Only those of the team who were added to the app see it.
    pub locked: bool,
    /// What they have been given on this app alone, as a collaborator.
    pub granted: Permissions,
}

impl Standing {
    /// Returns what they may do with the app: the one rule for all doors.
    #[must_use]
    pub fn permissions(self) -> Permissions {
        if self.owns_server || self.owns_app || self.team_role == Some(TeamRole::Admin) {
            return Permissions::all();
        }
        let by_team = match self.team_role {
            Some(_) if !self.locked => [Permission::View].into_iter().collect(),
            _ => Permissions::NONE,
        };
        by_team.and(self.granted)
    }

    /// Whether they may add themselves to the app.
    #[must_use]
    pub fn may_join(self) -> bool {
        self.team_role.is_some_and(|role| role >= TeamRole::Member) && !self.locked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn standing() -> impl Strategy<Value = Standing> {
        let role = prop_oneof![
            Just(None),
            Just(Some(TeamRole::Viewer)),
            Just(Some(TeamRole::Member)),
            Just(Some(TeamRole::Admin)),
        ];
        let granted = proptest::collection::vec(0..4usize, 0..4)
            .prop_map(|some| some.into_iter().map(|index| Permission::ALL[index]).collect());
        (any::<bool>(), any::<bool>(), role, any::<bool>(), granted).prop_map(
            |(owns_server, owns_app, team_role, locked, granted)| Standing {
                owns_server,
                owns_app,
                team_role,
                locked,
                granted,
            },
        )
    }

    fn includes(larger: Permissions, smaller: Permissions) -> bool {
        smaller.iter().all(|permission| larger.contains(permission))
    }

    proptest! {
        #[test]
        fn nobody_gets_what_nobody_gave(granted in standing()) {
            let stranger = Standing { locked: granted.locked, ..Standing::default() };
            prop_assert!(stranger.permissions().is_empty());
            let owner = granted.owns_server || granted.owns_app;
            let admin = granted.team_role == Some(TeamRole::Admin);
            if granted.permissions().contains(Permission::Manage) {
                prop_assert!(owner || admin || granted.granted.contains(Permission::Manage));
            }
        }

        #[test]
        fn whoever_has_anything_can_see_it(standing in standing()) {
            let permissions = standing.permissions();
            prop_assert_eq!(permissions.is_empty(), !permissions.contains(Permission::View));
        }

        #[test]
        fn more_standing_is_never_less(standing in standing()) {
            let now = standing.permissions();
            prop_assert!(includes(now, standing.granted));
            for larger in [
                Standing { owns_server: true, ..standing },
                Standing { owns_app: true, ..standing },
                Standing { locked: false, ..standing },
                Standing { team_role: Some(TeamRole::Admin), ..standing },
                Standing { granted: Permissions::all(), ..standing },
            ] {
                prop_assert!(includes(larger.permissions(), now), "{larger:?}");
            }
        }
    }

    #[test]
    fn roles_give_what_heroku_says() {
        let of = |team_role, locked| {
            let standing = Standing { team_role, locked, ..Standing::default() };
            let names: Vec<_> = standing.permissions().iter().map(Permission::as_str).collect();
            (names.join(","), standing.may_join())
        };
        assert_eq!(of(None, false), (String::new(), false));
        assert_eq!(of(Some(TeamRole::Viewer), false), ("view".into(), false));
        assert_eq!(of(Some(TeamRole::Member), false), ("view".into(), true));
        assert_eq!(of(Some(TeamRole::Member), true), (String::new(), false));
        let all = "view,deploy,operate,manage";
        assert_eq!(of(Some(TeamRole::Admin), true).0, all);
        assert!("owner".parse::<TeamRole>().is_err());
        assert!(TeamRole::ALL.iter().all(|role| role.as_str().parse() == Ok(*role)));
    }
}
