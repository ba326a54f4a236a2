//! The buildpacks that come with Windlass, as Heroku's buildpack registry describes such.

use super::assets;

/// A buildpack that comes with Windlass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundledBuildpack {
    pub name: &'static str,
    /// That of Heroku's buildpack for the same, else `windlass`.
    pub namespace: &'static str,
    /// `languages` or `tools`.
    pub category: &'static str,
    pub description: &'static str,
    /// In Markdown.
    pub readme: &'static str,
}

macro_rules! bundled {
    ($($namespace:literal / $name:literal, $category:literal, $description:literal;)*) => {
        &[$(BundledBuildpack {
            name: $name,
            namespace: $namespace,
            category: $category,
            description: $description,
            readme: include_str!(concat!("../../../../buildpacks/", $name, "/README.md")),
        }),*]
    };
}

/// By name.
pub const BUNDLED_BUILDPACKS: &[BundledBuildpack] = bundled![
    "heroku-community" / "apt", "tools", "Debian packages that an app names in its Aptfile";
    "heroku" / "go", "languages", "Go";
    "heroku" / "java", "languages", "Java with Maven";
    "heroku" / "nodejs", "languages", "Node.js with npm, yarn or pnpm";
    "heroku" / "php", "languages", "PHP with Composer";
    "windlass" / "procfile", "tools", "Programs that need no build: what the Procfile says is run";
    "heroku" / "python", "languages", "Python with pip, Pipenv, Poetry or uv";
    "heroku" / "ruby", "languages", "Ruby with Bundler";
    "windlass" / "rust", "languages", "Rust with Cargo";
    "heroku-community" / "static", "tools", "Static files";
];

/// Returns a bundled buildpack by name, under any namespace that it is taken by.
#[must_use]
pub fn bundled_buildpack(full_name: &str) -> Option<&'static BundledBuildpack> {
    let (namespace, name) = full_name.split_once('/')?;
    let found = BUNDLED_BUILDPACKS.iter().find(|buildpack| buildpack.name == name)?;
    super::buildpacks::NAMESPACES.contains(&namespace).then_some(found)
}

/// Returns what changes whenever a bundled buildpack does.
#[must_use]
pub fn bundled_version() -> &'static str {
    assets::version()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_has_every_bundled_buildpack() {
        let described: Vec<_> = BUNDLED_BUILDPACKS.iter().map(|b| b.name.to_owned()).collect();
        assert_eq!(described, assets::buildpack_names());
    }

    #[test]
    fn a_buildpack_is_found_under_each_namespace() {
        for name in ["heroku/python", "windlass/python", "heroku-community/static", "heroku/static"]
        {
            assert!(bundled_buildpack(name).is_some(), "{name}");
        }
        for name in ["python", "acme/python", "heroku/cobol", "heroku/../python", ""] {
            assert!(bundled_buildpack(name).is_none(), "{name}");
        }
    }
}
