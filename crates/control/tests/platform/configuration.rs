//! Config vars and domains.

use windlass_control::PlatformError;
use windlass_core::feature::AppFeature;
use windlass_core::route::Availability;
use windlass_testkit::platform::TestPlatform;

#[test]
fn a_change_makes_a_release_and_replaces_the_instances() {
    let test = TestPlatform::open();
    let app = test.create_app("config");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    test.router.must_stay_served(app.id, true);

    test.set(&app, "COLOUR", "green").unwrap();

    assert_eq!(test.app(&app).current_release, 3);
    let release = test.platform().release(&app, "current").unwrap();
    assert_eq!(release.description, "Set COLOUR config vars");
    test.wait_for_instances(&app, &["web.1"]);
    assert_eq!(test.driver.running()[0].spec.environment["COLOUR"], "green");
    test.set(&app, "COLOUR", "green").unwrap();
    assert_eq!(test.app(&app).current_release, 3, "nothing changed, so no release");
}

#[test]
fn releases_tell_what_was_chosen_when_they_were_made() {
    let test = TestPlatform::open();
    let app = test.create_app("told");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let feature = AppFeature::named("runtime-dyno-metadata").unwrap();
    let switch = |enabled| {
        let platform = test.platform();
        test.block_on(platform.set_app_feature(&test.user, &app, feature, enabled)).unwrap();
    };
    let told = |name: &str| test.driver.running()[0].spec.environment.get(name).cloned();
    switch(true);
    assert_eq!(told("HEROKU_RELEASE_VERSION"), None, "it was on before v2");

    test.set(&app, "COLOUR", "green").unwrap();
    test.wait_for_instances(&app, &["web.1"]);
    assert_eq!(told("HEROKU_RELEASE_VERSION").as_deref(), Some("v3"));
    assert_eq!(told("HEROKU_APP_NAME"), Some(app.name.to_string()));
    assert_eq!(told("HEROKU_APP_ID"), Some(app.id.to_string()));
    let view = test.block_on(test.platform().instances(&app)).unwrap();
    assert_eq!(told("HEROKU_DYNO_ID"), Some(view[0].id.to_string()), "as the API says");

    switch(false);
    test.set(&app, "HEROKU_APP_NAME", "mine").unwrap();
    test.wait_for_instances(&app, &["web.1"]);
    assert_eq!(told("HEROKU_RELEASE_VERSION"), None);
    switch(true);
    test.set(&app, "COLOUR", "blue").unwrap();
    test.wait_for_instances(&app, &["web.1"]);
    assert_eq!(told("HEROKU_RELEASE_VERSION").as_deref(), Some("v5"));
    assert_eq!(told("HEROKU_APP_NAME").as_deref(), Some("mine"), "config vars stay");
}

#[test]
fn before_the_first_deploy_it_is_only_kept() {
    let test = TestPlatform::open();
    let app = test.create_app("early");
    test.set(&app, "COLOUR", "green").unwrap();
    assert_eq!(test.driver.counts().started, 0);
    assert_eq!(test.router.availability(app.id), Some(Availability::Blank));
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    assert_eq!(test.driver.running()[0].spec.environment["COLOUR"], "green");
}

#[test]
fn a_change_that_would_break_what_works_is_refused() {
    let test = TestPlatform::open();
    let app = test.create_app("works");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    test.router.must_stay_served(app.id, true);

    let error = test.set(&app, "BEHAVIOUR", "crash 4").unwrap_err();

    assert!(matches!(error, PlatformError::ReleaseFailed(_)), "{error:?}");
    assert!(test.platform().config_vars(&app).unwrap().is_empty());
    test.wait_for_instances(&app, &["web.1"]);
}

