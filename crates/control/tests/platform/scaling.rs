//! Formations and restarts.

use windlass_control::PlatformError;
use windlass_control::records::App;
use windlass_control::run::{Quantity, Selection};
use windlass_core::route::Availability;
use windlass_testkit::platform::TestPlatform;

pub fn scale(test: &TestPlatform, app: &App, process: &str, count: u32) {
    let updates = vec![(process.parse().unwrap(), Quantity::Absolute(count))];
    let _ = test.block_on(test.platform().scale(&test.user, app, updates)).unwrap();
}

fn restart(test: &TestPlatform, app: &App, which: Selection) -> Result<(), PlatformError> {
    test.block_on(test.platform().restart(&test.user, app, which))
}

#[test]
fn scaling_up_and_down_keeps_the_first_ones() {
    let test = TestPlatform::open();
    let app = test.create_app("scale");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let first = test.driver.running()[0].spec.id.clone();
    test.router.must_stay_served(app.id, true);

    scale(&test, &app, "web", 3);
    test.wait_for_instances(&app, &["web.1", "web.2", "web.3"]);
    test.wait_until("three targets", |test| {
        test.router.targets(app.id) == ["web.1", "web.2", "web.3"]
    });
    scale(&test, &app, "web", 1);
    test.wait_for_instances(&app, &["web.1"]);

    assert_eq!(test.driver.running()[0].spec.id, first);
    assert_eq!(test.router.drained().len(), 2, "web.2 and web.3 were drained");
    test.router.must_stay_served(app.id, false);
    scale(&test, &app, "web", 0);
    test.wait_for_instances(&app, &[]);
    assert_eq!(test.router.availability(app.id), Some(Availability::NoWebProcesses));
}

#[test]
fn relative_quantities_and_limits() {
    let test = TestPlatform::open();
    let app = test.create_app("limits");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let change = |quantity| {
        let updates = vec![("web".parse().unwrap(), quantity)];
        test.block_on(test.platform().scale(&test.user, &app, updates))
    };
    assert_eq!(change(Quantity::Relative(2)).unwrap()[0].quantity, 3);
    assert_eq!(change(Quantity::Relative(-9)).unwrap()[0].quantity, 0);
    assert!(matches!(change(Quantity::Absolute(101)), Err(PlatformError::Invalid(_))));
    let unknown = vec![("nobody".parse().unwrap(), Quantity::Absolute(1))];
    let refused = test.block_on(test.platform().scale(&test.user, &app, unknown));
    let refused = refused.unwrap_err();
    assert!(matches!(refused, PlatformError::Missing { resource: "formation", .. }), "{refused:?}");
    assert!(refused.to_string().contains("The app has: web"), "{refused}");
    test.wait_for_instances(&app, &[]);
}

#[test]
fn a_restart_replaces_each_instance_while_it_serves() {
    let test = TestPlatform::open();
    let app = test.create_app("restart");
    let _ = test.deploy(&app, &[("web", "slow 40")]).unwrap();
    scale(&test, &app, "web", 2);
    test.wait_for_instances(&app, &["web.1", "web.2"]);
    let before: Vec<_> = test.driver.running().into_iter().map(|i| i.spec.id).collect();
    test.router.must_stay_served(app.id, true);

    restart(&test, &app, Selection::All).unwrap();
    test.wait_until("new instances", |test| {
        let running = test.driver.running();
        running.len() == 2 && running.iter().all(|i| !before.contains(&i.spec.id))
    });
    test.wait_for_instances(&app, &["web.1", "web.2"]);
    assert_eq!(test.app(&app).current_release, 2, "a restart makes no release");
}

#[test]
fn one_instance_can_be_restarted_alone() {
    let test = TestPlatform::open();
    let app = test.create_app("one");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    scale(&test, &app, "web", 2);
    test.wait_for_instances(&app, &["web.1", "web.2"]);
    let id_of = |index| {
        let running = test.driver.running();
        running.into_iter().find(|i| i.spec.labels.index == index).map(|i| i.spec.id)
    };
    let (first, second) = (id_of(1), id_of(2));
    restart(&test, &app, Selection::Instance("web.2".into())).unwrap();
    test.wait_until("another web.2", |_| test.driver.running().len() == 2 && id_of(2) != second);
    assert_eq!(id_of(1), first);
    let unknown = restart(&test, &app, Selection::Instance("web.7".into()));
    assert!(matches!(unknown, Err(PlatformError::NotFound { .. })), "{unknown:?}");
}

#[test]
fn a_stopped_instance_comes_back() {
    let test = TestPlatform::open();
    let app = test.create_app("stop");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let before = test.driver.running()[0].spec.id.clone();
    test.block_on(test.platform().stop_instance(&test.user, &app, Selection::All)).unwrap();
    test.wait_until("another web.1", |test| {
        let running = test.driver.running();
        running.len() == 1 && running[0].spec.id != before
    });
    test.wait_for_instances(&app, &["web.1"]);
}

#[test]
fn an_instance_that_ignores_sigterm_is_killed_and_the_log_says_so() {
    let test = TestPlatform::open();
    let app = test.create_app("stubborn");
    let _ = test.deploy(&app, &[("web", "ignore-term")]).unwrap();
    scale(&test, &app, "web", 0);
    test.wait_for_instances(&app, &[]);
    assert_eq!(test.driver.counts().killed, 1);
    let log = super::one_offs::log(&test, &app);
    assert!(log.contains("Error R12 (Exit timeout)"), "{log}");
    assert!(log.contains("Process exited with status 137"), "{log}");
}
