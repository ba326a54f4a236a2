//! What a token may be used for: OAuth scopes, as on Heroku.

use std::fmt;
use std::str::FromStr;

/// One scope of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Everything that its user may do.
    Global,
    /// Read who its user is, and nothing else.
    Identity,
    /// Read all but what tells config vars.
    Read,
    /// Read and change all but config vars and releases.
    Write,
    /// Read all, config vars too.
    ReadProtected,
    /// Read and change all of apps and teams, config vars too.
    WriteProtected,
}

impl Scope {
    pub const ALL: [Self; 6] = [
        Self::Global,
        Self::Identity,
        Self::Read,
        Self::Write,
        Self::ReadProtected,
        Self::WriteProtected,
    ];

    /// Its name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Identity => "identity",
            Self::Read => "read",
            Self::Write => "write",
            Self::ReadProtected => "read-protected",
            Self::WriteProtected => "write-protected",
        }
    }

    fn allows(self, wants: Wants) -> bool {
        match wants.area {
            Area::Identity => !wants.change || self == Self::Global,
            Area::Account => self == Self::Global,
            Area::Resources => match self {
                Self::Identity => false,
                Self::Read | Self::ReadProtected => !wants.change,
                Self::Global | Self::Write | Self::WriteProtected => true,
            },
            Area::Protected => match self {
                Self::Identity | Self::Read | Self::Write => false,
                Self::ReadProtected => !wants.change,
                Self::Global | Self::WriteProtected => true,
            },
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no scope: use global, identity, read, write, read-protected or write-protected")]
pub struct UnknownScope(pub String);

impl FromStr for Scope {
    type Err = UnknownScope;
    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let found = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| UnknownScope(text.chars().take(40).collect()))
    }
}

/// What a request is about, as far as scopes are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Who the token's user is.
    Identity,
    /// What people prove themselves with, and who belongs to the server: tokens, keys, people.
    Account,
    /// Apps, teams, pipelines and what belongs to them.
    Resources,
    /// What tells or changes config vars, or runs commands that see them.
    Protected,
}

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    pub area: Area,
    pub change: bool,
}

impl Wants {
    /// Returns what a request to an endpoint wants. `path` is the endpoint's template, for example
    /// `/apps/{app}/config-vars`.
    #[must_use]
    pub fn of_endpoint(path: &str, change: bool) -> Self {
        // These are asked by POST, and only asked.
        let question = ["/log-sessions", "/filters/apps", "/resolve", "/actions/check"];
        let change = change && !question.iter().any(|end| path.ends_with(end));
        Self { area: area(path, change), change }
    }

    /// Fetching code, and images.
    pub const FETCH: Self = Self { area: Area::Resources, change: false };
    /// Pushing code, and images.
    pub const PUSH: Self = Self { area: Area::Resources, change: true };
}

fn area(path: &str, change: bool) -> Area {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["account"] | ["users", "~" | "{user}"] | ["account", "rate-limits"] => Area::Identity,
        ["account", "features" | "app-transfers", ..] | ["users", _, "apps"] => Area::Resources,
        ["account" | "oauth" | "users" | "invitations" | "activity", ..] => Area::Account,
        [.., "config-vars"] | ["apps", _, "dynos", _, "actions", "exec"] => Area::Protected,
        ["api", "v2", ..] => Area::Protected,
        // Lists of releases and processes tell nothing secret; a command in a new process does.
        ["apps", _, "releases" | "dynos"] | ["apps", _, "cron-jobs", ..] if change => {
            Area::Protected
        }
        _ => Area::Resources,
    }
}

/// The scopes of a token; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Everything.
    #[must_use]
    pub fn global() -> Self {
        Self(vec![Scope::Global])
    }

    /// Returns the scopes of these names; none at all is [`Scope::Global`].
    ///
    /// # Errors
    /// A name that no scope has.
    pub fn of_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, UnknownScope> {
        let mut scopes: Vec<Scope> = names
            .into_iter()
            .flat_map(|name| name.split([',', ' ']))
            .filter(|name| !name.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        scopes.sort_unstable();
        scopes.dedup();
        Ok(if scopes.is_empty() { Self::global() } else { Self(scopes) })
    }

    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|scope| scope.as_str()).collect()
    }

    #[must_use]
    pub fn allow(&self, wants: Wants) -> bool {
        self.0.iter().any(|scope| scope.allows(wants))
    }

    /// Whether a token of these scopes may make one of the `other`s: nobody can widen what they
    /// were given.
    #[must_use]
    pub fn include(&self, other: &Self) -> bool {
        self.0.contains(&Scope::Global) || other.0.iter().all(|scope| self.0.contains(scope))
    }

    /// Returns the scopes that would allow it.
    #[must_use]
    pub fn that_allow(wants: Wants) -> Vec<&'static str> {
        let allowing = Scope::ALL.into_iter().filter(|scope| scope.allows(wants));
        allowing.map(Scope::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(scopes: &[&str], path: &str) -> (bool, bool) {
        let scopes = Scopes::of_names(scopes.iter().copied()).unwrap();
        let of = |change| scopes.allow(Wants::of_endpoint(path, change));
        (of(false), of(true))
    }

    #[test]
    fn scopes_allow_what_heroku_says() {
        let (all, look, none) = ((true, true), (true, false), (false, false));
        let vars = "/apps/{app}/config-vars";
        let of_release = "/apps/{app}/releases/{release}/config-vars";
        let cases: [(&[&str], &str, (bool, bool)); 25] = [
            (&["global"], vars, all),
            (&["global"], "/oauth/authorizations", all),
            (&[], "/oauth/authorizations", all),
            (&["identity"], "/account", look),
            (&["identity"], "/apps", none),
            (&["identity"], "/account/keys", none),
            (&["read"], "/account", look),
            (&["read"], "/apps/{app}", look),
            (&["read"], "/apps/{app}/log-sessions", all),
            (&["read"], vars, none),
            (&["read"], of_release, none),
            (&["read"], "/apps/{app}/releases", look),
            (&["read"], "/oauth/authorizations/{authorization}", none),
            (&["write"], "/apps/{app}", all),
            (&["write"], "/apps/{app}/collaborators", all),
            (&["write"], vars, none),
            (&["write"], "/apps/{app}/dynos", look),
            (&["write"], "/apps/{app}/dynos/{dyno}/actions/exec", none),
            (&["write"], "/apps/{app}/cron-jobs", look),
            (&["write"], "/apps/{app}/cron-jobs/{job}", look),
            (&["write"], "/account/keys", none),
            (&["read-protected"], vars, look),
            (&["write-protected"], vars, all),
            (&["write-protected"], "/users", none),
            (&["read", "write-protected"], "/account/app-transfers", all),
        ];
        for (scopes, path, expected) in cases {
            assert_eq!(allowed(scopes, path), expected, "{scopes:?} {path}");
        }
    }

    #[test]
    fn nobody_widens_a_scope() {
        let of = |names: &[&str]| Scopes::of_names(names.iter().copied()).unwrap();
        assert!(Scopes::global().include(&of(&["write-protected", "identity"])));
        assert!(of(&["read", "write"]).include(&of(&["read"])));
        assert!(!of(&["read"]).include(&of(&["write"])));
        assert!(!of(&["write-protected"]).include(&Scopes::global()));
        assert_eq!(of(&["write,read", "read"]).names(), ["read", "write"]);
        assert!(Scopes::of_names(["admin"]).is_err());
        let wants = Wants::of_endpoint("/apps/{app}/config-vars", true);
        assert_eq!(Scopes::that_allow(wants), ["global", "write-protected"]);
    }
}
