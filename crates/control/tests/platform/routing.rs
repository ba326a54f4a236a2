//! Routing settings: from what people say to the route that the router gets.

use std::collections::BTreeMap;
use windlass_control::PlatformError;
use windlass_control::records::App;
use windlass_core::routing_settings::{DomainRedirect, HttpsMode, Origin, PageKind};
use windlass_testkit::platform::TestPlatform;

fn set(
    test: &TestPlatform,
    app: &App,
    pairs: &[(&str, Option<&str>)],
) -> Result<(), PlatformError> {
    let owned =
        |(name, value): &(&str, Option<&str>)| ((*name).to_owned(), value.map(ToOwned::to_owned));
    let changes: BTreeMap<_, _> = pairs.iter().map(owned).collect();
    test.block_on(test.platform().set_routing(&test.user, app, changes)).map(|_| ())
}

fn served(name: &str, test: &TestPlatform) -> App {
    let app = test.create_app(name);
    let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
    app
}

#[test]
fn settings_are_in_force_at_once_and_without_a_deploy() {
    let mut test = TestPlatform::open();
    let app = served("bibly", &test);
    test.router.must_stay_served(app.id, true);
    let before = test.router.route(app.id).unwrap();
    assert_eq!(before.settings, None);
    set(&test, &app, &[("https", Some("redirect")), ("access-log", Some("off"))]).unwrap();
    let route = test.router.route(app.id).unwrap();
    assert_eq!(route.settings().https, Some(HttpsMode::Redirect));
    assert_eq!((&route.targets, route.log_file.as_ref()), (&before.targets, None));
    assert_eq!(test.app(&app).current_release, 2, "no release was made");

    let wrong = set(&test, &app, &[("sticky", Some("on")), ("max-body", Some("much"))]);
    assert!(wrong.unwrap_err().to_string().contains("max-body is \"much\""));
    assert_eq!(test.router.route(app.id).unwrap(), route, "all or nothing");

    test.crash_and_open();
    test.wait_for_instances(&app, &["web.1"]);
    assert_eq!(test.router.route(app.id).unwrap().settings, route.settings);
    set(&test, &app, &[("https", None), ("access-log", None)]).unwrap();
    assert_eq!(test.router.route(app.id).unwrap(), before);
    assert_eq!(test.router.violations(), [""; 0]);
}

#[test]
fn the_report_says_where_a_value_comes_from() {
    let test = TestPlatform::open();
    let app = test.create_app("bibly");
    set(&test, &app, &[("basic-auth", Some("ann:secret bob:other")), ("queue", Some("5"))])
        .unwrap();
    let report = test.platform().routing_report(&app).unwrap();
    let of = |name: &str| {
        let found = report.iter().find(|reported| reported.name == name).unwrap();
        (found.value.clone().unwrap_or_default(), found.origin)
    };
    assert_eq!(of("basic-auth"), ("ann,bob".to_owned(), Origin::App));
    assert_eq!(of("queue"), ("5".to_owned(), Origin::App));
    assert_eq!(of("first-byte-timeout"), ("30s".to_owned(), Origin::BuiltIn));
    let route = serde_json::to_string(&test.router.route(app.id).unwrap()).unwrap();
    assert!(!route.contains("secret"), "passwords never leave the server in clear: {route}");
}

#[test]
fn domains_lead_to_others_until_they_are_removed() {
    let test = TestPlatform::open();
    let app = test.create_app("bibly");
    let redirect = |from: &str, to: &str, status| {
        let redirect = Some(DomainRedirect { to: to.parse().unwrap(), status });
        test.block_on(test.platform().redirect_domain(&test.user, &app, from, redirect))
    };
    let unknown = redirect("example.com", "www.example.com", 301).unwrap_err().to_string();
    assert!(unknown.contains("windlass domains:add example.com"), "{unknown}");
    for domain in ["example.com", "www.example.com"] {
        let _ = test.block_on(test.platform().add_domain(&test.user, &app, domain)).unwrap();
    }
    assert!(redirect("example.com", "www.example.com", 302).is_err());
    redirect("Example.com", "www.example.com", 308).unwrap();
    assert!(redirect("www.example.com", "example.com", 301).is_err(), "a circle");
    redirect("bibly.localhost", "www.example.com", 301).unwrap();
    let redirects = || test.router.route(app.id).unwrap().settings().redirects.clone();
    assert_eq!(redirects().len(), 2);
    let _ = test.block_on(test.platform().remove_domain(&test.user, &app, "example.com")).unwrap();
    assert_eq!(
        redirects().into_keys().map(|from| from.to_string()).collect::<Vec<_>>(),
        ["bibly.localhost"]
    );
    test.block_on(test.platform().redirect_domain(&test.user, &app, "bibly.localhost", None))
        .unwrap();
    assert!(redirects().is_empty());
}

