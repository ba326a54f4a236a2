//! What the stacks are made of.

use super::SetupError;
use windlass_core::ids::Digest;
use windlass_oci::digest_of;

pub const RUN_SCRIPT: &str = include_str!("scripts/run_layer.sh");
pub const CONFIGURE_SCRIPT: &str = include_str!("scripts/configure_dpkg.sh");
pub const BUILD_SCRIPT: &str = include_str!("scripts/build_layer.sh");

/// What a stack is made of.
#[derive(Debug)]
pub struct Recipe {
    pub name: &'static str,
    pub suite: &'static str,
    pub run: Variant,
    pub build: Variant,
}

/// One of the two images of a stack.
#[derive(Debug)]
pub struct Variant {
    pub name: &'static str,
    pub packages: &'static [&'static str],
    /// How many lines about packages were counted when this was last measured. The bar needs it,
    /// nothing else.
    pub expected_steps: u32,
}

/// The default stack.
pub const DEBIAN_12: Recipe = Recipe {
    name: "debian-12",
    suite: "bookworm",
    run: Variant {
        name: "run",
        packages: &[
            "bash",
            "ca-certificates",
            "curl",
            "less",
            "libjpeg62-turbo",
            "libmariadb3",
            "libpq5",
            "libssl3",
            "libxml2",
            "libxslt1.1",
            "netbase",
            "openssl",
            "procps",
            "python3",
            "tzdata",
            "vim-tiny",
        ],
        expected_steps: 438,
    },
    build: Variant {
        name: "build",
        packages: &[
            "build-essential",
            "ca-certificates",
            "curl",
            "default-libmysqlclient-dev",
            "git",
            "jq",
            "libffi-dev",
            "libjpeg-dev",
            "libpq-dev",
            "libsqlite3-dev",
            "libssl-dev",
            "libxml2-dev",
            "libxslt1-dev",
            "pkg-config",
            "python3-dev",
            "python3-pip",
            "python3-venv",
            "unzip",
            "xz-utils",
            "zlib1g-dev",
        ],
        expected_steps: 258,
    },
};

impl Recipe {
    /// Returns the recipe of a stack by its name or its release's code name.
    pub fn of(name: &str) -> Result<Self, SetupError> {
        match name {
            "debian-12" | "bookworm" => Ok(DEBIAN_12),
            _ => Err(SetupError::Unusable(format!(
                "there is no stack {name:?}; the stacks are: debian-12"
            ))),
        }
    }

    /// Returns the tag of one of the images.
    pub fn tag(&self, variant: &Variant) -> String {
        format!("stack/{}-{}", self.name, variant.name)
    }

    /// Returns a digest of all that the images are made from, apart from the packages' versions.
    pub fn digest(&self) -> Digest {
        let packages = [self.run.packages.join(" "), self.build.packages.join(" ")];
        let parts =
            [self.suite, &packages[0], &packages[1], RUN_SCRIPT, CONFIGURE_SCRIPT, BUILD_SCRIPT];
        digest_of(parts.join("\0").as_bytes())
    }
}
