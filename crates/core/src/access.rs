//! Who may do what with an app: permissions, and the sets of them that people are given.

mod roles;
mod scopes;

pub use roles::{Standing, TeamRole, UnknownRole};
pub use scopes::{Area, Scope, Scopes, UnknownScope, Wants};

use std::fmt;
use std::str::FromStr;

/// What may be done with an app, as on Heroku. Each includes [`Permission::View`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// See the app, its releases, processes and logs; neither code nor secrets.
    View,
    /// Fetch and push code, put it and config vars into force. Whoever may do that can make the app tell its secrets,
    /// so config vars can be read with it too.
    Deploy,
    /// Scale, restart, run commands inside, and everything else about how the app runs and is
    /// reached.
    Operate,
    /// Decide who has access, rename, hand over and destroy the app.
    Manage,
}

impl Permission {
    pub const ALL: [Self; 4] = [Self::View, Self::Deploy, Self::Operate, Self::Manage];

    /// Its name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Deploy => "deploy",
            Self::Operate => "operate",
            Self::Manage => "manage",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no permission: use view, deploy, operate or manage")]
pub struct UnknownPermission(pub String);

impl FromStr for Permission {
    type Err = UnknownPermission;
    fn from_str(text: &str) -> Result<Self, UnknownPermission> {
        let found = Self::ALL.into_iter().find(|permission| permission.as_str() == text);
        found.ok_or_else(|| UnknownPermission(text.chars().take(40).collect()))
    }
}

/// A set of permissions. One that is not empty always has [`Permission::View`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Permissions(u8);

impl Permissions {
    pub const NONE: Self = Self(0);

    #[must_use]
    pub fn all() -> Self {
        Permission::ALL.into_iter().collect()
    }

    /// What a collaborator has if nobody said otherwise: all but [`Permission::Manage`].
    #[must_use]
    pub fn of_collaborator() -> Self {
        [Permission::Deploy, Permission::Operate].into_iter().collect()
    }

    #[must_use]
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & bit(permission) != 0
    }

    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.contains(*permission))
    }
}

fn bit(permission: Permission) -> u8 {
    1 << permission as u8
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        let view = bit(Permission::View);
        Self(permissions.into_iter().fold(0, |set, permission| set | view | bit(permission)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_includes_to_view() {
        for permission in Permission::ALL {
            let set: Permissions = [permission].into_iter().collect();
            assert!(set.contains(permission) && set.contains(Permission::View), "{permission}");
            assert_eq!(permission.as_str().parse(), Ok(permission));
        }
        assert!(Permissions::NONE.is_empty() && !Permissions::NONE.contains(Permission::View));
        assert!("admin".parse::<Permission>().is_err());
    }

    #[test]
    fn collaborators_manage_only_if_they_are_told_to() {
        let names: Vec<_> = Permissions::of_collaborator().iter().map(Permission::as_str).collect();
        assert_eq!(names, ["view", "deploy", "operate"]);
        assert_eq!(Permissions::all().iter().count(), 4);
    }
}
