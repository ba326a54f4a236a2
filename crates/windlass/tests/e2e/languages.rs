//! The examples of every language. Some need the network.

use crate::small_apps;
use crate::support::shared_server;
use windlass_testkit::app::TestApp;
use windlass_testkit::git::Repository;
use windlass_testkit::skip;

/// What tools say when there is no network.
const NO_NETWORK: &[&str] = &[
    "Could not resolve",
    "Temporary failure in name resolution",
    "Temporary failure resolving",
    "Network is unreachable",
    "timed out",
    "ENOTFOUND",
    "EAI_AGAIN",
    "ETIMEDOUT",
    "Connection refused",
    "rustup could not be downloaded",
];

/// Pushes an example; `None` if its dependencies cannot be fetched here.
fn push(hint: &str, example: &str) -> Option<(TestApp, Repository)> {
    let repository = Repository::of_example(example);
    let (app, _) = first_push(hint, &repository, &[])?;
    Some((app, repository))
}

/// Makes an app with config vars and pushes to it; returns what the build said. `None` if what it
/// needs cannot be fetched here.
fn first_push(
    hint: &str,
    repository: &Repository,
    config_vars: &[&str],
) -> Option<(TestApp, String)> {
    let server = crate::support::start_shared()?;
    let app = TestApp::create(&server, hint);
    if !config_vars.is_empty() {
        let _ = app.cli(&[&["config:set"], config_vars].concat()).success();
    }
    let pushed = app.push(repository);
    let said = pushed.everything();
    if !pushed.status.success() && NO_NETWORK.iter().any(|sign| said.contains(sign)) {
        skip("the package registry cannot be reached");
        return None;
    }
    let _ = pushed.success();
    Some((app, said))
}

/// What two pushes say of a builder.
pub struct Expected<'a> {
    /// What is served after each of them.
    pub page: &'a str,
    /// Words of the first push alone: they mean that something was fetched or installed.
    pub once: &'a [&'a str],
    /// Words of the second.
    pub again: &'a [&'a str],
}

/// Pushes twice, with a change that concerns no dependency in between.
pub fn push_twice(hint: &str, repository: &Repository, config_vars: &[&str], expected: &Expected) {
    let Some((app, first)) = first_push(hint, repository, config_vars) else { return };
    assert!(app.get("/").text().contains(expected.page), "{}", app.get("/").text());
    repository.change("CHANGED", "changed\n");
    let pushed = app.push(repository);
    let (second, succeeded) = (pushed.everything(), pushed.status.success());
    assert!(succeeded, "{second}");
    for words in expected.once {
        assert!(first.contains(words), "{words:?} in the first push: {first}");
        assert!(!second.contains(words), "{words:?} again: {second}");
    }
    for words in expected.again {
        assert!(second.contains(words), "{words:?} in the second push: {second}");
    }
    assert!(app.get("/").text().contains(expected.page));
}

#[test]
fn a_static_site_needs_no_code() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "static", &Repository::of_example("static-site"));
    let index = app.get("/");
    assert_eq!(index.status, 200);
    assert!(index.header("content-type").unwrap().starts_with("text/html"), "{index:?}");
    assert_eq!(app.get("/style.css").header("content-type").unwrap(), "text/css; charset=utf-8");
    assert_eq!(app.get("/no-such-page").status, 404);
    assert_ne!(app.get("/../Procfile").status, 200);
}

#[test]
fn express_is_installed_once_and_served() {
    let Some((app, repository)) = push("express", "express") else { return };
    assert_eq!(app.get("/healthz").status, 200);
    repository.change("VERSION", "changed\n");
    let again = app.push(&repository).everything();
    assert!(!again.contains("added "), "unchanged dependencies are not installed again: {again}");
    assert_eq!(app.get("/").status, 200);
    assert!(app.get("/").text().contains("changed"));
}

#[test]
fn bibly_is_installed_once_and_served() {
    let Some((app, repository)) = push("bibly", "bibly") else { return };
    let page = app.get("/");
    assert_eq!(page.status, 200);
    assert!(page.text().to_lowercase().contains("bibly"), "{}", page.text());
    repository.change("VERSION", "2.0-test\n");
    let again = app.push(&repository).everything();
    assert!(
        !again.contains("Collecting "),
        "unchanged dependencies are not installed again: {again}"
    );
    assert!(app.get("/").text().contains("2.0-test"));
}

