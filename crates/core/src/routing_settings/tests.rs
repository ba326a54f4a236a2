use super::*;

const HASH: &str = "pbkdf2-sha256:100000:00112233445566778899aabbccddeeff:\
    00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn set(pairs: &[(&str, &str)]) -> Result<RoutingSettings, RoutingSettingsError> {
    let mut settings = RoutingSettings::default();
    for (name, value) in pairs {
        settings.set(name, Some(value))?;
    }
    settings.check()?;
    Ok(settings)
}

#[test]
fn every_setting_is_read_and_shown() {
    for (name, given, shown) in [
        ("https", "redirect", "redirect"),
        ("hsts", "31536000", "365d"),
        ("hsts", "off", "off"),
        ("hsts-subdomains", "on", "on"),
        ("path", "www.example.com/api/, a.example.com/x", "a.example.com/x,www.example.com/api"),
        ("strip-path", "on", "on"),
        ("basic-auth", &format!("ann:{HASH} bob:{HASH}"), "ann,bob"),
        ("allow", "10.0.0.1/8,::1", "10.0.0.0/8,::1"),
        ("deny", "203.0.113.7", "203.0.113.7"),
        ("max-body", "512K", "512K"),
        ("max-body", "1024m", "1G"),
        ("first-byte-timeout", "90", "90s"),
        ("first-byte-timeout", "120s", "2m"),
        ("idle-timeout", "1h", "1h"),
        ("compression", "gzip", "gzip"),
        ("sticky", "on", "on"),
        ("concurrency", "5", "5"),
        ("queue", "0", "0"),
        ("rate-limit", "600/m", "600/m"),
        ("rate-burst", "20", "20"),
        ("access-log", "off", "off"),
        ("app-protocol", "h2c", "h2c"),
        ("request-header:X-Tenant", "blue", "blue"),
        ("response-header:Server", "", ""),
    ] {
        let mut settings = set(&[(name, given)]).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(settings.get(name).as_deref(), Some(shown), "{name}");
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<RoutingSettings>(&json).unwrap(), settings, "{json}");
        settings.set(name, None).unwrap();
        assert!(settings.is_default(), "{name}");
        assert_eq!(settings.get(name), None);
    }
    assert_eq!(serde_json::to_string(RoutingSettings::none()).unwrap(), "{}");
}

