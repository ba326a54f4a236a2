//! Which buildpacks a build uses, and how they may be named.

use super::assets;
use super::processes::read_source_file;
use crate::records::{App, User};
use crate::{Platform, PlatformError, Result};
use std::path::{Component, Path};

/// Namespaces whose names stand for our own buildpacks.
pub(super) const NAMESPACES: &[&str] = &["heroku", "heroku-community", "windlass"];
/// What Heroku's clients send for a buildpack of its registry: `<this>heroku/python.tgz`.
const REGISTRY: &str = "https://buildpack-registry.s3.amazonaws.com/buildpacks/";
/// A `.buildpacks` file larger than this is refused, in bytes.
const BUILDPACKS_FILE_BYTES: u64 = 64 * 1024;
/// Buildpacks of one app.
const BUILDPACKS_PER_APP: usize = 50;

/// Returns a buildpack as it is kept and shown: `urn:buildpack:heroku/python` and the address of
/// Heroku's registry are `heroku/python`.
fn normalised(text: &str) -> String {
    let text = text.trim();
    let text = text.strip_prefix("urn:buildpack:").unwrap_or(text);
    let registered = text.strip_prefix(REGISTRY).and_then(|rest| rest.strip_suffix(".tgz"));
    registered.unwrap_or(text).to_owned()
}

/// Refuses what no build could find. `known` are the names of our own buildpacks.
fn check(buildpack: &str, known: &[String]) -> Result<()> {
    let invalid = |why: String| Err(PlatformError::Invalid(why));
    if buildpack.is_empty() || buildpack.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return invalid(format!("{buildpack:?} is not a buildpack: it is empty or has spaces."));
    }
    if let Some((scheme, _)) = buildpack.split_once("://") {
        return match scheme {
            "https" | "http" | "git" | "ssh" => Ok(()),
            _ => invalid(format!(
                "{buildpack} is not a buildpack: its URL must begin with https, http, git or ssh."
            )),
        };
    }
    if buildpack.starts_with("git@") || ["inline", "heroku-community/inline"].contains(&buildpack) {
        return Ok(());
    }
    if buildpack.starts_with("./") {
        let inside = Path::new(buildpack)
            .components()
            .all(|part| matches!(part, Component::CurDir | Component::Normal(_)));
        return if inside {
            Ok(())
        } else {
            invalid(format!("{buildpack} is not a folder inside the app."))
        };
    }
    let (namespace, name) = buildpack.split_once('/').unwrap_or(("windlass", buildpack));
    if NAMESPACES.contains(&namespace) && known.iter().any(|known| known == name) {
        return Ok(());
    }
    invalid(format!(
        "There is no buildpack named {buildpack}. Known: {}, inline, a URL, or ./FOLDER in the app.",
        known.join(", ")
    ))
}

/// Returns a buildpack as others may see it: a URL without user and password.
fn without_credentials(buildpack: &str) -> String {
    let Some((scheme, rest)) = buildpack.split_once("://") else { return buildpack.to_owned() };
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((credentials, _)) => format!("{scheme}://{}", &rest[credentials.len() + 1..]),
        None => buildpack.to_owned(),
    }
}

