//! Features as Heroku has them, under Heroku's names: those that mean something here.

/// A feature of apps.
#[derive(Debug, PartialEq, Eq)]
pub struct AppFeature {
    pub name: &'static str,
    pub title: &'static str,
    pub description: &'static str,
    /// `general`, or `public` for what clients list among Heroku's experiments (`labs`).
    pub state: &'static str,
    pub kind: AppFeatureKind,
}

/// What a feature is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppFeatureKind {
    /// The deploy strategy: off is `recreate`.
    Preboot,
    /// The routing setting `sticky`.
    SessionAffinity,
    /// `ps:exec`, which is always there.
    Exec,
    /// Variables about the app, the release and the process; from the next release on.
    RuntimeMetadata,
    /// Variables about the build; from the next release on.
    BuildMetadata,
}

const GENERAL: &str = "general";
const LABS: &str = "public";

impl AppFeature {
    pub const ALL: [Self; 5] = [
        Self {
            name: "http-session-affinity",
            title: "Session affinity",
            description: "Send the requests of one client to the same process while it is up. The same as `windlass routing:set sticky=on`.",
            state: GENERAL,
            kind: AppFeatureKind::SessionAffinity,
        },
        Self {
            name: "preboot",
            title: "Preboot",
            description: "Start the new release and see that it answers before the old one is stopped. On unless somebody chose otherwise; off, the old one is stopped first (`windlass deploys:set strategy=recreate`).",
            state: GENERAL,
            kind: AppFeatureKind::Preboot,
        },
        Self {
            name: "runtime-dyno-build-metadata",
            title: "Dyno build metadata",
            description: "Tell processes which commit was built (HEROKU_BUILD_COMMIT, HEROKU_BUILD_DESCRIPTION). From the next release on.",
            state: LABS,
            kind: AppFeatureKind::BuildMetadata,
        },
        Self {
            name: "runtime-dyno-metadata",
            title: "Dyno metadata",
            description: "Tell processes about their app, release and commit (HEROKU_APP_NAME, HEROKU_RELEASE_VERSION, HEROKU_SLUG_COMMIT and others). From the next release on.",
            state: LABS,
            kind: AppFeatureKind::RuntimeMetadata,
        },
        Self {
            name: "runtime-heroku-exec",
            title: "Exec",
            description: "Run commands in processes that are running (`windlass ps:exec`). Always on.",
            state: GENERAL,
            kind: AppFeatureKind::Exec,
        },
    ];

    /// Finds a feature by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        const ALL: &[AppFeature] = &AppFeature::ALL;
        ALL.iter().find(|feature| feature.name == name)
    }
}
