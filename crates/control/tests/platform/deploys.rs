//! Releases become current or fail; what is served is served on.

use super::scaling::scale;
use std::time::Duration;
use windlass_control::PlatformError;
use windlass_control::records::ReleaseStatus;
use windlass_core::route::Availability;
use windlass_testkit::platform::TestPlatform;

#[test]
fn the_first_deploy_starts_web_and_serves_it() {
    let test = TestPlatform::open();
    let app = test.create_app("first");
    assert_eq!(test.router.availability(app.id), Some(Availability::Blank));

    let release = test.deploy(&app, &[("web", "serve"), ("worker", "serve")]).unwrap();

    assert_eq!((release.version, release.status), (2, ReleaseStatus::Succeeded));
    assert_eq!(test.router.targets(app.id), ["web.1"], "served when the call returns");
    assert_eq!(test.router.route(app.id).unwrap().hosts, ["first.localhost"]);
    test.wait_for_instances(&app, &["web.1"]);
    assert_eq!(test.driver.counts().started, 1, "worker starts at 0");
}

#[test]
fn a_deploy_swaps_and_drains_before_it_stops() {
    let test = TestPlatform::open();
    let app = test.create_app("swap");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let old = test.driver.running()[0].spec.id.clone();
    test.router.must_stay_served(app.id, true);

    let _ = test.deploy(&app, &[("web", "slow 50")]).unwrap();

    let targets = test.router.route(app.id).unwrap().targets;
    assert!(
        targets.iter().all(|target| target.instance != old),
        "the new one takes requests: {targets:?}"
    );
    test.wait_for_instances(&app, &["web.1"]);
    assert_eq!(test.router.drained(), [old]);
    assert_eq!(test.driver.counts().forgotten, 1, "nothing is left of the old one");
}

#[test]
fn a_release_that_crashes_leaves_the_old_one_serving() {
    let test = TestPlatform::open();
    let app = test.create_app("crash");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    test.router.must_stay_served(app.id, true);
    let before = test.driver.running();

    let error = test.deploy(&app, &[("web", "crash 3")]).unwrap_err();

    assert!(matches!(error, PlatformError::ReleaseFailed(_)), "{error:?}");
    assert!(error.to_string().contains("web.1 exited with status 3"), "{error}");
    test.wait_for_instances(&app, &["web.1"]);
    assert_eq!(test.driver.running(), before, "the old instance was not touched");
    let failed = test.platform().release(&app, "v3").unwrap();
    assert_eq!(failed.status, ReleaseStatus::Failed);
    assert!(failed.failure.unwrap().contains("status 3"));
    assert_eq!(test.app(&app).current_release, 2);
    assert_eq!(test.driver.counts().started, 2, "a crashed candidate is not started again");
}

#[test]
fn a_release_that_never_listens_fails_and_its_instance_is_stopped() {
    let test = TestPlatform::open_with(|settings| settings.boot_timeout = Duration::from_secs(3));
    let app = test.create_app("silent");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    test.router.must_stay_served(app.id, true);

    let error = test.deploy(&app, &[("web", "never-listen")]).unwrap_err();

    assert!(error.to_string().contains("R10"), "{error}");
    test.wait_for_instances(&app, &["web.1"]);
    assert_eq!(test.driver.running()[0].spec.labels.release, Some(2));
}

#[test]
fn a_first_release_that_fails_leaves_the_app_blank() {
    let test = TestPlatform::open();
    let app = test.create_app("stillborn");
    let _ = test.deploy(&app, &[("web", "crash 1")]).unwrap_err();
    test.wait_for_instances(&app, &[]);
    assert_eq!(test.router.availability(app.id), Some(Availability::Blank));
    assert_eq!(test.app(&app).current_release, 1);
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    assert_eq!(test.router.targets(app.id), ["web.1"]);
}

#[test]
fn one_bad_process_type_fails_the_whole_release() {
    let test = TestPlatform::open();
    let app = test.create_app("half");
    let _ = test.deploy(&app, &[("web", "serve"), ("worker", "serve")]).unwrap();
    scale(&test, &app, "worker", 2);
    test.wait_for_instances(&app, &["web.1", "worker.1", "worker.2"]);
    test.router.must_stay_served(app.id, true);

    let error = test.deploy(&app, &[("web", "serve"), ("worker", "crash 9")]).unwrap_err();

    assert!(error.to_string().contains("worker."), "{error}");
    test.wait_for_instances(&app, &["web.1", "worker.1", "worker.2"]);
    assert!(test.driver.running().iter().all(|i| i.spec.labels.release == Some(2)));
}

#[test]
fn a_deploy_drops_types_that_vanish_and_keeps_quantities() {
    let test = TestPlatform::open();
    let app = test.create_app("types");
    let _ = test.deploy(&app, &[("web", "serve"), ("worker", "serve")]).unwrap();
    scale(&test, &app, "web", 2);
    scale(&test, &app, "worker", 1);
    test.wait_for_instances(&app, &["web.1", "web.2", "worker.1"]);
    let _ = test.deploy(&app, &[("web", "serve"), ("clock", "serve")]).unwrap();
    test.wait_for_instances(&app, &["web.1", "web.2"]);
    let formation = test.platform().formation(&app).unwrap();
    let formation: Vec<_> = formation.iter().map(|f| (f.process.as_str(), f.quantity)).collect();
    assert_eq!(formation, [("web", 2), ("clock", 0)]);
}

