//! Checks over the life of an instance.

use super::scaling::scale;
use windlass_control::PlatformError;
use windlass_control::records::App;
use windlass_core::checks::{Check, CheckSettings};
use windlass_core::ids::InstanceId;
use windlass_core::route::Availability;
use windlass_testkit::platform::TestPlatform;

/// `GET /` every second with the status that counts, twice.
fn http(kind: &str) -> Check {
    let settings = CheckSettings {
        kind: Some(kind.to_owned()),
        path: Some("/up".to_owned()),
        attempts: Some(2),
        wait: Some(1),
        timeout: Some(1),
        ..CheckSettings::default()
    };
    settings.check().unwrap()
}

fn set(test: &TestPlatform, app: &App, checks: Vec<Check>) {
    let web = "web".parse().unwrap();
    test.block_on(test.platform().set_checks(&test.user, app, web, Some(checks), false)).unwrap();
}

fn targets(test: &TestPlatform, app: &App) -> Vec<InstanceId> {
    let route = test.router.route(app.id).unwrap();
    route.targets.into_iter().map(|target| target.instance).collect()
}

#[test]
fn a_failed_readiness_check_takes_an_instance_out_of_routing_until_it_passes() {
    let test = TestPlatform::open();
    let app = test.create_app("ready");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    scale(&test, &app, "web", 2);
    test.wait_for_instances(&app, &["web.1", "web.2"]);
    set(&test, &app, vec![http("readiness")]);
    test.router.must_stay_served(app.id, true);
    let sick = test.driver.running()[0].spec.id.clone();

    test.driver.set_sick(&sick, true);
    test.wait_until("one target", |test| targets(test, &app).len() == 1);
    assert!(!targets(&test, &app).contains(&sick));
    assert_eq!(test.driver.running().len(), 2, "it is left alone");
    test.driver.set_sick(&sick, false);
    test.wait_until("two targets", |test| targets(test, &app).len() == 2);
    assert_eq!(test.driver.counts().started, 2);
    assert_eq!(test.router.violations(), [""; 0]);
}

#[test]
fn an_instance_that_fails_its_liveness_check_is_replaced() {
    let test = TestPlatform::open();
    let app = test.create_app("alive");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    set(&test, &app, vec![http("liveness")]);
    test.router.must_stay_served(app.id, true);
    let sick = test.driver.running()[0].spec.id.clone();

    test.driver.set_sick(&sick, true);
    test.wait_until("another instance", |test| {
        let running = test.driver.running();
        running.len() == 1 && running[0].spec.id != sick
    });
    assert_eq!(test.router.availability(app.id), Some(Availability::Serving));
    assert_eq!(test.router.violations(), [""; 0], "the new one was up before the old one went");
}

#[test]
fn a_startup_check_that_fails_fails_the_deploy() {
    let test = TestPlatform::open();
    let app = test.create_app("startup");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let wrong = CheckSettings {
        path: Some("/".to_owned()),
        content: Some("welcome".to_owned()),
        attempts: Some(1),
        wait: Some(1),
        ..CheckSettings::default()
    };
    set(&test, &app, vec![wrong.check().unwrap()]);
    test.router.must_stay_served(app.id, true);
    let before = test.driver.running();

    let error = test.deploy(&app, &[("web", "serve")]).unwrap_err();
    assert!(matches!(error, PlatformError::ReleaseFailed(_)), "{error:?}");
    assert!(error.to_string().contains("does not say \"welcome\""), "{error}");
    test.wait_for_instances(&app, &["web.1"]);
    assert_eq!(test.driver.running(), before);

    let warns = Check { only_warns: true, ..wrong_again() };
    set(&test, &app, vec![warns]);
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
}

fn wrong_again() -> Check {
    Check { probe: windlass_core::checks::Probe::Listening { port: Some(1) }, ..http("readiness") }
}

#[test]
fn checks_are_shown_with_their_source_and_can_be_run() {
    let test = TestPlatform::open();
    let app = test.create_app("shown");
    let _ = test.deploy(&app, &[("web", "serve"), ("worker", "serve")]).unwrap();
    let shown = test.platform().checks(&app).unwrap();
    assert_eq!(shown.iter().map(|report| report.source).collect::<Vec<_>>(), ["default"]);
    set(&test, &app, vec![http("readiness"), http("liveness")]);
    let shown = test.platform().checks(&app).unwrap();
    assert_eq!(shown.iter().map(|report| report.source).collect::<Vec<_>>(), ["app", "app"]);

    let runs = test.block_on(test.platform().run_checks(&app)).unwrap();
    assert!(runs.len() == 2 && runs.iter().all(|run| run.problem.is_none()), "{runs:?}");
    test.driver.set_sick(&test.driver.running()[0].spec.id.clone(), true);
    let runs = test.block_on(test.platform().run_checks(&app)).unwrap();
    assert!(runs.iter().all(|run| run.instance == "web.1"));
    let problem = runs[0].problem.clone().unwrap();
    assert_eq!(problem, "GET /up was answered with status 503");
}
