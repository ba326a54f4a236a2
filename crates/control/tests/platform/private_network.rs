//! Links between apps, and the names that the route of an app carries.

use super::scaling::scale;
use windlass_control::PlatformError;
use windlass_control::records::App;
use windlass_testkit::platform::TestPlatform;

/// Returns `web.1` for each instance that has a name.
fn names(test: &TestPlatform, app: &App) -> Vec<String> {
    let route = test.router.route(app.id);
    let instances = route.into_iter().flat_map(|route| route.private.instances);
    instances.map(|instance| format!("{}.{}", instance.process, instance.index)).collect()
}

#[test]
fn links_are_in_force_when_it_is_said_and_gone_likewise() {
    let mut test = TestPlatform::open();
    let (shop, caller) = (test.create_app("shop"), test.create_app("caller"));
    let reaches = |test: &TestPlatform| {
        let named = test.router.route(shop.id).unwrap().private.linked.contains(&caller.id);
        let there = test.driver.reaches(caller.id, shop.id);
        assert_eq!(there, test.driver.reaches(shop.id, caller.id), "both ways");
        assert_eq!(there, named);
        there
    };
    assert!(test.driver.reaches(shop.id, shop.id), "its own");
    assert!(!reaches(&test));
    let link = |test: &TestPlatform, other: &str| {
        test.block_on(test.platform().link_apps(&test.user, &caller, other)).map(drop)
    };
    link(&test, "shop").unwrap();
    assert!(reaches(&test));
    for refused in ["shop", "caller"] {
        assert!(matches!(link(&test, refused), Err(PlatformError::Invalid(_))), "{refused}");
    }
    assert!(matches!(link(&test, "nobody"), Err(PlatformError::NotFound { .. })));
    test.crash_and_open();
    assert!(reaches(&test));

    let unlink = |other: &str| test.block_on(test.platform().unlink_apps(&test.user, &shop, other));
    let _ = unlink("caller").unwrap();
    assert!(!reaches(&test));
    assert!(matches!(unlink("caller"), Err(PlatformError::NotFound { .. })));
}

#[test]
fn a_destroyed_app_is_off_the_network_and_its_links_are_gone() {
    let test = TestPlatform::open();
    let (shop, caller) = (test.create_app("shop"), test.create_app("caller"));
    let _ = test.block_on(test.platform().link_apps(&test.user, &caller, "shop")).unwrap();
    test.block_on(test.platform().destroy_app(&test.user, &shop, false)).unwrap();
    assert!(!test.driver.reaches(caller.id, shop.id) && !test.driver.reaches(shop.id, shop.id));
    assert!(test.platform().network_links(&caller).unwrap().is_empty());
}

#[test]
fn names_follow_what_is_in_service() {
    let mut test = TestPlatform::open();
    let app = test.create_app("names");
    let _ = test.deploy(&app, &[("web", "serve"), ("worker", "serve")]).unwrap();
    assert_eq!(names(&test, &app), ["web.1"]);
    scale(&test, &app, "web", 2);
    scale(&test, &app, "worker", 1);
    test.wait_until("all names", |test| names(test, &app) == ["web.1", "web.2", "worker.1"]);
    test.crash_and_open();
    assert_eq!(names(&test, &app), ["web.1", "web.2", "worker.1"], "taken over");
    scale(&test, &app, "worker", 0);
    scale(&test, &app, "web", 1);
    test.wait_until("one name", |test| names(test, &app) == ["web.1"]);
}
