//! One-off processes, and what the log says.

use bytes::Bytes;
use std::collections::BTreeMap;
use windlass_control::PlatformError;
use windlass_control::observe::LogFilter;
use windlass_control::records::App;
use windlass_control::run::{OneOffRequest, Selection};
use windlass_core::driver::{AttachedInput, AttachedOutput};
use windlass_testkit::platform::TestPlatform;

/// Returns the app's log.
pub fn log(test: &TestPlatform, app: &App) -> String {
    let filter = LogFilter { process: None, source: None, lines: 1_500, tail: false };
    let secret = test.platform().create_log_session(&test.user, app, filter).unwrap();
    test.block_on(async {
        let mut lines = test.platform().open_log_session(&secret, None).unwrap();
        let mut text = String::new();
        while let Some(bytes) = lines.recv().await {
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
        text
    })
}

pub fn request(command: &str, attach: bool) -> OneOffRequest {
    OneOffRequest {
        command: command.to_owned(),
        attach,
        environment: BTreeMap::new(),
        size: None,
        terminal: None,
        time_limit: None,
    }
}

#[test]
fn nothing_runs_before_a_deploy() {
    let test = TestPlatform::open();
    let app = test.create_app("empty");
    let refused =
        test.block_on(test.platform().run_one_off(&test.user, &app, request("serve", false)));
    assert!(matches!(refused, Err(PlatformError::Invalid(_))));
}

#[test]
fn a_detached_one_runs_beside_the_formation_until_it_is_stopped() {
    let test = TestPlatform::open();
    let app = test.create_app("detached");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let platform = test.platform();
    let one =
        test.block_on(platform.run_one_off(&test.user, &app, request("serve", false))).unwrap();
    assert!(one.attach_secret.is_none());
    assert!(one.view.name.starts_with("run."), "{}", one.view.name);
    assert_eq!(test.up(&app), ["web.1".to_owned(), one.view.name.clone()]);
    let which = Selection::Instance(one.view.name.clone());
    test.block_on(platform.stop_instance(&test.user, &app, which)).unwrap();
    test.wait_for_instances(&app, &["web.1"]);
    test.wait_until("the log", |test| {
        log(test, &app)
            .contains(&format!("heroku[{}]: Process exited with status 143", one.view.name))
    });
}

#[test]
fn an_attached_one_starts_when_its_client_comes_and_only_once() {
    let test = TestPlatform::open();
    let app = test.create_app("attached");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let platform = test.platform();
    let one =
        test.block_on(platform.run_one_off(&test.user, &app, request("serve", true))).unwrap();
    assert_eq!(test.driver.running().len(), 1, "not started yet");
    let secret = one.attach_secret.unwrap();
    test.block_on(async {
        let mut attached = platform.attach(&secret).await.unwrap();
        let hello = Bytes::from_static(b"hello");
        attached.input.send(AttachedInput::Stdin(hello.clone())).await.unwrap();
        assert_eq!(attached.output.recv().await, Some(AttachedOutput::Stdout(hello)));
        attached.input.send(AttachedInput::StdinClosed).await.unwrap();
        match attached.output.recv().await {
            Some(AttachedOutput::Exited(status)) => assert_eq!(status.code, 0),
            other => panic!("{other:?}"),
        }
        assert!(platform.attach(&secret).await.is_err(), "the secret is used up");
    });
    test.wait_for_instances(&app, &["web.1"]);
}
