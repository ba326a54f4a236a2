//! The release command runs on the new image and config before anything of them is served.

use super::one_offs::log;
use std::collections::BTreeMap;
use std::time::Duration;
use windlass_control::PlatformError;
use windlass_control::records::{App, ReleaseStatus};
use windlass_testkit::platform::TestPlatform;

/// How often a release command was started.
fn runs(test: &TestPlatform, app: &App) -> usize {
    let log = log(test, app);
    log.lines()
        .filter(|line| line.contains("heroku[release.") && line.contains("Starting process"))
        .count()
}

/// What the release phase of a release said.
fn output(test: &TestPlatform, app: &App, version: &str) -> String {
    let release = test.platform().release(app, version).unwrap();
    assert!(test.platform().has_release_output(&release));
    test.block_on(async {
        let mut output = test.platform().release_output(&release);
        let mut text = String::new();
        while let Some(bytes) = output.recv().await {
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
        text
    })
}

#[test]
fn it_runs_before_the_new_instances_and_its_output_is_kept() {
    let test = TestPlatform::open();
    let app = test.create_app("release");

    let release = test.deploy(&app, &[("web", "serve"), ("release", "slow 30")]).unwrap();

    assert_eq!(release.status, ReleaseStatus::Succeeded);
    test.wait_for_instances(&app, &["web.1"]);
    let log = log(&test, &app);
    let at = |what: &str| log.find(what).unwrap_or_else(|| panic!("{what:?} in {log}"));
    assert!(at("]: done slowly") < at("heroku[web.1]: Starting"), "{log}");
    assert!(log[..at("]: done slowly")].contains("app[release."), "{log}");
    assert_eq!(output(&test, &app, "v2"), "done slowly\n");
}

#[test]
fn one_that_fails_leaves_the_old_release_serving_and_untouched() {
    let test = TestPlatform::open();
    let app = test.create_app("migrate");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    test.router.must_stay_served(app.id, true);
    let before = test.driver.running();

    let error = test.deploy(&app, &[("web", "serve"), ("release", "crash 3")]).unwrap_err();

    assert!(matches!(error, PlatformError::ReleaseFailed(_)), "{error:?}");
    let said = error.to_string();
    assert!(said.contains("the release command exited with status 3"), "{said}");
    assert!(said.contains("crashing with 3"), "its last lines: {said}");
    assert_eq!(test.driver.running(), before);
    assert_eq!(test.driver.counts().started, 2, "no instance of the new release was started");
    let failed = test.platform().release(&app, "v3").unwrap();
    assert_eq!(failed.status, ReleaseStatus::Failed);
    assert_eq!(test.app(&app).current_release, 2);
    let next = test.deploy(&app, &[("web", "serve")]).unwrap();
    assert_eq!(next.version, 4, "the number is used up");
}

#[test]
fn config_changes_and_rollbacks_run_it_too() {
    let test = TestPlatform::open();
    let app = test.create_app("often");
    test.set(&app, "EARLY", "1").unwrap();
    assert_eq!(runs(&test, &app), 0, "there is nothing to run it on");
    let good = test.deploy(&app, &[("web", "serve"), ("release", "slow 1")]).unwrap();
    test.set(&app, "COLOUR", "green").unwrap();
    assert_eq!(runs(&test, &app), 2);
    test.router.must_stay_served(app.id, true);

    let error = test.set(&app, "BEHAVIOUR", "crash 4").unwrap_err();
    assert!(error.to_string().contains("the release command exited with status 4"), "{error}");
    assert!(!test.platform().config_vars(&app).unwrap().contains_key("BEHAVIOUR"));

    let version = format!("v{}", good.version);
    test.block_on(test.platform().rollback(&test.user, &app, &version)).unwrap();
    assert_eq!(runs(&test, &app), 4);
    test.wait_for_instances(&app, &["web.1"]);
}

#[test]
fn one_that_takes_too_long_is_stopped() {
    let test = TestPlatform::open();
    let app = test.create_app("forever");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let error = test.deploy(&app, &[("web", "serve"), ("release", "never-listen")]).unwrap_err();
    assert!(error.to_string().contains("longer than its limit of 5 seconds"), "{error}");
    test.wait_for_instances(&app, &["web.1"]);
}

#[test]
fn a_client_that_goes_away_ends_it() {
    let test = TestPlatform::open();
    let app = test.create_app("hangup");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let (platform, image) = (test.platform(), test.image("the same for all"));
    let processes: BTreeMap<_, _> = [
        ("web".parse().unwrap(), "serve".into()),
        ("release".parse().unwrap(), "never-listen".into()),
    ]
    .into();
    test.block_on(async {
        let deploy = platform.release_image(&test.user, &app, image, processes, "Deploy");
        let during = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            platform.release(&app, "v3").unwrap().status
        };
        tokio::select! {
            status = during => assert_eq!(status, ReleaseStatus::Pending),
            ended = deploy => panic!("{ended:?}"),
        }
    });
    test.wait_for_instances(&app, &["web.1"]);
    assert_eq!(test.platform().release(&app, "v3").unwrap().status, ReleaseStatus::Failed);
    test.set(&app, "A", "b").unwrap();
}

#[test]
fn changes_made_at_the_same_time_are_both_kept() {
    let test = TestPlatform::open();
    let app = test.create_app("both");
    let _ = test.deploy(&app, &[("web", "serve"), ("release", "slow 60")]).unwrap();
    let platform = test.platform();
    let set = |name: &str| {
        let changes = BTreeMap::from([(name.to_owned(), Some("1".to_owned()))]);
        platform.update_config_vars(&test.user, &app, changes)
    };
    test.block_on(async {
        let (one, two) = tokio::join!(set("ONE"), set("TWO"));
        assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    });
    let names: Vec<String> = platform.config_vars(&app).unwrap().into_keys().collect();
    assert_eq!(names, ["ONE", "TWO"]);
}
