//! What the commands are for: the sections of `windlass help` and of docs/reference/cli.md.

/// Commands that belong together.
pub struct Section {
    pub title: &'static str,
    /// A line below the title on the page of commands; may be empty.
    pub note: &'static str,
    /// What the names of its commands begin with up to a colon.
    pub topics: &'static [&'static str],
}

/// Every command that is shown is in exactly one.
pub const SECTIONS: &[Section] = &[
    Section {
        title: "On the server, as root",
        note: "",
        topics: &[
            "setup",
            "doctor",
            "server",
            "teardown",
            "backup",
            "upgrade",
            "owner-token",
            "demo",
        ],
    },
    Section {
        title: "Logging in",
        note: "",
        topics: &[
            "login",
            "logout",
            "contexts",
            "auth",
            "whoami",
            "keys",
            "authorizations",
            "trust",
        ],
    },
    Section {
        title: "Heroku's clients",
        note: "See [connect](../guides/connect.md).",
        topics: &["connect"],
    },
    Section {
        title: "People",
        note: "See [people](../guides/people.md).",
        topics: &[
            "access",
            "teams",
            "members",
            "users",
            "invitations",
            "transfers",
            "2fa",
            "passkeys",
            "activity",
        ],
    },
    Section {
        title: "Apps",
        note: "",
        topics: &[
            "create",
            "apps",
            "info",
            "open",
            "rename",
            "destroy",
            "git",
            "maintenance",
            "stack",
        ],
    },
    Section { title: "Configuration", note: "", topics: &["config"] },
    Section { title: "Processes", note: "", topics: &["ps", "run", "limits", "checks", "logs"] },
    Section {
        title: "Cron",
        note: "See [commands that run at times](../guides/cron.md).",
        topics: &["cron"],
    },
    Section {
        title: "Webhooks, log drains, features and add-ons",
        note: "See [webhooks](../guides/webhooks.md) and [log drains](../guides/log-drains.md).",
        topics: &["webhooks", "drains", "features", "addons"],
    },
    Section {
        title: "Pipelines",
        note: "See [staging, production, and an app for each branch](../guides/pipelines.md).",
        topics: &["pipelines", "reviewapps"],
    },
    Section {
        title: "Releases and builds",
        note: "",
        topics: &[
            "deploy",
            "deploys",
            "releases",
            "rollback",
            "builds",
            "buildpacks",
            "image",
            "container",
            "slugs",
            "registry",
            "registries",
        ],
    },
    Section {
        title: "Volumes",
        note: "See [files that stay](../guides/volumes.md).",
        topics: &["volumes"],
    },
    Section {
        title: "Traffic",
        note: "",
        topics: &["domains", "routing", "certs", "dns", "network"],
    },
    Section { title: "The rest", note: "", topics: &["completions", "man", "version"] },
];
