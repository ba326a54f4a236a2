use super::*;
use http::HeaderMap;
use std::num::NonZeroU32;

/// A request as tests write it.
struct Asked {
    method: &'static str,
    https: bool,
    host: &'static str,
    path: &'static str,
    headers: Vec<(&'static str, String)>,
    client: &'static str,
    https_port: Option<u16>,
}

impl RequestView for Asked {
    fn method(&self) -> &str {
        self.method
    }
    fn is_https(&self) -> bool {
        self.https
    }
    fn host(&self) -> &str {
        self.host
    }
    fn path_and_query(&self) -> &str {
        self.path
    }
    fn header_values(&self, name: &HeaderName) -> impl Iterator<Item = &[u8]> {
        let of_name = |(own, _): &&(&'static str, String)| name == own;
        let values: Vec<&[u8]> =
            self.headers.iter().filter(of_name).map(|(_, value)| value.as_bytes()).collect();
        values.into_iter()
    }
    fn client_address(&self) -> IpAddr {
        self.client.parse().unwrap()
    }
    fn https_port(&self) -> Option<u16> {
        self.https_port
    }
}

fn get(host: &'static str, path: &'static str) -> Asked {
    Asked {
        method: "GET",
        https: false,
        host,
        path,
        headers: vec![("host", host.to_owned())],
        client: "203.0.113.9",
        https_port: None,
    }
}

fn settings(pairs: &[(&str, &str)]) -> RoutingSettings {
    let mut settings = RoutingSettings::default();
    for (name, value) in pairs {
        settings.set(name, Some(value)).unwrap();
    }
    settings
}

fn policy(pairs: &[(&str, &str)]) -> Arc<Policy> {
    Policy::of(&settings(pairs)).unwrap()
}

async fn answer(policy: &Arc<Policy>, request: &Asked) -> Option<Answer> {
    match policy.decide(request).await {
        Verdict::Answer(answer) => Some(answer),
        Verdict::Pass(_) => None,
    }
}

async fn changes(policy: &Arc<Policy>, request: &Asked) -> Changes {
    match policy.decide(request).await {
        Verdict::Pass(changes) => changes,
        Verdict::Answer(answer) => panic!("{answer:?}"),
    }
}

fn header_of(answer: &Answer, name: &HeaderName) -> Option<String> {
    let found = answer.headers.iter().find(|(own, _)| own == name);
    found.map(|(_, value)| value.to_str().unwrap().to_owned())
}

#[test]
fn apps_without_settings_have_no_policy() {
    assert!(Policy::of(RoutingSettings::none()).is_none());
    // What others look after is none of ours.
    let elsewhere = settings(&[
        ("concurrency", "5"),
        ("queue", "9"),
        ("access-log", "off"),
        ("app-protocol", "h2c"),
    ]);
    assert!(Policy::of(&elsewhere).is_none());
    for (name, value) in
        [("https", "allow"), ("sticky", "off"), ("compression", "off"), ("hsts", "off")]
    {
        assert!(Policy::of(&settings(&[(name, value)])).is_none(), "{name}");
    }
}

#[tokio::test]
async fn plain_http_is_sent_to_https() {
    let policy = policy(&[("https", "redirect"), ("hsts", "30d")]);
    let location = async |request: &Asked| {
        let answer = answer(&policy, request).await.unwrap();
        (answer.status.as_u16(), header_of(&answer, &header::LOCATION).unwrap())
    };
    let plain = get("www.a.example", "/x?y=1");
    assert_eq!(location(&plain).await, (301, "https://www.a.example/x?y=1".to_owned()));
    let post = Asked { method: "POST", https_port: Some(8443), ..get("www.a.example", "/") };
    assert_eq!(location(&post).await, (308, "https://www.a.example:8443/".to_owned()));
    let standard = Asked { https_port: Some(443), ..get("www.a.example", "/") };
    assert_eq!(location(&standard).await.1, "https://www.a.example/");
    let options = Asked { method: "OPTIONS", ..get("www.a.example", "*") };
    assert_eq!(location(&options).await.1, "https://www.a.example/");

    let secure = Asked { https: true, ..get("www.a.example", "/") };
    let mut map = HeaderMap::new();
    changes(&policy, &secure).await.on_response(&mut map, None);
    assert_eq!(map[header::STRICT_TRANSPORT_SECURITY], "max-age=2592000");
    // Browsers must ignore it over plain HTTP; there it would only mislead.
    let only_hsts = super::tests::policy(&[("hsts", "30d")]);
    let mut map = HeaderMap::new();
    changes(&only_hsts, &plain).await.on_response(&mut map, None);
    assert!(map.is_empty());
}

#[tokio::test]
async fn domains_lead_to_others() {
    let mut settings = RoutingSettings::default();
    for (from, to, status) in [
        ("a.example", "www.a.example", 301),
        ("*.old.example", "new.example", 308),
        ("*.w.example", "www.w.example", 301),
    ] {
        let redirect =
            windlass_core::routing_settings::DomainRedirect { to: to.parse().unwrap(), status };
        settings.redirects.insert(from.parse().unwrap(), redirect);
    }
    let policy = Policy::of(&settings).unwrap();
    for (request, expected) in [
        (get("a.example", "/x?y"), Some((301, "http://www.a.example/x?y"))),
        (get("www.a.example", "/x"), None),
        (get("b.c.old.example", "/"), Some((308, "http://new.example/"))),
        (get("old.example", "/"), None),
        (get("x.w.example", "/"), Some((301, "http://www.w.example/"))),
        (get("www.w.example", "/"), None),
        (Asked { https: true, ..get("a.example", "/") }, Some((301, "https://www.a.example/"))),
        (
            Asked { headers: vec![("host", "a.example:8080".into())], ..get("a.example", "/") },
            Some((301, "http://www.a.example:8080/")),
        ),
    ] {
        let answer = answer(&policy, &request).await;
        let found = answer.map(|a| (a.status.as_u16(), header_of(&a, &header::LOCATION).unwrap()));
        let expected = expected.map(|(status, to)| (status, to.to_owned()));
        assert_eq!(found, expected, "{}", request.host);
    }
    // One step, not two: the scheme changes with the name.
    settings.https = Some(HttpsMode::Redirect);
    let policy = Policy::of(&settings).unwrap();
    let request = Asked { https_port: Some(8443), ..get("a.example", "/x") };
    let answer = answer(&policy, &request).await.unwrap();
    assert_eq!(header_of(&answer, &header::LOCATION).unwrap(), "https://www.a.example:8443/x");
}

#[tokio::test]
async fn networks_are_allowed_and_denied() {
    for (pairs, client, passes) in [
        (&[("allow", "10.0.0.0/8,2001:db8::/32")][..], "10.1.2.3", true),
        (&[("allow", "10.0.0.0/8,2001:db8::/32")], "2001:db8::5", true),
        (&[("allow", "10.0.0.0/8")], "::ffff:10.1.2.3", true),
        (&[("allow", "10.0.0.0/8")], "11.0.0.1", false),
        (&[("deny", "11.0.0.0/8")], "10.0.0.1", true),
        (&[("deny", "11.0.0.0/8")], "11.0.0.1", false),
        (&[("allow", "10.0.0.0/8"), ("deny", "10.0.0.7")], "10.0.0.7", false),
    ] {
        let request = Asked { client, ..get("a.example", "/") };
        let answer = answer(&policy(pairs), &request).await;
        let expected = if passes { None } else { Some(StatusCode::FORBIDDEN) };
        assert_eq!(answer.map(|answer| answer.status), expected, "{pairs:?} {client}");
    }
}

#[tokio::test]
async fn bodies_and_rates_have_limits() {
    let policy = policy(&[("max-body", "1K"), ("rate-limit", "1/h"), ("rate-burst", "3")]);
    let sized = |length: &str| Asked {
        headers: vec![("content-length", length.to_owned())],
        ..get("a.example", "/")
    };
    assert_eq!(answer(&policy, &sized("1024")).await, None);
    assert_eq!(changes(&policy, &get("a.example", "/")).await.max_body(), Some(1_024));
    let refused = answer(&policy, &sized("1025")).await.unwrap();
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    let refused = answer(&policy, &get("a.example", "/")).await.unwrap();
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = header_of(&refused, &header::RETRY_AFTER).unwrap().parse().unwrap();
    assert!((3_000..=3_600).contains(&wait), "{wait}");
    let other = Asked { client: "203.0.113.10", ..get("a.example", "/") };
    assert_eq!(answer(&policy, &other).await, None);
}

fn hashed(password: &str) -> String {
    let (iterations, salt) = (NonZeroU32::new(1_000).unwrap(), vec![7; 16]);
    let mut hash = [0; 32];
    let algorithm = ring::pbkdf2::PBKDF2_HMAC_SHA256;
    ring::pbkdf2::derive(algorithm, iterations, &salt, password.as_bytes(), &mut hash);
    windlass_core::routing_settings::PasswordHash { iterations, salt, hash }.to_string()
}

#[tokio::test]
async fn only_who_knows_a_password_passes() {
    let users = format!("ann:{} bob:{}", hashed("se:cret"), hashed("p\u{e4}ss"));
    let policy = policy(&[("basic-auth", &users)]);
    let with = |header: &str| Asked {
        headers: vec![("authorization", header.to_owned())],
        ..get("a.example", "/")
    };
    let basic = |credentials: &str| {
        use base64::prelude::{BASE64_STANDARD, Engine};
        with(&format!("Basic {}", BASE64_STANDARD.encode(credentials)))
    };
    for right in [basic("ann:se:cret"), basic("bob:p\u{e4}ss"), basic("ann:se:cret")] {
        assert_eq!(answer(&policy, &right).await, None);
    }
    for wrong in [
        get("a.example", "/"),
        basic("ann:secret"),
        basic("ann:p\u{e4}ss"),
        basic("eve:se:cret"),
        basic("ann"),
        with("Basic"),
        with("Basic !!!"),
        with("Bearer abc"),
    ] {
        let refused = answer(&policy, &wrong).await.unwrap();
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        assert!(header_of(&refused, &header::WWW_AUTHENTICATE).unwrap().starts_with("Basic realm"));
    }
}

#[tokio::test]
async fn who_guesses_passwords_has_to_wait_and_others_do_not() {
    let policy = policy(&[("basic-auth", &format!("ann:{}", hashed("secret")))]);
    let basic = |password: String, client| {
        use base64::prelude::{BASE64_STANDARD, Engine};
        let header = format!("basic {}", BASE64_STANDARD.encode(format!("ann:{password}")));
        Asked { headers: vec![("authorization", header)], client, ..get("a.example", "/") }
    };
    let mut statuses = Vec::new();
    for guess in 0..20 {
        let request = basic(guess.to_string(), "203.0.113.66");
        statuses.push(answer(&policy, &request).await.unwrap().status.as_u16());
    }
    assert_eq!(statuses[..10], [401; 10]);
    assert_eq!(statuses[19], 429, "{statuses:?}");
    assert_eq!(answer(&policy, &basic("secret".into(), "203.0.113.1")).await, None);
    // What is known costs nothing, not even for who has guessed too much.
    assert_eq!(answer(&policy, &basic("secret".into(), "203.0.113.66")).await, None);
}

#[tokio::test]
async fn who_guesses_many_passwords_at_once_gets_no_further() {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let policy = policy(&[("basic-auth", &format!("ann:{}", hashed("secret")))]);
    let begun = std::time::Instant::now();
    let guesses = (0..40).map(|guess| {
        let header = format!("basic {}", BASE64_STANDARD.encode(format!("ann:{guess}")));
        let headers = vec![("authorization", header)];
        let asked = Asked { headers, client: "203.0.113.67", ..get("a.example", "/") };
        let policy = &policy;
        async move { answer(policy, &asked).await.unwrap().status.as_u16() }
    });
    let statuses = futures_util::future::join_all(guesses).await;
    let looked_at = statuses.iter().filter(|status| **status == 401).count() as u64;
    let earned = begun.elapsed().as_secs() / 3 + 1;
    assert!((10..=10 + earned).contains(&looked_at), "{looked_at} in {:?}", begun.elapsed());
}

#[tokio::test]
async fn prefixes_are_stripped() {
    let paths = ("path", "a.example/api,a.example/api/v2,b.example/x");
    let stripping = policy(&[paths, ("strip-path", "on")]);
    for (host, path, expected) in [
        ("a.example", "/api", Some(("/", "/api"))),
        ("a.example", "/api?x=1", Some(("/?x=1", "/api"))),
        ("a.example", "/api/users?x", Some(("/users?x", "/api"))),
        ("a.example", "/api/v2/users", Some(("/users", "/api/v2"))),
        ("a.example", "/api//users", Some(("//users", "/api"))),
        ("b.example", "/x/y", Some(("/y", "/x"))),
        ("b.example", "/api/y", None),
        ("own.example", "/api/y", None),
    ] {
        let changes = changes(&stripping, &get(host, path)).await;
        let mut map = HeaderMap::new();
        changes.on_request(&mut map);
        let prefix = map.get("x-forwarded-prefix").map(|value| value.to_str().unwrap());
        assert_eq!(changes.path_and_query.as_deref().zip(prefix), expected, "{host}{path}");
    }
    assert!(Policy::of(&settings(&[paths])).is_none(), "without stripping paths stay whole");
}

#[tokio::test]
async fn headers_are_set_and_removed() {
    let policy = policy(&[
        ("request-header:X-Tenant", "blue"),
        ("request-header:Cookie", ""),
        ("response-header:X-Frame-Options", "DENY"),
        ("response-header:Server", ""),
    ]);
    let changes = changes(&policy, &get("a.example", "/")).await;
    let mut request = HeaderMap::new();
    request.insert("x-tenant", "forged".parse().unwrap());
    request.append("cookie", "a=b".parse().unwrap());
    request.append("cookie", "c=d".parse().unwrap());
    changes.on_request(&mut request);
    assert_eq!((request.len(), &request["x-tenant"]), (1, &HeaderValue::from_static("blue")));
    let mut response = HeaderMap::new();
    response.insert("server", "app/1".parse().unwrap());
    changes.on_response(&mut response, None);
    assert_eq!(
        (response.len(), &response["x-frame-options"]),
        (1, &HeaderValue::from_static("DENY"))
    );
}

#[tokio::test]
async fn a_cookie_leads_back_to_the_instance() {
    let policy = policy(&[("sticky", "on")]);
    let (one, two) = (InstanceId("web-1-abc".into()), InstanceId("web-2-abc".into()));
    let first = changes(&policy, &get("a.example", "/")).await;
    assert_eq!(first.sticky, None);
    let cookie = first.set_cookie(&one).unwrap().to_str().unwrap().to_owned();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    let (pair, _) = cookie.split_once(';').unwrap();
    let again = Asked {
        headers: vec![("cookie", "theme=dark".into()), ("cookie", format!("a=b; {pair}"))],
        https: true,
        ..get("a.example", "/")
    };
    let again = changes(&policy, &again).await;
    assert_eq!(again.sticky, Some(sticky::StickyId::of(&one)));
    assert_eq!(again.set_cookie(&one), None, "it has it already");
    let moved = again.set_cookie(&two).unwrap();
    assert!(
        moved.to_str().unwrap().ends_with("; Secure")
            && again.sticky != Some(sticky::StickyId::of(&two))
    );
    for broken in
        ["windlass_instance=", "windlass_instance=xyz", "windlass_instances=0000000000000000"]
    {
        let request = Asked { headers: vec![("cookie", broken.into())], ..get("a.example", "/") };
        assert_eq!(changes(&policy, &request).await.sticky, None, "{broken}");
    }
}