#[test]
fn a_crashed_app_takes_any_change_until_one_mends_it() {
    let test = TestPlatform::open();
    let app = test.create_app("broken");
    test.set(&app, "BEHAVIOUR", "serve").unwrap();
    let _ = test.deploy(&app, &[("web", "crash 1")]).unwrap();
    // Its database goes away, say: from now on every start crashes.
    for _ in 0..2 {
        test.wait_for_instances(&app, &["web.1"]);
        let id = test.driver.running()[0].spec.id.clone();
        assert!(test.driver.crash(&id, 1));
        test.wait_until("the crash to be noticed", |test| {
            test.driver.running().iter().all(|i| i.spec.id != id)
        });
    }
    test.wait_until("the route to say so", |test| {
        test.router.availability(app.id) == Some(Availability::Crashed)
    });

    test.set(&app, "BEHAVIOUR", "crash 2").expect("nothing works that it could break");
    assert_eq!(test.app(&app).current_release, 4);
    // The first crash of the new release is followed by another try at once.
    test.wait_until("the new release to crash twice", |test| {
        test.router.availability(app.id) == Some(Availability::Crashed)
    });
    test.set(&app, "BEHAVIOUR", "serve").unwrap();
    test.wait_for_instances(&app, &["web.1"]);
    assert_eq!(test.router.availability(app.id), Some(Availability::Serving));
}

#[test]
fn names_values_and_sizes_are_checked() {
    let test = TestPlatform::open();
    let app = test.create_app("checks");
    for (name, value) in [("1X", "a"), ("A-B", "a"), ("", "a"), ("X", "a\0b")] {
        let refused = test.set(&app, name, value);
        assert!(matches!(refused, Err(PlatformError::Invalid(_))), "{name:?}: {refused:?}");
    }
    let refused = test.set(&app, "BIG", &"x".repeat(70_000)).unwrap_err();
    assert!(refused.to_string().contains("64 kB"), "{refused}");
    assert_eq!(test.app(&app).current_release, 1);
}

#[test]
fn config_vars_are_sealed_on_disk() {
    let test = TestPlatform::open();
    let app = test.create_app("sealed");
    test.set(&app, "SECRET", "correct-horse-battery").unwrap();
    for entry in std::fs::read_dir(test.data_directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(21).any(|window| window == b"correct-horse-battery");
            assert!(!found, "{path:?} holds the secret in the clear");
        }
    }
}

#[test]
fn domains_belong_to_one_app() {
    let test = TestPlatform::open();
    let (one, two) = (test.create_app("one-app"), test.create_app("two-app"));
    let add = |app, host| test.block_on(test.platform().add_domain(&test.user, app, host));
    let _ = add(&one, "www.example.com").unwrap();
    assert_eq!(test.router.route(one.id).unwrap().hosts, ["one-app.localhost", "www.example.com"]);
    assert!(matches!(add(&two, "www.example.com"), Err(PlatformError::Invalid(_))));
    assert!(add(&two, "one-app.localhost").is_err(), "the name of another app");
    let removed = test.block_on(test.platform().remove_domain(&test.user, &one, "www.example.com"));
    assert_eq!(removed.unwrap().hostname.as_str(), "www.example.com");
    assert_eq!(test.router.route(one.id).unwrap().hosts, ["one-app.localhost"]);
    let _ = add(&two, "www.example.com").unwrap();
}

#[test]
fn a_rename_moves_the_default_host() {
    let test = TestPlatform::open();
    let app = test.create_app("before");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    test.router.must_stay_served(app.id, true);
    let renamed = test.block_on(test.platform().rename_app(&test.user, &app, "after")).unwrap();
    assert_eq!(renamed.name.as_str(), "after");
    assert_eq!(test.router.route(app.id).unwrap().hosts, ["after.localhost"]);
    let _ = test.create_app("before");
}

#[test]
fn maintenance_takes_the_app_off_and_puts_it_back() {
    let test = TestPlatform::open();
    let app = test.create_app("pause");
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    let turn = |on| test.block_on(test.platform().set_maintenance(&test.user, &app, on)).unwrap();
    assert!(turn(true).maintenance);
    assert_eq!(test.router.availability(app.id), Some(Availability::Maintenance));
    assert!(!turn(false).maintenance);
    assert_eq!(test.router.availability(app.id), Some(Availability::Serving));
    assert_eq!(test.driver.counts().started, 1);
}