#[test]
fn paths_of_a_host_follow_whose_host_it_is() {
    let test = TestPlatform::open();
    let (site, api) = (test.create_app("site"), test.create_app("backend"));
    let _ = test.block_on(test.platform().add_domain(&test.user, &site, "*.example.com")).unwrap();
    for (path, part) in [
        ("nobody.example.org/api", "is no host of your apps"),
        ("backend.localhost/v1", "is backend's own host"),
        ("site.localhost", "give the host of another"),
    ] {
        let error = set(&test, &api, &[("path", Some(path))]).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    set(&test, &api, &[("path", Some("site.localhost/api,www.example.com/api"))]).unwrap();
    let paths = || {
        let route = test.router.route(api.id).unwrap();
        route.settings().paths.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(paths(), ["site.localhost/api", "www.example.com/api"]);
    let _ =
        test.block_on(test.platform().remove_domain(&test.user, &site, "*.example.com")).unwrap();
    assert_eq!(paths(), ["site.localhost/api"], "nobody's host any more");
    let site = test.block_on(test.platform().rename_app(&test.user, &site, "place")).unwrap();
    assert_eq!(paths(), [""; 0]);
    // Other settings can still be changed.
    set(&test, &api, &[("sticky", Some("on"))]).unwrap();
    let _ = test.block_on(test.platform().rename_app(&test.user, &site, "site")).unwrap();
    assert_eq!(paths(), ["site.localhost/api"]);
    test.block_on(test.platform().destroy_app(&test.user, &site, false)).unwrap();
    assert_eq!(paths(), [""; 0]);
}

#[test]
fn own_pages_reach_the_router() {
    let test = TestPlatform::open();
    let app = test.create_app("bibly");
    let put = |html: Option<&str>| {
        let platform = test.platform();
        test.block_on(platform.set_routing_page(&test.user, &app, PageKind::Blank, html))
    };
    put(Some("<h1>Soon</h1>")).unwrap();
    let route = test.router.route(app.id).unwrap();
    assert_eq!(route.settings().pages.blank.as_ref().unwrap().as_str(), "<h1>Soon</h1>");
    assert!(put(Some(&"x".repeat(200_000))).unwrap_err().to_string().contains("131072 bytes"));
    assert!(put(Some("")).is_err());
    put(None).unwrap();
    assert_eq!(test.router.route(app.id).unwrap().settings, None);
}

#[test]
fn a_domain_points_here_if_it_leads_where_the_platform_does() {
    let test = TestPlatform::open();
    let app = test.create_app("bibly");
    for domain in ["www.bibly-test.localhost.", "x"] {
        assert!(test.block_on(test.platform().check_domain(&app, domain)).is_err(), "{domain}");
    }
    let check = |domain| test.block_on(test.platform().check_domain(&app, domain)).unwrap();
    let own = check("bibly.localhost");
    assert_eq!(
        (own.looked_up.as_str(), own.target.as_str()),
        ("bibly.localhost", "bibly.localhost")
    );
    assert!(own.points_here(), "{own:?}");
    // A name that nobody can have.
    let _ = test.block_on(test.platform().add_domain(&test.user, &app, "*.bibly.invalid")).unwrap();
    let other = check("*.bibly.invalid");
    assert_eq!(other.looked_up, "windlass-check.bibly.invalid");
    assert!(!other.points_here(), "{other:?}");
}
