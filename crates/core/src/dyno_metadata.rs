//! What processes are told about their app and release, in Heroku's variables.

use crate::ids::AppId;
use serde::{Deserialize, Serialize};

/// So many digits of a commit are in a description.
const SHORT_COMMIT: usize = 8;

/// Which of it an app's next release tells. Each release keeps what was chosen when it was made.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct DynoMetadata {
    /// Heroku's feature `runtime-dyno-metadata`.
    pub runtime: bool,
    /// Heroku's feature `runtime-dyno-build-metadata`.
    pub build: bool,
}

/// What there is to tell to one process.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    pub app: AppId,
    pub app_name: &'a str,
    /// The host name that the platform gives the app.
    pub default_host: &'a str,
    /// The process's id in the API.
    pub dyno: uuid::Uuid,
    pub release: u32,
    /// Milliseconds since the Unix epoch.
    pub released_at: u64,
    /// What was deployed, if it came from git.
    pub commit: Option<&'a str>,
}

impl DynoMetadata {
    /// Whether a release tells nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        !self.runtime && !self.build
    }

    /// Returns the variables with their values. Those about a commit are left out where there is
    /// none, as for images.
    #[must_use]
    pub fn variables(self, about: &About<'_>) -> Vec<(&'static str, String)> {
        let mut variables = Vec::new();
        let commit = about.commit.map(|commit| {
            let short: String = commit.chars().take(SHORT_COMMIT).collect();
            (commit.to_owned(), format!("Deploy {short}"))
        });
        if self.runtime {
            variables.extend([
                ("HEROKU_APP_ID", about.app.to_string()),
                ("HEROKU_APP_NAME", about.app_name.to_owned()),
                ("HEROKU_APP_DEFAULT_DOMAIN_NAME", about.default_host.to_owned()),
                ("HEROKU_DYNO_ID", about.dyno.to_string()),
                ("HEROKU_RELEASE_VERSION", format!("v{}", about.release)),
                ("HEROKU_RELEASE_CREATED_AT", time(about.released_at)),
            ]);
            if let Some((commit, description)) = commit.clone() {
                variables.push(("HEROKU_SLUG_COMMIT", commit));
                variables.push(("HEROKU_SLUG_DESCRIPTION", description));
            }
        }
        if let Some((commit, description)) = commit.filter(|_| self.build) {
            variables.push(("HEROKU_BUILD_COMMIT", commit));
            variables.push(("HEROKU_BUILD_DESCRIPTION", description));
        }
        variables
    }
}

/// Returns a time as the API has it.
fn time(milliseconds: u64) -> String {
    let milliseconds = i64::try_from(milliseconds).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or(jiff::Timestamp::MAX);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn told(metadata: DynoMetadata, commit: Option<&str>) -> BTreeMap<&'static str, String> {
        let about = About {
            app: AppId(uuid::Uuid::from_u128(7)),
            app_name: "shop",
            default_host: "shop.example.com",
            dyno: uuid::Uuid::from_u128(9),
            release: 42,
            released_at: 1_767_323_045_678,
            commit,
        };
        metadata.variables(&about).into_iter().collect()
    }

    #[test]
    fn each_feature_has_its_variables() {
        let commit = Some("2c3a0b24069af49b3de35b8e8c26765c1dba9ff0");
        let runtime = told(DynoMetadata { runtime: true, build: false }, commit);
        let wanted = [
            ("HEROKU_APP_ID", "00000000-0000-0000-0000-000000000007"),
            ("HEROKU_APP_NAME", "shop"),
            ("HEROKU_APP_DEFAULT_DOMAIN_NAME", "shop.example.com"),
            ("HEROKU_DYNO_ID", "00000000-0000-0000-0000-000000000009"),
            ("HEROKU_RELEASE_VERSION", "v42"),
            ("HEROKU_RELEASE_CREATED_AT", "2026-01-02T03:04:05Z"),
            ("HEROKU_SLUG_COMMIT", "2c3a0b24069af49b3de35b8e8c26765c1dba9ff0"),
            ("HEROKU_SLUG_DESCRIPTION", "Deploy 2c3a0b24"),
        ];
        assert_eq!(runtime, wanted.map(|(name, value)| (name, value.to_owned())).into());
        let build = told(DynoMetadata { runtime: false, build: true }, commit);
        assert_eq!(
            build.keys().copied().collect::<Vec<_>>(),
            ["HEROKU_BUILD_COMMIT", "HEROKU_BUILD_DESCRIPTION"]
        );
        assert!(told(DynoMetadata::default(), commit).is_empty());
    }

    #[test]
    fn without_a_commit_nothing_is_said_about_one() {
        let both = told(DynoMetadata { runtime: true, build: true }, None);
        assert_eq!(both.len(), 6);
        assert!(both.keys().all(|name| !name.ends_with("_COMMIT")), "{both:?}");
    }
}
