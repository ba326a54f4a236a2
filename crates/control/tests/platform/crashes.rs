//! Instances that end by themselves.

use super::scaling::scale;
use windlass_control::run::InstanceDisplayState;
use windlass_core::route::Availability;
use windlass_testkit::platform::TestPlatform;

#[test]
fn the_first_crash_is_mended_at_once_the_second_waits() {
    let test = TestPlatform::open();
    let app = test.create_app("crashes");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let crash = |expected: usize| {
        let id = test.driver.running()[0].spec.id.clone();
        assert!(test.driver.crash(&id, 7));
        test.wait_until("the next state", |test| {
            test.driver.counts().started == expected
                && test.driver.running().iter().all(|i| i.spec.id != id)
        });
    };
    crash(2);
    test.wait_for_instances(&app, &["web.1"]);
    crash(2);
    test.wait_until("crashed", |test| {
        test.router.availability(app.id) == Some(Availability::Crashed)
    });
    let views = test.instances(&app);
    assert_eq!((views.len(), views[0].state), (1, InstanceDisplayState::Crashed));
    let log = super::one_offs::log(&test, &app);
    assert!(log.contains("heroku[web.1]: Process exited with status 7"), "{log}");
    assert!(log.contains("State changed from up to crashed"), "{log}");
    // A restart does not wait for the next attempt.
    let all = windlass_control::run::Selection::All;
    test.block_on(test.platform().restart(&test.user, &app, all)).unwrap();
    test.wait_for_instances(&app, &["web.1"]);
}

#[test]
fn one_crash_of_two_leaves_the_other_serving() {
    let test = TestPlatform::open();
    let app = test.create_app("two");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    scale(&test, &app, "web", 2);
    test.wait_for_instances(&app, &["web.1", "web.2"]);
    test.wait_until("two targets", |test| test.router.targets(app.id).len() == 2);
    test.router.must_stay_served(app.id, true);
    let id = test.driver.running()[0].spec.id.clone();
    assert!(test.driver.crash(&id, 1));
    test.wait_until("a new one", |test| test.driver.counts().started == 3);
    test.wait_for_instances(&app, &["web.1", "web.2"]);
}

#[test]
fn the_ends_of_many_are_all_seen() {
    let test = TestPlatform::open();
    let app = test.create_app("many");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    scale(&test, &app, "web", 40);
    test.wait_until("forty", |test| test.up(&app).len() == 40);
    for instance in test.driver.running() {
        assert!(test.driver.crash(&instance.spec.id, 1));
    }
    test.wait_until("forty again", |test| {
        test.up(&app).len() == 40 && test.driver.running().len() == 40
    });
    assert_eq!(test.driver.counts().started, 80);
}
