//! Deploy strategies, canaries, the lock, and apps that are stopped as a whole.

use super::scaling::scale;
use windlass_control::PlatformError;
use windlass_control::records::{App, ReleaseStatus};
use windlass_core::deploy_settings::{DeploySettings, Strategy};
use windlass_core::route::Availability;
use windlass_testkit::platform::TestPlatform;

fn choose(test: &TestPlatform, app: &App, settings: DeploySettings) {
    test.block_on(test.platform().set_deploy_settings(&test.user, app, settings)).unwrap();
}

fn strategy(strategy: Strategy) -> DeploySettings {
    DeploySettings { strategy, ..DeploySettings::default() }
}

/// An app that serves with a canary strategy, and a canary beside it.
fn with_canary(test: &TestPlatform, name: &str) -> App {
    let app = test.create_app(name);
    let _ = test.deploy(&app, &[("web", "serve"), ("worker", "serve")]).unwrap();
    scale(test, &app, "web", 3);
    scale(test, &app, "worker", 1);
    test.wait_for_instances(&app, &["web.1", "web.2", "web.3", "worker.1"]);
    let settings = DeploySettings { canary_percent: Some(40), ..strategy(Strategy::Canary) };
    choose(test, &app, settings);
    test.router.must_stay_served(app.id, true);
    let release = test.deploy(&app, &[("web", "serve"), ("worker", "serve")]).unwrap();
    assert_eq!(release.status, ReleaseStatus::Pending);
    app
}

fn running_of(test: &TestPlatform, release: u32) -> Vec<String> {
    let running = test.driver.running();
    let of = running.iter().filter(|i| i.spec.labels.release == Some(release));
    let mut names: Vec<String> = of.map(|i| i.spec.labels.display_name()).collect();
    names.sort();
    names
}

fn canary_of(test: &TestPlatform, app: &App) -> Option<(u8, Vec<String>)> {
    let canary = test.router.route(app.id).unwrap().canary?;
    Some((canary.percent, canary.targets.into_iter().map(|target| target.name).collect()))
}

#[test]
fn a_surge_of_one_goes_through_the_formation_and_back_again_if_it_fails() {
    let test = TestPlatform::open();
    let app = test.create_app("gradual");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    scale(&test, &app, "web", 3);
    test.wait_for_instances(&app, &["web.1", "web.2", "web.3"]);
    choose(&test, &app, DeploySettings { surge: Some(1), ..DeploySettings::default() });
    test.router.must_stay_served(app.id, true);

    let release = test.deploy(&app, &[("web", "slow 20")]).unwrap();
    assert_eq!(running_of(&test, release.version), ["web.1", "web.2", "web.3"]);

    let _ = test.deploy(&app, &[("web", "crash 1")]).unwrap_err();
    test.wait_for_instances(&app, &["web.1", "web.2", "web.3"]);
    assert_eq!(running_of(&test, release.version), ["web.1", "web.2", "web.3"]);
    assert_eq!(test.router.violations(), [""; 0]);
}

#[test]
fn recreate_stops_the_old_before_it_starts_the_new_and_takes_it_back_if_that_fails() {
    let test = TestPlatform::open();
    let app = test.create_app("alone");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    choose(&test, &app, strategy(Strategy::Recreate));

    let release = test.deploy(&app, &[("web", "slow 30")]).unwrap();
    assert_eq!(running_of(&test, release.version), ["web.1"]);
    assert_eq!(test.driver.running().len(), 1, "the old one had ended before");

    let _ = test.deploy(&app, &[("web", "crash 1")]).unwrap_err();
    test.wait_for_instances(&app, &["web.1"]);
    assert_eq!(running_of(&test, release.version), ["web.1"]);
    assert_eq!(test.router.availability(app.id), Some(Availability::Serving));
}

#[test]
fn a_canary_gets_its_share_until_it_is_promoted() {
    let test = TestPlatform::open();
    let app = with_canary(&test, "promoted");
    assert_eq!(canary_of(&test, &app), Some((40, vec!["web.1".into(), "web.2".into()])));
    assert_eq!(test.router.targets(app.id), ["web.1", "web.2", "web.3"]);
    assert_eq!(test.app(&app).current_release, 2);
    assert_eq!(running_of(&test, 3), ["web.1", "web.2"], "workers are left alone");

    let refused = test.deploy(&app, &[("web", "serve")]).unwrap_err();
    assert!(matches!(refused, PlatformError::Conflict(_)), "{refused}");
    let refused = test.set(&app, "NAME", "value").unwrap_err();
    assert!(refused.to_string().contains("canary v3"), "{refused}");

    let release = test.block_on(test.platform().promote_canary(&test.user, &app)).unwrap();
    assert_eq!((release.version, release.status), (3, ReleaseStatus::Succeeded));
    test.wait_for_instances(&app, &["web.1", "web.2", "web.3", "worker.1"]);
    assert_eq!(test.app(&app).current_release, 3);
    assert_eq!(canary_of(&test, &app), None);
    assert!(test.block_on(test.platform().promote_canary(&test.user, &app)).is_err());
    assert_eq!(test.router.violations(), [""; 0]);
}

