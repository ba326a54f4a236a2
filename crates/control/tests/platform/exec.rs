//! Commands inside instances that run, and time limits of one-offs.

use super::one_offs::{log, request};
use std::collections::BTreeMap;
use std::time::Duration;
use windlass_control::PlatformError;
use windlass_control::records::App;
use windlass_control::run::{ExecLine, ExecRequest, OneOffRequest};
use windlass_core::driver::{Attached, AttachedInput, AttachedOutput};
use windlass_testkit::platform::TestPlatform;

fn exec_request(command: ExecLine) -> ExecRequest {
    let environment = BTreeMap::from([("COLOUR".to_owned(), "green".to_owned())]);
    ExecRequest { command, environment, terminal: None }
}

fn words(words: &[&str]) -> ExecLine {
    ExecLine::Words(words.iter().map(ToString::to_string).collect())
}

/// Runs a command in web.1 as a client does. Returns what it said and its exit code.
fn exec(test: &TestPlatform, app: &App, command: ExecLine) -> Result<(String, i32), PlatformError> {
    let view = test.instances(app).into_iter().find(|view| view.name == "web.1").unwrap();
    let platform = test.platform();
    test.block_on(async {
        let prepared = platform.exec(&test.user, app, view, exec_request(command)).await?;
        let mut attached = platform.attach(&prepared.attach_secret.unwrap()).await?;
        let _ = attached.input.send(AttachedInput::StdinClosed).await;
        let mut said = String::new();
        loop {
            match attached.output.recv().await.unwrap() {
                AttachedOutput::Stdout(bytes) | AttachedOutput::Stderr(bytes) => {
                    said.push_str(&String::from_utf8_lossy(&bytes));
                }
                AttachedOutput::Exited(status) => return Ok((said, status.code)),
            }
        }
    })
}

#[test]
fn a_command_runs_inside_and_the_instance_goes_on() {
    let test = TestPlatform::open();
    let app = test.create_app("exec");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let line = |text: &str| ExecLine::Line(text.to_owned());
    assert_eq!(exec(&test, &app, line("echo hello  you")).unwrap(), ("hello you\n".to_owned(), 0));
    assert_eq!(exec(&test, &app, words(&["echo", "as  it is"])).unwrap().0, "as  it is\n");
    assert_eq!(exec(&test, &app, words(&["printenv", "COLOUR"])).unwrap().0, "green\n");
    assert_eq!(exec(&test, &app, words(&["false"])).unwrap().1, 1);
    assert_eq!(exec(&test, &app, words(&["true"])).unwrap().1, 0);
    let unknown = exec(&test, &app, words(&["tar"])).unwrap_err();
    assert_eq!(unknown.to_string(), "web.1 has no such command: tar: not found in PATH");
    let empty = exec(&test, &app, words(&[])).unwrap_err();
    assert!(matches!(empty, PlatformError::Invalid(_)), "{empty}");
    assert_eq!(test.up(&app), ["web.1"]);
    assert_eq!(test.driver.counts().stopped, 0);
    let said = log(&test, &app);
    assert!(said.contains("app[api]: Running `echo hello  you` in web.1 by user"), "{said}");
}

#[test]
fn nothing_runs_inside_an_instance_that_has_ended() {
    let test = TestPlatform::open();
    let app = test.create_app("ended");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let view = test.instances(&app).remove(0);
    let other = test.create_app("other");
    let _ = test.deploy(&other, &[("web", "serve")]).unwrap();
    let platform = test.platform();
    let of_another = platform.exec(&test.user, &other, view.clone(), exec_request(ExecLine::Shell));
    assert!(matches!(test.block_on(of_another), Err(PlatformError::Conflict(_))));
    let prepared = platform.exec(&test.user, &app, view.clone(), exec_request(words(&["true"])));
    let secret = test.block_on(prepared).unwrap().attach_secret.unwrap();
    let ended = test.driver.running().into_iter().find(|i| i.spec.labels.app == app.id).unwrap();
    assert!(test.driver.crash(&ended.spec.id, 1));
    assert!(test.block_on(platform.attach(&secret)).is_err());
    let again = platform.exec(&test.user, &app, view, exec_request(ExecLine::Shell));
    assert!(matches!(test.block_on(again), Err(PlatformError::Conflict(_))));
}