#[test]
fn rollback_brings_image_and_config_back() {
    let test = TestPlatform::open();
    let app = test.create_app("back");
    test.set(&app, "COLOUR", "green").unwrap();
    let good = test.deploy(&app, &[("web", "serve")]).unwrap();
    test.set(&app, "COLOUR", "red").unwrap();
    let _ = test.deploy(&app, &[("web", "slow 20")]).unwrap();
    test.router.must_stay_served(app.id, true);

    let version = format!("v{}", good.version);
    let release = test.block_on(test.platform().rollback(&test.user, &app, &version)).unwrap();

    assert_eq!(release.description, format!("Rollback to {version}"));
    assert_eq!(release.processes, good.processes);
    assert_eq!(test.platform().config_vars(&app).unwrap()["COLOUR"], "green");
    test.wait_for_instances(&app, &["web.1"]);
    assert_eq!(test.driver.running()[0].spec.environment["COLOUR"], "green");
}

#[test]
fn releases_that_failed_or_have_no_image_are_no_rollback_targets() {
    let test = TestPlatform::open();
    let app = test.create_app("noback");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let _ = test.deploy(&app, &[("web", "crash 1")]).unwrap_err();
    let rollback = |version| test.block_on(test.platform().rollback(&test.user, &app, version));
    assert!(matches!(rollback("v1"), Err(PlatformError::Invalid(_))), "no image");
    assert!(matches!(rollback("v3"), Err(PlatformError::Invalid(_))), "failed");
    assert!(matches!(rollback("v9"), Err(PlatformError::NotFound { .. })));
}

#[test]
fn an_image_that_is_not_there_is_refused() {
    let test = TestPlatform::open();
    let app = test.create_app("noimage");
    let image = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
    let processes = [("web".parse().unwrap(), "serve".to_owned())].into();
    let platform = test.platform();
    let released = test.block_on(platform.release_image(&test.user, &app, image, processes, "no"));
    assert!(matches!(released, Err(PlatformError::Invalid(_))), "{released:?}");
    assert_eq!(test.platform().releases(&app, 10).unwrap().len(), 1);
}

#[test]
fn a_router_that_is_away_fails_the_deploy_and_is_told_later() {
    let test = TestPlatform::open();
    let app = test.create_app("norouter");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    test.router.set_away(true);
    let error = test.deploy(&app, &[("web", "serve")]).unwrap_err();
    assert!(error.to_string().contains("router"), "{error}");
    test.router.set_away(false);
    test.wait_for_instances(&app, &["web.1"]);
    assert_eq!(test.driver.running()[0].spec.labels.release, Some(2));
    assert_eq!(test.router.targets(app.id), ["web.1"]);
}

#[test]
fn destroying_an_app_leaves_nothing() {
    let test = TestPlatform::open();
    let app = test.create_app("gone");
    let _ = test.deploy(&app, &[("web", "serve"), ("worker", "ignore-term")]).unwrap();
    scale(&test, &app, "worker", 1);
    test.wait_for_instances(&app, &["web.1", "worker.1"]);
    test.block_on(test.platform().destroy_app(&test.user, &app, false)).unwrap();
    assert!(test.driver.running().is_empty());
    assert!(test.router.route(app.id).is_none());
    assert_eq!(test.driver.counts().killed, 1, "the worker ignores SIGTERM");
    let _ = test.create_app("gone");
}

/// The worker takes its time to stop; meanwhile the store still has the app.
#[test]
fn what_changes_while_an_app_is_destroyed_starts_nothing() {
    let test = TestPlatform::open();
    let app = test.create_app("gone");
    let _ = test.deploy(&app, &[("web", "serve"), ("worker", "ignore-term")]).unwrap();
    scale(&test, &app, "worker", 1);
    test.wait_for_instances(&app, &["web.1", "worker.1"]);
    let (destroyed, ()) = test.block_on(async {
        let platform = test.platform();
        tokio::join!(platform.destroy_app(&test.user, &app, false), async {
            for on in [true, false, true] {
                let _ = platform.set_maintenance(&test.user, &app, on).await;
            }
        })
    });
    destroyed.unwrap();
    assert!(test.driver.running().is_empty());
}

#[test]
fn what_is_scaled_during_a_deploy_stays_scaled() {
    let test = TestPlatform::open();
    let app = test.create_app("meanwhile");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();

    std::thread::scope(|scope| {
        let deploy = scope.spawn(|| test.deploy(&app, &[("web", "slow 200")]));
        test.wait_until("the new instance to start", |test| test.driver.running().len() == 2);
        scale(&test, &app, "web", 3);
        let deployed = deploy.join().unwrap();
        assert!(deployed.is_ok(), "{deployed:?}");
    });

    test.wait_for_instances(&app, &["web.1", "web.2", "web.3"]);
}