#[test]
fn an_aborted_canary_leaves_the_old_release_as_it_was() {
    let test = TestPlatform::open();
    let app = with_canary(&test, "aborted");
    assert_eq!(test.block_on(test.platform().abort_canary(&test.user, &app)).unwrap(), 3);
    test.wait_for_instances(&app, &["web.1", "web.2", "web.3", "worker.1"]);
    test.wait_until("the end of the canary", |test| running_of(test, 3).is_empty());
    assert_eq!(test.platform().release(&app, "v3").unwrap().status, ReleaseStatus::Failed);
    assert_eq!((canary_of(&test, &app), test.app(&app).current_release), (None, 2));
    assert!(test.block_on(test.platform().abort_canary(&test.user, &app)).is_err());
    test.set(&app, "NAME", "value").unwrap();
}

#[test]
fn a_canary_that_crashes_is_taken_out() {
    let test = TestPlatform::open();
    let app = with_canary(&test, "crashing");
    let running = test.driver.running();
    let victim = running.iter().find(|i| i.spec.labels.release == Some(3)).unwrap();
    assert!(test.driver.crash(&victim.spec.id, 7));
    test.wait_until("the end of the canary", |test| {
        canary_of(test, &app).is_none() && running_of(test, 3).is_empty()
    });
    let release = test.platform().release(&app, "v3").unwrap();
    assert_eq!(release.status, ReleaseStatus::Failed);
    assert!(release.failure.unwrap().contains("status 7"));
    assert_eq!(test.app(&app).deploys.canary, None);
}

#[test]
fn a_canary_outlives_the_server() {
    let mut test = TestPlatform::open();
    let app = with_canary(&test, "lasting");
    let before = test.driver.running().len();
    test.crash_and_open();
    test.wait_until("the canary", |test| canary_of(test, &app).is_some());
    assert_eq!(test.driver.running().len(), before, "nothing was restarted");
    assert_eq!(test.platform().release(&app, "v3").unwrap().status, ReleaseStatus::Pending);
    let release = test.block_on(test.platform().promote_canary(&test.user, &app)).unwrap();
    assert_eq!(release.version, 3);
    assert_eq!(test.router.violations(), [""; 0]);
}

#[test]
fn a_lock_keeps_new_code_out_and_lets_config_changes_in() {
    let test = TestPlatform::open();
    let app = test.create_app("locked");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let reason = Some("audit".to_owned());
    test.block_on(test.platform().lock_deploys(&test.user, &app, reason)).unwrap();
    for refused in [
        test.deploy(&app, &[("web", "serve")]).unwrap_err(),
        test.block_on(test.platform().rollback(&test.user, &app, "v2")).unwrap_err(),
    ] {
        assert!(refused.to_string().contains("locked by"), "{refused}");
        assert!(refused.to_string().contains(": audit."), "{refused}");
    }
    test.set(&app, "NAME", "value").unwrap();
    test.block_on(test.platform().unlock_deploys(&test.user, &app)).unwrap();
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
}

#[test]
fn a_stopped_app_stays_stopped_until_it_is_started() {
    let mut test = TestPlatform::open();
    let app = test.create_app("asleep");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    test.block_on(test.platform().stop_app(&test.user, &app)).unwrap();
    test.wait_until("its end", |test| test.driver.running().is_empty());
    let states: Vec<_> =
        test.instances(&app).iter().map(|view| (view.name.clone(), view.state.as_str())).collect();
    assert_eq!(states, [("web.1".to_owned(), "down")]);
    test.crash_and_open();
    let release = test.deploy(&app, &[("web", "serve")]).unwrap();
    assert!(test.driver.running().is_empty(), "a deploy does not start it");
    test.block_on(test.platform().start_app(&test.user, &app)).unwrap();
    test.wait_for_instances(&app, &["web.1"]);
    assert_eq!(running_of(&test, release.version), ["web.1"]);
}

#[test]
fn settings_out_of_range_are_refused() {
    let test = TestPlatform::open();
    let app = test.create_app("strict");
    let wrong = DeploySettings { surge: Some(0), ..DeploySettings::default() };
    let refused =
        test.block_on(test.platform().set_deploy_settings(&test.user, &app, wrong)).unwrap_err();
    assert!(matches!(refused, PlatformError::Invalid(_)), "{refused}");
}
