//! The demo's app *bibly*: its source, its git repository, its page.

use super::interrupt::Interrupt;
use super::platform::DemoPlatform;
use super::screen::Screen;
use super::{DemoError, child};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

include!(concat!(env!("OUT_DIR"), "/bibly.rs"));

const GIT_LIMIT: Duration = Duration::from_secs(60);
/// A first push downloads the app's dependencies.
const PUSH_LIMIT: Duration = Duration::from_secs(15 * 60);

pub struct DemoApp<'a> {
    platform: &'a DemoPlatform,
    pub repository: PathBuf,
}

impl<'a> DemoApp<'a> {
    /// Writes the source into a repository and commits it.
    pub fn write(platform: &'a DemoPlatform, interrupt: &Interrupt) -> Result<Self, DemoError> {
        let repository = platform.directory().join("bibly");
        for (name, bytes) in FILES {
            let path = repository.join(name);
            let parent = path.parent().unwrap_or(&repository);
            std::fs::create_dir_all(parent).map_err(DemoError::io("cannot make", parent))?;
            std::fs::write(&path, bytes).map_err(DemoError::io("cannot write", &path))?;
        }
        let app = Self { platform, repository };
        app.git(&["init", "--quiet", "--initial-branch=main"], GIT_LIMIT, interrupt, |_| {})?;
        app.commit("A reading list", interrupt)?;
        Ok(app)
    }

    /// Creates the app with the command line client.
    pub fn create(&self, screen: &Screen, interrupt: &Interrupt) -> Result<(), DemoError> {
        screen.command("windlass create bibly");
        let mut create = self.platform.client(&["create", "bibly"]);
        create.current_dir(&self.repository);
        child::run("windlass create", create, GIT_LIMIT, interrupt, |line| screen.detail(line))
    }

    /// Changes the version and commits that.
    pub fn set_version(&self, version: &str, interrupt: &Interrupt) -> Result<(), DemoError> {
        let path = self.repository.join("VERSION");
        std::fs::write(&path, format!("{version}\n"))
            .map_err(DemoError::io("cannot write", &path))?;
        self.commit(&format!("Version {version}"), interrupt)
    }

    pub fn push(&self, screen: &Screen, interrupt: &Interrupt) -> Result<(), DemoError> {
        screen.command("git push windlass main");
        self.git(&["push", "windlass", "main"], PUSH_LIMIT, interrupt, |line| screen.detail(line))
    }

    fn commit(&self, message: &str, interrupt: &Interrupt) -> Result<(), DemoError> {
        self.git(&["add", "--all"], GIT_LIMIT, interrupt, |_| {})?;
        self.git(&["commit", "--quiet", "--message", message], GIT_LIMIT, interrupt, |_| {})
    }

    fn git(
        &self,
        arguments: &[&str],
        limit: Duration,
        interrupt: &Interrupt,
        line: impl FnMut(&str),
    ) -> Result<(), DemoError> {
        let mut git = Command::new("git");
        // No maintenance in the background: it would hold on to the output.
        git.args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"]).args(arguments);
        git.current_dir(&self.repository);
        for role in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{role}_NAME"), "Windlass demo");
            git.env(format!("GIT_{role}_EMAIL"), "demo@localhost");
        }
        git.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0");
        self.platform.prepare(&mut git);
        child::run(&format!("git {}", arguments[0]), git, limit, interrupt, line)
    }
}

/// Returns the version that a page of bibly shows in its foot.
pub fn version_of(page: &str) -> Option<&str> {
    between(page, "<footer><b>", "</b>")
}

/// What a person would see of the page, line by line.
pub fn text_of(page: &str) -> Vec<String> {
    let part = |from: &str, to: &str| between(page, from, to).map(plain).unwrap_or_default();
    let books: Vec<String> = page
        .split("<cite>")
        .skip(1)
        .filter_map(|rest| Some(plain(rest.split("</cite>").next()?)))
        .collect();
    [
        part("<title>", "</title>"),
        part("<p>", "</p>"),
        books.join(" · "),
        part("<footer>", "</footer>"),
    ]
    .into_iter()
    .filter(|line| !line.is_empty())
    .collect()
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    text.split_once(from)?.1.split_once(to).map(|(inner, _)| inner)
}

/// Drops tags and line ends.
fn plain(html: &str) -> String {
    let mut text = String::new();
    for (number, part) in html.split('<').enumerate() {
        let visible =
            if number == 0 { part } else { part.split_once('>').map_or("", |(_, rest)| rest) };
        text.push_str(visible);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_whole() {
        for path in ["bibly.py", "Procfile", "requirements.txt", "templates/index.html"] {
            assert!(FILES.iter().any(|(name, bytes)| *name == path && !bytes.is_empty()), "{path}");
        }
        let template = FILES.iter().find(|(name, _)| *name == "templates/index.html").unwrap().1;
        let page = String::from_utf8_lossy(template).replace("{{ version }}", "v1");
        assert_eq!(version_of(&page), Some("v1"), "the page's foot has changed");
        assert!(FILES.contains(&("VERSION", b"v1\n")), "the demo goes from v1 to v2");
    }

    #[test]
    fn a_page_is_read_as_people_see_it() {
        let page = "<title>bibly</title><p>1 of\n 2 read</p><cite>One</cite><cite>Two</cite>\
                    <footer><b>v3</b> · served by web.1</footer>";
        assert_eq!(text_of(page), ["bibly", "1 of 2 read", "One · Two", "v3 · served by web.1"]);
        assert_eq!(version_of(page), Some("v3"));
        assert_eq!(version_of("no page"), None);
    }
}