/// Waits for the end of an attached command that nothing else ends. Returns what was said last.
fn last_words(test: &TestPlatform, attached: &mut Attached) -> (String, i32) {
    test.block_on(async {
        let mut said = String::new();
        let end = async {
            loop {
                match attached.output.recv().await.expect("it says how it ended") {
                    AttachedOutput::Stdout(bytes) | AttachedOutput::Stderr(bytes) => {
                        said.push_str(&String::from_utf8_lossy(&bytes));
                    }
                    AttachedOutput::Exited(status) => return status.code,
                }
            }
        };
        let code = tokio::time::timeout(Duration::from_secs(60), end).await.expect("it ends");
        (said, code)
    })
}

#[test]
fn what_somebody_runs_ends_when_they_lose_the_app() {
    let test = TestPlatform::open();
    let app = test.create_app("taken");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let platform = test.platform();
    let invitation = platform.invite(&test.user, "eve@example.com", None).unwrap();
    let eve = platform.accept_as_newcomer(&invitation.secret, None).unwrap().user;
    platform.add_collaborator(&test.user, &app, &eve.email, None).unwrap();
    let view = test.instances(&app).remove(0);
    let run = async || platform.run_one_off(&eve, &app, request("serve", true)).await.unwrap();
    let exec = async || {
        let request = exec_request(words(&["cat"]));
        platform.exec(&eve, &app, view.clone(), request).await.unwrap()
    };
    let (mut one_off, mut beside, waiting) = test.block_on(async {
        let (first, second) =
            (run().await.attach_secret.unwrap(), exec().await.attach_secret.unwrap());
        let one_off = platform.attach(&first).await.unwrap();
        let beside = platform.attach(&second).await.unwrap();
        (one_off, beside, exec().await.attach_secret.unwrap())
    });
    assert_eq!(test.driver.running().len(), 2);
    platform.remove_collaborator(&test.user, &app, &eve.email).unwrap();
    for attached in [&mut one_off, &mut beside] {
        let (said, code) = last_words(&test, attached);
        assert!(said.contains("you may not operate the app any more"), "{said:?}");
        assert_eq!(code, 129);
    }
    test.wait_until("the one-off has ended", |test| test.driver.running().len() == 1);
    test.wait_until("nobody takes input", |_| beside.input.is_closed());
    assert!(test.block_on(platform.attach(&waiting)).is_err(), "nor does what waits begin");
}

fn limited(attach: bool, limit: Duration) -> OneOffRequest {
    OneOffRequest { time_limit: Some(limit), ..request("serve", attach) }
}

#[test]
fn a_one_off_is_stopped_when_its_time_is_up() {
    let test = TestPlatform::open();
    let app = test.create_app("limited");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let platform = test.platform();
    let limit = Duration::from_secs(3);
    let one = test.block_on(platform.run_one_off(&test.user, &app, limited(false, limit))).unwrap();
    assert_eq!(test.up(&app).len(), 2);
    test.wait_for_instances(&app, &["web.1"]);
    let stopped =
        format!("heroku[{}]: Stopping process: it reached its time limit of 3 s", one.view.name);
    assert!(log(&test, &app).contains(&stopped), "{}", log(&test, &app));

    let one = test.block_on(platform.run_one_off(&test.user, &app, limited(true, limit))).unwrap();
    test.block_on(async {
        let mut attached = platform.attach(&one.attach_secret.unwrap()).await.unwrap();
        let mut said = String::new();
        if let Some(AttachedOutput::Stderr(bytes)) = attached.output.recv().await {
            said.push_str(&String::from_utf8_lossy(&bytes));
        }
        assert!(said.contains("is stopped: it reached its time limit of 3 s"), "{said:?}");
    });
    test.wait_for_instances(&app, &["web.1"]);
}

#[test]
fn a_time_limit_outlives_the_server() {
    let mut test = TestPlatform::open();
    let app = test.create_app("outlives");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let request = limited(false, Duration::from_secs(6));
    test.block_on(test.platform().run_one_off(&test.user, &app, request)).unwrap();
    test.crash_and_open();
    assert_eq!(test.driver.running().len(), 2);
    test.wait_for_instances(&app, &["web.1"]);
    assert_eq!(test.driver.running().len(), 1);
}

#[test]
fn a_time_limit_is_between_one_second_and_that_of_the_server() {
    let test = TestPlatform::open();
    let app = test.create_app("between");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    for limit in [Duration::ZERO, Duration::from_secs(3_601)] {
        let request = limited(false, limit);
        let refused = test.block_on(test.platform().run_one_off(&test.user, &app, request));
        assert!(matches!(refused, Err(PlatformError::Invalid(_))), "{limit:?}");
    }
    assert_eq!(test.driver.running().len(), 1);
}
