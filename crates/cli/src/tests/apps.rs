use super::*;
use crate::error::ErrorKind;
use crate::test_support::{Machine, Server, git};
use std::fs;

#[test]
fn creating_in_a_repository_sets_the_remote_and_the_helper() {
    let server = Server::start();
    server.on("POST /apps", 201, app("bibly", &server.url()));
    let mut machine = Machine::using(&server);
    fs::create_dir(machine.path("bin")).unwrap();
    fs::write(machine.path("bin/windlass"), "").unwrap();
    machine.set("PATH", machine.path("bin").to_str().unwrap());
    git(machine.folder.path(), &["init", "-q"]);

    let ended = machine.run("create bibly");
    ended.result.unwrap();
    let url = server.url();
    assert_eq!(ended.stdout, format!("http://bibly.localhost:8080/ | {url}/bibly.git\n"));
    assert_eq!(
        ended.stderr,
        format!(
            "Creating ⬢ bibly... done\n\
             Set git remote windlass to {url}/bibly.git\n\
             Git uses your Windlass login for {url}\n\
             Deploy with: git push windlass main\n"
        )
    );
    assert_eq!(server.body("POST /apps"), json!({"name": "bibly"}));
    let remote = git(machine.folder.path(), &["remote", "get-url", "windlass"]);
    assert_eq!(remote, format!("{url}/bibly.git\n"));
    let key = format!("credential.{url}.helper");
    let helper = git(machine.folder.path(), &["config", "--local", "--get-all", &key]);
    assert_eq!(helper, "\n!windlass git:credentials\n");

    // The remote is now the default app.
    machine.variables.remove("WINDLASS_APP");
    server.on("GET /apps/bibly/config-vars", 200, json!({"A": "b"}));
    assert_eq!(machine.run("config:get A").stdout, "b\n");
}

#[test]
fn creating_elsewhere_leaves_git_alone() {
    let server = Server::start();
    server.on("POST /apps", 201, app("calm-river-1", &server.url()));
    let machine = Machine::using(&server);
    let ended = machine.run("create --json");
    assert_eq!(
        ended.stderr,
        "Creating app... done, ⬢ calm-river-1\n\
         Deploy this folder with: windlass deploy -a calm-river-1\n\
         To push with git: windlass git:remote -a calm-river-1 in its repository\n"
    );
    let json: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(json["name"], "calm-river-1");
    assert_eq!(server.body("POST /apps"), json!({}));
}

#[test]
fn apps_are_listed_in_columns() {
    let server = Server::start();
    let mut new = app("a-much-longer-name", "http://s");
    new["released_at"] = Value::Null;
    server.on("GET /apps", 200, json!([app("bibly", "http://s"), new]));
    let machine = Machine::using(&server);
    assert_eq!(
        machine.run("apps").stdout,
        "App                 URL                                        Last release\n\
         a-much-longer-name  http://a-much-longer-name.localhost:8080/  none\n\
         bibly               http://bibly.localhost:8080/               \
         2026/01/02 03:04:05 +0000 (~ 1m ago)\n"
    );
}

#[test]
fn lists_are_read_to_their_end() {
    let server = Server::start();
    let next = "Next-Range: id ]x..; max=1\r\n";
    server.on_with("GET /apps", 206, next, json!([app("one", "http://s")]));
    server.on("GET /apps", 200, json!([app("two", "http://s")]));
    let ended = Machine::using(&server).run("apps");
    assert_eq!(ended.stdout.lines().count(), 3);
    assert_eq!(server.requests()[1].headers["range"], "id ]x..; max=1");
}

#[test]
fn info_shows_what_there_is() {
    let server = Server::start();
    server
        .on("GET /apps/bibly", 200, app("bibly", "http://git"))
        .on("GET /apps/bibly/formation", 200, json!([formation("web", 2)]))
        .on(
            "GET /apps/bibly/domains",
            200,
            json!([domain("bibly.localhost", "heroku", None), domain("www.x.org", "custom", None)]),
        );
    let ended = Machine::using(&server).run("info");
    assert_eq!(
        ended.stdout,
        "=== bibly\n\n\
         Web URL:      http://bibly.localhost:8080/\n\
         Git URL:      http://git/bibly.git\n\
         Owner:        owner@example.com\n\
         Processes:    web=2\n\
         Domains:      www.x.org\n\
         Stack:        debian-12\n\
         Repo size:    12.3 kB\n\
         Created:      2026/01/02 03:04:05 +0000 (~ 1m ago)\n\
         Last release: 2026/01/02 03:04:05 +0000 (~ 1m ago)\n"
    );
}