#[test]
fn what_cannot_be_set_is_said_in_one_line() {
    for (name, value, expected) in [
        ("colour", "blue", "no routing setting \"colour\""),
        ("https", "yes", "allow or redirect"),
        ("hsts", "11y", "30d"),
        ("hsts", "4000d", "30d"),
        ("path", "/api", "www.example.com/api"),
        ("path", "", "several with commas"),
        ("basic-auth", "ann", "NAME:PASSWORD"),
        ("basic-auth", "", "NAME:PASSWORD"),
        ("allow", "10.0.0.0/64", "10.0.0.0/8"),
        ("max-body", "10", "512K"),
        ("max-body", "0M", "512K"),
        ("first-byte-timeout", "0", "1s to 24h"),
        ("idle-timeout", "25h", "1s to 24h"),
        ("idle-timeout", "-1s", "1s to 24h"),
        ("compression", "br", "gzip or off"),
        ("sticky", "maybe", "on or off"),
        ("concurrency", "0", "from 1 to 100000"),
        ("queue", "100001", "from 0 to 100000"),
        ("rate-limit", "10", "20/s"),
        ("rate-limit", "0/s", "20/s"),
        ("app-protocol", "h3", "h1 or h2c"),
        ("request-header:", "x", "not the name"),
        ("request-header:Host", "x", "what the message is"),
        ("request-header:x-forwarded-for", "x", "the router makes it"),
        ("response-header:Connection", "x", "one connection"),
        ("response-header:Strict-Transport-Security", "x", "use hsts"),
        ("response-header:X", "a\nb", "printable ASCII"),
        ("response-header:X Y", "a", "not the name"),
    ] {
        let error = set(&[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{name}={value}: {error}");
    }
}

#[test]
fn a_password_is_never_in_an_error() {
    for given in [":secret-word", "ann:secret-word", "secret-word"] {
        let error = set(&[("basic-auth", given)]).unwrap_err().to_string();
        assert!(!error.contains("secret-word"), "{error}");
    }
    let settings = set(&[("basic-auth", &format!("ann:{HASH}"))]).unwrap();
    assert!(!format!("{settings:?}").contains("00112233"));
}

#[test]
fn settings_must_fit_together() {
    assert!(set(&[("hsts-preload", "on")]).is_err());
    let all = [("hsts", "365d"), ("hsts-subdomains", "on"), ("hsts-preload", "on")];
    let settings = set(&all).unwrap();
    assert_eq!(settings.hsts().unwrap(), "max-age=31536000; includeSubDomains; preload");
    assert_eq!(set(&[("hsts", "off")]).unwrap().hsts(), None);

    let mut chain = RoutingSettings::default();
    for (from, to) in [("a.example", "b.example"), ("b.example", "c.example")] {
        let redirect = DomainRedirect { to: to.parse().unwrap(), status: 301 };
        chain.redirects.insert(from.parse().unwrap(), redirect);
    }
    assert!(chain.check().unwrap_err().to_string().contains("a.example"));

    let mut many = RoutingSettings::default();
    for number in 0..=MOST_HEADER_RULES {
        many.set(&format!("request-header:x-{number}"), Some("1")).unwrap();
    }
    assert!(many.check().is_err());
}

#[test]
fn the_app_wins_over_the_server_and_the_report_says_so() {
    let server = RoutingSettings::server_defaults(
        "https=redirect max-body=100M rate-limit=300/m response-header:X-From=server",
    )
    .unwrap();
    let app = set(&[("https", "allow"), ("response-header:X-Own", "")]).unwrap();
    let in_force = app.over(&server);
    assert_eq!(in_force.https, Some(HttpsMode::Allow));
    assert_eq!(in_force.max_body_bytes, Some(100 << 20));
    let report = report(&app, &server);
    let of = |name: &str| {
        let found = report.iter().find(|reported| reported.name == name).unwrap();
        (found.value.as_deref(), found.origin.as_str())
    };
    assert_eq!(of("https"), (Some("allow"), "app"));
    assert_eq!(of("max-body"), (Some("100M"), "server"));
    assert_eq!(of("rate-burst"), (Some("5"), "built-in"));
    assert_eq!(of("idle-timeout"), (Some("55s"), "built-in"));
    assert_eq!(of("allow"), (None, "built-in"));
    assert_eq!(of("response-header:x-from"), (Some("server"), "server"));
    assert_eq!(of("response-header:x-own"), (Some(""), "app"));
    assert_eq!(report.len(), NAMES.len() + 2);

    assert!(RoutingSettings::server_defaults("basic-auth=a:b").is_err());
    assert!(RoutingSettings::server_defaults("path=a.b/c").is_err());
    assert!(RoutingSettings::server_defaults("https").is_err());
    assert!(RoutingSettings::server_defaults("").unwrap().is_default());
}

#[test]
fn pages_have_a_limit_and_their_names() {
    assert!(Page::new(" \n").is_err());
    assert!(Page::new(&"x".repeat(PAGE_BYTES + 1)).is_err());
    let mut pages = Pages::default();
    for kind in PageKind::ALL {
        assert_eq!(kind.as_str().parse::<PageKind>(), Ok(kind));
        pages.put(kind, Some(Page::new(kind.as_str()).unwrap()));
    }
    let pages: Pages = serde_json::from_str(&serde_json::to_string(&pages).unwrap()).unwrap();
    assert_eq!(pages.get(PageKind::Blank).unwrap().as_str(), "blank");
    assert!("404".parse::<PageKind>().is_err());
}

#[test]
fn rates_have_an_interval() {
    let rate = |requests, seconds| RateLimit { requests, seconds };
    assert_eq!(rate(600, 60).interval(), Duration::from_millis(100));
    assert_eq!(rate(600, 60).default_burst(), 10);
    assert_eq!(rate(5, 3_600).default_burst(), 1);
}
