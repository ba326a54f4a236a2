use super::*;
use proptest::prelude::*;
use windlass_core::routing_settings::RoutingSettings;

/// A blank app.
pub(super) fn app(id: AppId, name: &str, hosts: &[String]) -> App {
    let route = AppRoute {
        canary: None,
        app: id,
        app_name: name.parse().unwrap(),
        hosts: hosts.to_vec(),
        availability: Availability::Blank,
        targets: Vec::new(),
        log_file: None,
        private: Default::default(),
        settings: None,
    };
    with_route(route)
}

/// An app without targets.
fn with_route(route: AppRoute) -> App {
    App {
        route: Arc::new(route),
        targets: Vec::new(),
        canary: None,
        log_file: None,
        queue: Arc::default(),
        metrics: Arc::default(),
        policy: None,
    }
}

fn table(routes: &[(&str, &[&str])]) -> Table {
    let apps = routes.iter().map(|(name, hosts)| {
        let (id, hosts) = (AppId::random(), hosts.iter().map(ToString::to_string));
        (id, Some(Arc::new(app(id, name, &hosts.collect::<Vec<_>>()))))
    });
    Table::default().with(apps)
}

fn found<'a>(table: &'a Table, host: &str) -> Option<&'a str> {
    table.find(host).map(|app| app.route.app_name.as_str())
}

#[test]
fn exact_names_win_over_wildcards_and_long_wildcards_over_short_ones() {
    let table = table(&[
        ("exact", &["www.example.com"]),
        ("short", &["*.example.com"]),
        ("long", &["*.eu.example.com", "EU.example.com"]),
    ]);
    assert_eq!(found(&table, "www.example.com"), Some("exact"));
    assert_eq!(found(&table, "api.example.com"), Some("short"));
    assert_eq!(found(&table, "a.b.example.com"), Some("short"));
    assert_eq!(found(&table, "a.eu.example.com"), Some("long"));
    assert_eq!(found(&table, "eu.example.com"), Some("long"));
    assert_eq!(found(&table, "example.com"), None);
    assert_eq!(found(&table, ".example.com"), None);
    assert_eq!(found(&table, "example.org"), None);
}

#[test]
fn paths_of_a_host_lead_to_other_apps_the_longest_first() {
    let whole = table(&[("site", &["a.test"]), ("api", &["api.test"]), ("newer", &["newer.test"])]);
    let mounted = |name: &str, path: &str| {
        let app = whole.apps().find(|app| app.route.app_name.as_str() == name).unwrap();
        let mut settings = Box::<RoutingSettings>::default();
        settings.set("path", Some(path)).unwrap();
        let route = AppRoute { settings: Some(settings), ..(*app.route).clone() };
        (route.app, Some(Arc::new(with_route(route))))
    };
    let (api, newer) = (mounted("api", "a.test/api"), mounted("newer", "a.test/api/v2,c.test/x"));
    let gone = (newer.0, None);
    let table = whole.with([api, newer]);
    for (host, path, expected) in [
        ("a.test", "/", Some("site")),
        ("a.test", "/api", Some("api")),
        ("a.test", "/api/v1/x?y", Some("api")),
        ("a.test", "/api/v2?x", Some("newer")),
        ("a.test", "/apis", Some("site")),
        ("api.test", "/", Some("api")),
        ("c.test", "/x", Some("newer")),
        ("c.test", "/", None),
    ] {
        let found = table.find_at(host, path).map(|app| app.route.app_name.as_str());
        assert_eq!(found, expected, "{host}{path}");
    }
    let table = table.with([gone]);
    let found = table.find_at("a.test", "/api/v2").map(|app| app.route.app_name.as_str());
    assert_eq!(found, Some("api"), "its paths go with an app");
}

#[test]
fn hosts_are_normalised() {
    for (header, host) in [
        ("Example.COM", Some("example.com")),
        ("example.com:8080", Some("example.com")),
        ("example.com.", Some("example.com")),
        ("example.com.:80", Some("example.com")),
        ("[::1]:8080", Some("[::1]")),
        ("[::1]", Some("[::1]")),
        ("127.0.0.1:80", Some("127.0.0.1")),
        ("", None),
        (":80", None),
        ("a b", None),
        ("a/b", None),
        ("user@example.com", None),
        ("example.com:http", None),
        ("example.com:80:80", None),
        ("[::1", None),
        ("[::1]x", None),
    ] {
        assert_eq!(normalise_host(header.as_bytes()).as_deref(), host, "{header:?}");
    }
}

fn label() -> impl Strategy<Value = String> {
    "[a-c]{1,2}"
}

fn pattern() -> impl Strategy<Value = String> {
    (any::<bool>(), prop::collection::vec(label(), 1..4))
        .prop_map(|(wild, labels)| format!("{}{}", if wild { "*." } else { "" }, labels.join(".")))
}

/// The rule, said slowly: exact first, then the longest `*.suffix` that is a proper ending.
fn expected(patterns: &[String], host: &str) -> Option<usize> {
    if let Some(at) = patterns.iter().position(|p| p == host) {
        return Some(at);
    }
    let covers = |p: &String| {
        p.strip_prefix('*').is_some_and(|end| host.ends_with(end) && host.len() > end.len())
    };
    (0..patterns.len()).filter(|at| covers(&patterns[*at])).max_by_key(|at| patterns[*at].len())
}

proptest! {
    #[test]
    fn lookup_follows_the_rule(
        patterns in prop::collection::hash_set(pattern(), 0..8),
        labels in prop::collection::vec(label(), 1..5),
        port in prop::option::of(1u16..),
        upper in any::<bool>(),
    ) {
        let patterns: Vec<String> = patterns.into_iter().collect();
        let names: Vec<String> = (0..patterns.len()).map(|i| format!("app{i}")).collect();
        let hosts: Vec<[&str; 1]> = patterns.iter().map(|p| [p.as_str()]).collect();
        let routes: Vec<(&str, &[&str])> =
            names.iter().zip(&hosts).map(|(name, host)| (name.as_str(), &host[..])).collect();
        let table = table(&routes);
        let host = labels.join(".");
        let mut header = port.map_or(host.clone(), |port| format!("{host}:{port}"));
        if upper {
            header = header.to_ascii_uppercase();
        }
        let normal = normalise_host(header.as_bytes()).unwrap();
        prop_assert_eq!(&normal, &host);
        let wanted = expected(&patterns, &host).map(|at| names[at].as_str());
        prop_assert_eq!(found(&table, &normal), wanted);
    }

    #[test]
    fn any_header_is_refused_or_gives_a_plain_host(header in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Some(host) = normalise_host(&header) {
            prop_assert!(!host.is_empty());
            prop_assert!(host.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase() && b != b'"'));
        }
    }
}