/// Returns the lines of a `.buildpacks` file.
fn listed(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

impl Platform {
    /// Returns the buildpacks that somebody chose for an app, in order.
    pub fn buildpacks(&self, app: &App) -> Result<Vec<String>> {
        Ok(self.store().buildpacks(app.id)?)
    }

    /// Replaces the buildpacks of an app; the next build uses them. Returns them as they are kept.
    pub fn set_buildpacks(
        &self,
        user: &User,
        app: &App,
        buildpacks: &[String],
    ) -> Result<Vec<String>> {
        if buildpacks.len() > BUILDPACKS_PER_APP {
            return Err(PlatformError::Invalid(format!(
                "An app can have at most {BUILDPACKS_PER_APP} buildpacks."
            )));
        }
        let buildpacks = self.checked(buildpacks)?;
        self.store().set_buildpacks(app.id, &buildpacks)?;
        let what = match buildpacks.as_slice() {
            [] => "Clear buildpacks".to_owned(),
            some => {
                let shown: Vec<String> =
                    some.iter().map(|name| without_credentials(name)).collect();
                format!("Set buildpacks {}", shown.join(", "))
            }
        };
        self.logs().append(app.id, "app[api]", &format!("{what} by user {}", user.email));
        Ok(buildpacks)
    }

    fn checked(&self, buildpacks: &[String]) -> Result<Vec<String>> {
        let known = assets::buildpack_names();
        let checked = buildpacks.iter().map(|buildpack| {
            let buildpack = normalised(buildpack);
            check(&buildpack, &known).map(|()| buildpack)
        });
        checked.collect()
    }

    /// Returns the buildpacks for a source: those of the app, else those of app.json, of the file
    /// `.buildpacks`, of the config var `BUILDPACK_URL`; none when they are to be detected.
    pub(super) fn choose_buildpacks(
        &self,
        app: &App,
        app_json: &[String],
        buildpack_url: Option<&String>,
        directory: &Path,
    ) -> Result<Vec<String>> {
        let chosen = self.buildpacks(app)?;
        if !chosen.is_empty() {
            return Ok(chosen);
        }
        let named = |place: &'static str| {
            move |error| match error {
                PlatformError::Invalid(why) => PlatformError::Invalid(format!("{place}: {why}")),
                other => other,
            }
        };
        if !app_json.is_empty() {
            return self.checked(app_json).map_err(named("app.json"));
        }
        let file = read_source_file(&directory.join(".buildpacks"), BUILDPACKS_FILE_BYTES)?;
        if let Some(bytes) = file {
            let listed = listed(&String::from_utf8_lossy(&bytes));
            if !listed.is_empty() {
                return self.checked(&listed).map_err(named(".buildpacks"));
            }
        }
        let of_url: Vec<String> = buildpack_url
            .into_iter()
            .flat_map(|text| text.split_whitespace())
            .map(str::to_owned)
            .collect();
        self.checked(&of_url).map_err(named("The config var BUILDPACK_URL"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn herokus_names_are_kept_in_their_short_form() {
        for (given, kept) in [
            ("urn:buildpack:heroku/python", "heroku/python"),
            (
                "https://buildpack-registry.s3.amazonaws.com/buildpacks/heroku/nodejs.tgz",
                "heroku/nodejs",
            ),
            (" python ", "python"),
            ("https://example.com/x.git#v1", "https://example.com/x.git#v1"),
        ] {
            assert_eq!(normalised(given), kept);
        }
    }

    #[test]
    fn what_no_build_could_find_is_refused() {
        let known = ["nodejs", "python"].map(str::to_owned);
        for good in [
            "python",
            "heroku/python",
            "windlass/nodejs",
            "inline",
            "heroku-community/inline",
            "https://example.com/a.git#main",
            "git@example.com:a/b.git",
            "https://example.com/a.tgz",
            "./buildpack",
            "./a/b",
        ] {
            assert!(check(good, &known).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a b",
            "cobol",
            "acme/python",
            "heroku/cobol",
            "file:///etc",
            "./../x",
            "./a/../../x",
            "/etc",
            "a/b/c",
        ] {
            assert!(matches!(check(bad, &known), Err(PlatformError::Invalid(_))), "{bad}");
        }
    }

    #[test]
    fn passwords_of_urls_are_not_shown() {
        for (given, shown) in [
            ("https://me:hush@x.org/a.git#v@1", "https://x.org/a.git#v@1"),
            ("https://x.org/a@b.git", "https://x.org/a@b.git"),
            ("heroku/python", "heroku/python"),
        ] {
            assert_eq!(without_credentials(given), shown);
        }
    }

    #[test]
    fn the_file_has_one_a_line() {
        let text = "# two\nhttps://example.com/a.git\r\n\n  heroku/python\n";
        assert_eq!(listed(text), ["https://example.com/a.git", "heroku/python"]);
    }
}