const FROM_CACHE: &[&str] = &["Using cached dependencies (unchanged)"];

// What belongs together is pushed one after the other: side by side it would only take longer.

#[test]
fn go_is_downloaded_once_and_compiles_what_changed() {
    let expected = Expected {
        page: "from Go",
        once: &["Downloading Go "],
        again: &["Using Go 1.23", "bin/hello"],
    };
    push_twice("go", &Repository::of_example("go"), &["WINDLASS_GO_SOURCE=pypi"], &expected);
}

#[test]
fn rust_is_downloaded_once_from_either_source() {
    let expected = Expected {
        page: "Hello from Rust",
        once: &["Downloading rustup", "Installing Rust stable"],
        again: &["Using rustc ", "Programs: bin/hello"],
    };
    let repository = Repository::of_example("rust");
    push_twice("rust", &repository, &["WINDLASS_RUST_SOURCE=rustup"], &expected);

    let expected = Expected {
        page: "Hello from Rust",
        once: &["Downloading Rust "],
        again: &["(built from a source tarball)", "Programs: bin/hello"],
    };
    let repository = Repository::of_example("rust");
    push_twice("rust-debian", &repository, &["WINDLASS_RUST_SOURCE=debian"], &expected);
}

#[test]
fn aptfile_and_procfile_are_enough() {
    let expected = Expected {
        page: "Hello, from apt!",
        once: &["Updating apt's package lists", "Downloading jq"],
        again: &["Using cached packages (unchanged)"],
    };
    push_twice("apt", &Repository::of_example("apt"), &[], &expected);

    // No file that a language's buildpack looks for.
    let repository = Repository::of_files(&[
        ("page/word.txt", "Hello from nothing built!"),
        (
            "Procfile",
            "web: cp page/word.txt page/index.html && python3 -m http.server -d page $PORT\n",
        ),
    ]);
    let expected = Expected {
        page: "Hello from nothing built!",
        once: &[],
        again: &["Procfile app detected"],
    };
    push_twice("procfile", &repository, &[], &expected);
}

#[test]
fn pipenv_poetry_and_uv_install_once() {
    let expected = Expected {
        page: "Hello, world, from uv!",
        once: &["Installing dependencies with uv", "Installed uv in"],
        again: FROM_CACHE,
    };
    push_twice("uv", &Repository::of_example("python-uv"), &[], &expected);

    let expected = Expected {
        page: "Hello from Poetry! 0.1.0",
        once: &["Installed poetry in"],
        again: FROM_CACHE,
    };
    push_twice("poetry", &small_apps::poetry(), &[], &expected);

    let expected = Expected {
        page: "Hello from bottle 0.13.2!",
        once: &["Installing dependencies with pip", "Successfully installed bottle-0.13.2"],
        again: FROM_CACHE,
    };
    push_twice("pipenv", &small_apps::pipenv(), &[], &expected);
}

#[test]
fn django_collects_its_static_files_and_installs_once() {
    let expected = Expected {
        page: "Hello from Django 5.2.7, collected",
        once: &["Installing dependencies with pip", "Collecting django"],
        again: &[FROM_CACHE[0], "manage.py collectstatic --noinput", "1 static file"],
    };
    push_twice("django", &small_apps::django(), &[], &expected);
}

#[test]
fn yarn_and_pnpm_install_once() {
    let expected = Expected {
        page: "Hello from pnpm!",
        once: &["Downloading Node.js", "Installing dependencies with pnpm"],
        again: FROM_CACHE,
    };
    push_twice("pnpm", &Repository::of_example("node-pnpm"), &[], &expected);

    let expected = Expected {
        page: "Hello from Yarn, 1m",
        once: &["Downloading Node.js", "Installing dependencies with yarn"],
        again: FROM_CACHE,
    };
    push_twice("yarn", &small_apps::yarn(), &[], &expected);
}