#[test]
fn destroying_needs_the_name_again() {
    let server = Server::start();
    server.on("GET /apps/bibly", 200, app("bibly", "http://git")).on(
        "DELETE /apps/bibly",
        200,
        app("bibly", "http://git"),
    );
    server.on("GET /apps/bibly/volumes", 200, json!([]));
    let deletes = || {
        let requests = server.requests();
        requests.iter().filter(|r| r.line.starts_with("DELETE")).count()
    };
    let mut machine = Machine::using(&server);
    let error = machine.run("destroy").error();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert_eq!(error.hint.as_deref(), Some("Pass --confirm bibly to go ahead."));
    assert_eq!(machine.run("destroy --confirm other").error().kind, ErrorKind::Refused);
    machine.stdin_terminal = true;
    machine.input = "no\n".to_owned();
    assert_eq!(machine.run("destroy").error().kind, ErrorKind::Refused);
    assert_eq!(deletes(), 0);

    git(machine.folder.path(), &["init", "-q"]);
    let remote = ["remote", "add", "windlass", "http://git/bibly.git"];
    git(machine.folder.path(), &remote);
    machine.input = "bibly\n".to_owned();
    let ended = machine.run("destroy");
    ended.result.unwrap();
    assert!(ended.stderr.ends_with(
        "> Destroying ⬢ bibly (with its releases, config vars and domains)... done\n\
         Removed git remote windlass\n"
    ));
    assert_eq!(deletes(), 1);
    machine.run("destroy bibly -c bibly").result.unwrap();
}

#[test]
fn renaming_moves_the_remote() {
    let server = Server::start();
    server.on("GET /apps/bibly", 200, app("bibly", "http://git")).on(
        "PATCH /apps/bibly",
        200,
        app("books", "http://git"),
    );
    let machine = Machine::using(&server);
    git(machine.folder.path(), &["init", "-q"]);
    let remote = ["remote", "add", "prod", "http://git/bibly.git"];
    git(machine.folder.path(), &remote);
    let ended = machine.run("apps:rename books");
    assert_eq!(
        ended.stderr,
        "Renaming ⬢ bibly to books... done\nSet git remote prod to http://git/books.git\n"
    );
    assert_eq!(server.body("PATCH /apps/bibly"), json!({"name": "books"}));
}

#[test]
fn git_remote_may_be_given_another_name_and_ssh() {
    let server = Server::start();
    let mut over_ssh = app("bibly", "");
    over_ssh["git_url"] = "ssh://git@host:2222/bibly.git".into();
    server.on("GET /apps/bibly", 200, over_ssh);
    let machine = Machine::using(&server);
    assert_eq!(machine.run("git:remote").error().kind, ErrorKind::Usage);
    git(machine.folder.path(), &["init", "-q"]);
    let ended = machine.run("git:remote -a bibly -r staging");
    assert_eq!(
        ended.stderr,
        "Set git remote staging to ssh://git@host:2222/bibly.git\n\
         Deploy with: git push staging main\n"
    );
    // It names the app from now on.
    let mut machine = machine;
    machine.variables.remove("WINDLASS_APP");
    server.on("GET /apps/bibly/config-vars", 200, json!({}));
    machine.run("config -r staging").result.unwrap();
    let error = machine.run("config").error();
    assert_eq!(error.kind, ErrorKind::Usage);
    assert!(error.message.contains("no remote windlass"), "{error}");
}

#[test]
fn git_gets_credentials_for_known_servers_only() {
    let server = Server::start();
    server.on("GET /account", 200, account());
    let mut machine = Machine::bare();
    machine.run(&format!("login {} --token sekret", server.url())).result.unwrap();
    let host = server.url().replace("http://", "");
    machine.input = format!("protocol=http\nhost={host}\nwwwauth[]=Basic\n\n");
    let answer = "username=windlass\npassword=sekret\n";
    assert_eq!(machine.run("git:credentials get").stdout, answer);
    assert_eq!(machine.run("git:credentials store").stdout, "");
    machine.input = format!("protocol=https\nhost={host}\n\n");
    assert_eq!(machine.run("git:credentials get").stdout, "");
    machine.input = "protocol=https\nhost=github.com\n\n".to_owned();
    assert_eq!(machine.run("git:credentials get").stdout, "");
    let named = format!("git:credentials --server {} get", server.url());
    assert_eq!(machine.run(&named).stdout, answer);
}

#[test]
fn open_prints_the_url_where_there_is_no_browser() {
    let server = Server::start();
    server.on("GET /apps/bibly", 200, app("bibly", "http://git"));
    let machine = Machine::using(&server);
    assert_eq!(machine.run("open").stdout, "http://bibly.localhost:8080/\n");
    assert_eq!(machine.run("open /books/1").stdout, "http://bibly.localhost:8080/books/1\n");
}

#[test]
fn a_person_may_choose_an_app_and_a_pipe_is_refused() {
    let server = Server::start();
    let apps = json!([app("alpha", "http://a.localhost"), app("beta", "http://b.localhost")]);
    server.on("GET /users/~/apps", 200, apps);
    server.on("GET /apps/beta/config-vars", 200, json!({"COLOUR": "blue"}));
    let mut machine = Machine::using(&server);
    machine.variables.remove("WINDLASS_APP");
    assert_eq!(machine.run("config").error().message, "No app given.");
    machine.stdin_terminal = true;
    machine.input = "2\n".to_owned();
    let ended = machine.run("config");
    assert_eq!(ended.stderr, "No app given. Which one?\n   1  alpha\n   2  beta\n> ");
    assert!(ended.stdout.contains("blue"), "{}", ended.stdout);
    machine.input = "beta\n".to_owned();
    assert!(machine.run("config").stdout.contains("blue"));
    machine.input = "3\n".to_owned();
    assert_eq!(machine.run("config").error().message, "\"3\" is none of these. Nothing was done.");
}
