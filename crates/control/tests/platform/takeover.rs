//! The server ends at any point and starts again over the same machine.

use super::scaling::scale;
use std::collections::BTreeMap;
use windlass_control::records::ReleaseStatus;
use windlass_core::instance::ObservedInstance;
use windlass_core::route::Availability;
use windlass_testkit::platform::TestPlatform;

fn ids(running: &[ObservedInstance]) -> Vec<String> {
    running.iter().map(|instance| instance.spec.id.to_string()).collect()
}

#[test]
fn running_instances_are_taken_over_and_serve_all_the_time() {
    let mut test = TestPlatform::open();
    let app = test.create_app("stay");
    let _ = test.deploy(&app, &[("web", "serve"), ("worker", "serve")]).unwrap();
    scale(&test, &app, "web", 2);
    scale(&test, &app, "worker", 1);
    test.wait_for_instances(&app, &["web.1", "web.2", "worker.1"]);
    test.wait_until("two targets", |test| test.router.targets(app.id).len() == 2);
    test.router.must_stay_served(app.id, true);
    let (before, counts) = (test.driver.running(), test.driver.counts());

    for _ in 0..3 {
        test.crash_and_open();
        test.wait_for_instances(&app, &["web.1", "web.2", "worker.1"]);
    }

    assert_eq!(ids(&test.driver.running()), ids(&before));
    assert_eq!(test.driver.counts(), counts, "nothing was started, stopped or forgotten");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    test.wait_for_instances(&app, &["web.1", "web.2"]);
}

#[test]
fn what_ended_meanwhile_is_started_again() {
    let mut test = TestPlatform::open();
    let app = test.create_app("away");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let id = test.driver.running()[0].spec.id.clone();
    test.crash_and_open_after(|driver| assert!(driver.crash(&id, 1)));
    test.wait_for_instances(&app, &["web.1"]);
    assert_ne!(test.driver.running()[0].spec.id, id);
    test.wait_until("no leftovers", |test| test.driver.counts().forgotten == 1);
}

#[test]
fn a_deploy_under_way_is_over_and_the_old_release_goes_on() {
    let mut test = TestPlatform::open();
    let app = test.create_app("midway");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let old = ids(&test.driver.running());
    test.router.must_stay_served(app.id, true);
    let (platform, user, image) = (test.platform(), test.user.clone(), test.image("next"));
    test.block_on(async {
        let processes = BTreeMap::from([("web".parse().unwrap(), "never-listen".to_owned())]);
        let released = platform.release_image(&user, &app, image, processes, "cut off");
        let cut = tokio::time::timeout(std::time::Duration::from_secs(1), released).await;
        assert!(cut.is_err(), "it was still starting: {cut:?}");
    });
    drop(platform);
    test.crash_and_open();
    test.wait_for_instances(&app, &["web.1"]);
    assert_eq!(ids(&test.driver.running()), old);
    let cut_off = test.platform().release(&app, "v3").unwrap();
    assert_eq!(cut_off.status, ReleaseStatus::Failed);
}

#[test]
fn an_instance_that_was_still_booting_is_checked_again() {
    let mut test = TestPlatform::open();
    let app = test.create_app("booting");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    test.set(&app, "BEHAVIOUR", "slow 150").unwrap();
    scale(&test, &app, "web", 2);
    test.wait_until("web.2 to start", |test| test.driver.counts().started == 3);
    test.crash_and_open();
    test.wait_for_instances(&app, &["web.1", "web.2"]);
    test.wait_until("both targets", |test| test.router.targets(app.id) == ["web.1", "web.2"]);
    assert_eq!(test.driver.counts().started, 3);
}

#[test]
fn formations_config_and_routes_survive() {
    let mut test = TestPlatform::open();
    let (app, blank) = (test.create_app("kept"), test.create_app("blank"));
    test.set(&app, "COLOUR", "green").unwrap();
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let _ =
        test.block_on(test.platform().add_domain(&test.user, &app, "kept.example.com")).unwrap();
    let route = test.router.route(app.id);
    test.crash_and_open();
    assert_eq!(test.router.route(app.id), route);
    assert_eq!(test.router.availability(blank.id), Some(Availability::Blank));
    assert_eq!(test.platform().config_vars(&app).unwrap()["COLOUR"], "green");
}

#[test]
fn instances_of_apps_that_are_gone_are_stopped() {
    let mut test = TestPlatform::open();
    let app = test.create_app("orphan");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let spec = test.driver.running()[0].spec.clone();
    test.block_on(test.platform().destroy_app(&test.user, &app, false)).unwrap();
    // As if the server had ended between the two halves of a destroy.
    let id = windlass_core::ids::InstanceId::random("web", 1);
    let driver = test.driver.clone();
    let left = windlass_core::instance::InstanceSpec { id, ..spec };
    let _ = test
        .block_on(async { windlass_core::driver::Driver::start(&*driver, left).await })
        .unwrap();
    test.crash_and_open();
    test.wait_until("no instance", |test| test.driver.running().is_empty());
}
