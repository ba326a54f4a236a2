use super::*;
use crate::error::ErrorKind;
use crate::test_support::{Machine, Server};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const CONFIG: &str = ".config/windlass/config.toml";

#[test]
fn a_login_is_checked_and_stored_for_this_user_only() {
    let server = Server::start();
    server.on("GET /account", 200, account());
    let mut machine = Machine::bare();
    machine.input = "sekret\n".to_owned();
    let ended = machine.run(&format!("login {}/ --token -", server.url()));
    ended.result.unwrap();
    assert_eq!(ended.stderr, format!("Logged in to {} as owner@example.com\n", server.url()));
    assert_eq!(server.requests()[0].headers["authorization"], "Bearer sekret");
    let mode = fs::metadata(machine.path(CONFIG)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let folder = machine.path(".config/windlass");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no temporary file is left");

    // The next command needs nothing more.
    assert_eq!(machine.run("whoami").stdout, "owner@example.com\n");
    let json: Value = serde_json::from_str(&machine.run("whoami --json").stdout).unwrap();
    assert_eq!(json, account());
}

#[test]
fn several_logins_are_kept_apart() {
    let (first, second) = (Server::start(), Server::start());
    first.on("GET /account", 200, account());
    let mut other = account();
    other["email"] = "other@example.com".into();
    second.on("GET /account", 200, other);
    let mut machine = Machine::bare();
    machine.set("XDG_CONFIG_HOME", machine.path("xdg").to_str().unwrap());
    machine.run(&format!("login {} --token one", first.url())).result.unwrap();
    machine.run(&format!("login {} --token two", second.url())).result.unwrap();
    assert!(machine.path("xdg/windlass/config.toml").exists());
    assert_eq!(machine.run("whoami").stdout, "other@example.com\n");
    let named = machine.run(&format!("whoami --server {}", first.url()));
    assert_eq!(named.stdout, "owner@example.com\n");
    assert_eq!(first.requests()[1].headers["authorization"], "Bearer one");

    let ended = machine.run("logout");
    let (one, two) = (first.url(), second.url());
    assert_eq!(ended.stderr, format!("Logged out of {two}\nCommands now go to {one}\n"));
    assert_eq!(machine.run("whoami").stdout, "owner@example.com\n");
}

#[test]
fn a_wrong_token_is_not_stored() {
    let server = Server::start();
    server.on("GET /account", 401, error("unauthorized", "Invalid credentials provided."));
    let machine = Machine::bare();
    let ended = machine.run(&format!("login {} --token wrong", server.url()));
    let error = ended.error();
    assert_eq!(error.kind, ErrorKind::NotLoggedIn);
    assert_eq!(error.message, format!("{} does not accept this token.", server.url()));
    assert!(!machine.path(CONFIG).exists());
}

#[test]
fn without_a_terminal_the_token_must_be_given() {
    let machine = Machine::bare();
    assert_eq!(machine.run("login").error().kind, ErrorKind::Usage);
    assert_eq!(machine.run("login --token -").error().kind, ErrorKind::Usage);
}

#[test]
fn without_a_login_the_error_says_where_the_token_is() {
    let machine = Machine::bare();
    let error = machine.run("apps").error();
    assert_eq!(error.kind, ErrorKind::NotLoggedIn);
    assert_eq!(error.message, "You are not logged in to http://localhost:8081.");
    assert!(error.hint.unwrap().contains("`windlass owner-token`"));
}

#[test]
fn tokens_of_variables_win_but_a_heroku_key_does_not_hide_a_login() {
    let server = Server::start();
    server.on("GET /account", 200, account());
    let mut machine = Machine::bare();
    machine.set("HEROKU_API_KEY", "heroku");
    let sent = || server.requests().pop().unwrap().headers["authorization"].clone();
    machine.run(&format!("whoami --server {}", server.url())).result.unwrap();
    assert_eq!(sent(), "Bearer heroku");
    machine.run(&format!("login {} --token stored", server.url())).result.unwrap();
    machine.run("whoami").result.unwrap();
    assert_eq!(sent(), "Bearer stored");
    machine.set("WINDLASS_TOKEN", "variable");
    machine.run("whoami").result.unwrap();
    assert_eq!(sent(), "Bearer variable");
}
