//! Routing settings of apps, with real requests.

use crate::support::*;
use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use std::convert::Infallible;
use std::io::Read;
use std::num::NonZeroU32;
use std::time::Duration;
use windlass_core::route::{AppRoute, Availability};
use windlass_core::routing_settings::{
    DomainRedirect, Page, PageKind, PasswordHash, RoutingSettings,
};

/// The route with settings as people write them.
fn set(route: &AppRoute, pairs: &[(&str, &str)]) -> AppRoute {
    let mut settings = route.settings().clone();
    for (name, value) in pairs {
        settings.set(name, Some(value)).unwrap();
    }
    AppRoute { settings: Some(Box::new(settings)), ..route.clone() }
}

async fn ask(
    router: &TestRouter,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, HeaderMap, String) {
    let mut asked = request(host, path);
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().unwrap();
        asked.headers_mut().append(name, value.parse().unwrap());
    }
    send(&mut connect(router.address).await, asked).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_sent_on_to_https_and_to_other_domains() {
    let router = TestRouter::start().await;
    let backend = Backend::says("app").await;
    let route = router.route("app", &[&backend]);
    let mut redirecting = set(&route, &[("hsts", "30d")]);
    redirecting.hosts.push("example.test".to_owned());
    let redirect = DomainRedirect { to: "app.test".parse().unwrap(), status: 308 };
    let settings = redirecting.settings.as_mut().unwrap();
    settings.redirects.insert("example.test".parse().unwrap(), redirect);
    router.upsert(&redirecting).await;
    let (status, headers, text) =
        ask(&router, "example.test", "/a?b", &[("accept", "text/html")]).await;
    assert_eq!(
        (status.as_u16(), &headers["location"]),
        (308, &"http://app.test/a?b".parse().unwrap())
    );
    assert!(text.contains("This address has moved."), "{text}");
    assert!(!headers.contains_key("cache-control"), "where a domain leads may be remembered");
    let (status, headers, text) = ask(&router, "app.test", "/", &[]).await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "app"));
    assert!(!headers.contains_key("strict-transport-security"), "not over plain HTTP");

    router.upsert(&set(&redirecting, &[("https", "redirect")])).await;
    let (status, headers, _) = ask(&router, "app.test", "/x", &[]).await;
    assert_eq!(
        (status.as_u16(), &headers["location"]),
        (301, &"https://app.test/x".parse().unwrap())
    );
    let lines = router.log_lines("app", 3).await;
    assert!(
        lines[2].contains(" at=info method=GET path=\"/x\" ") && lines[2].contains(" dyno= "),
        "{lines:?}"
    );
    assert!(lines[2].contains(" status=301 "), "{lines:?}");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_apps_share_a_host_by_paths() {
    let router = TestRouter::start().await;
    let (site, api, newer) =
        (Backend::says("site").await, Backend::mirror().await, Backend::mirror().await);
    router.upsert(&router.route("site", &[&site])).await;
    let api_route = router.route("api", &[&api]);
    router.upsert(&set(&api_route, &[("path", "site.test/api"), ("strip-path", "on")])).await;
    router.upsert(&set(&router.route("newer", &[&newer]), &[("path", "site.test/api/v2")])).await;
    for (host, path, expected) in [
        ("site.test", "/", "site"),
        ("site.test", "/apis", "site"),
        ("SITE.test:80", "/api/users?x=1", "GET /users?x=1"),
        ("site.test", "/api", "GET /\n"),
        ("site.test", "/api/v2/users", "GET /api/v2/users"),
        ("api.test", "/api/users", "GET /api/users"),
    ] {
        let (status, _, text) = ask(&router, host, path, &[]).await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.starts_with(expected), "{host}{path}: {text}");
        assert_eq!(
            text.contains("x-forwarded-prefix: /api\n"),
            expected.contains("GET /users") || expected == "GET /\n",
            "{text}"
        );
    }
    // The log has the path that the client asked for.
    assert!(router.log_lines("api", 1).await[0].contains("path=\"/api/users?x=1\""));
    router.upsert(&api_route).await;
    assert_eq!(ask(&router, "site.test", "/api/users", &[]).await.2, "site");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_whom_an_app_wants_gets_in() {
    let router = TestRouter::start().await;
    let backend = Backend::says("app").await;
    let route = router.route("app", &[&backend]);
    router.upsert(&set(&route, &[("allow", "10.0.0.0/8")])).await;
    let (status, _, text) = ask(&router, "app.test", "/", &[("accept", "text/html")]).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(text.contains("<h1>Not allowed</h1>"), "{text}");
    router.upsert(&set(&route, &[("allow", "127.0.0.0/8,10.0.0.0/8")])).await;
    // Whoever is no trusted proxy cannot say where it comes from.
    let forged = [("x-forwarded-for", "203.0.113.1")];
    assert_eq!(ask(&router, "app.test", "/", &forged).await.2, "app");
    router.upsert(&set(&route, &[("deny", "127.0.0.1")])).await;
    assert_eq!(ask(&router, "app.test", "/", &[]).await.0, StatusCode::FORBIDDEN);

    let (iterations, salt, mut hash) = (NonZeroU32::new(1_000).unwrap(), vec![7; 16], [0; 32]);
    let algorithm = ring::pbkdf2::PBKDF2_HMAC_SHA256;
    ring::pbkdf2::derive(algorithm, iterations, &salt, b"right", &mut hash);
    let hash = PasswordHash { iterations, salt, hash };
    router.upsert(&set(&route, &[("basic-auth", &format!("ann:{hash}"))])).await;
    let (status, headers, text) =
        ask(&router, "app.test", "/", &[("accept", "application/json")]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(headers["www-authenticate"].to_str().unwrap().starts_with("Basic realm="));
    assert!(text.contains("\"id\":\"unauthorized\""), "{text}");
    for (password, status) in [("wrong", 401), ("right", 200), ("right", 200)] {
        let header = format!("Basic {}", BASE64_STANDARD.encode(format!("ann:{password}")));
        let headers = [("authorization", header.as_str())];
        assert_eq!(ask(&router, "app.test", "/", &headers).await.0.as_u16(), status, "{password}");
    }
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_too_large_are_refused() {
    let router = TestRouter::start().await;
    let backend = Backend::mirror().await;
    router.upsert(&set(&router.route("app", &[&backend]), &[("max-body", "1K")])).await;
    let post =
        |body: Full<Bytes>| Request::post("/").header("host", "app.test").body(body).unwrap();
    let mut client = connect(router.address).await;
    let fits = post(Full::from("x".repeat(1_024)));
    assert_eq!(send(&mut client, fits).await.0, StatusCode::OK);
    let large = post(Full::from("x".repeat(1_025)));
    assert_eq!(send(&mut client, large).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    // Without a length the bytes are counted as they come.
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1_024));
    let head = "POST / HTTP/1.1\r\nhost: app.test\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let fits = raw(router.address, &format!("{head}{chunk}0\r\n\r\n")).await;
    assert!(fits.starts_with("HTTP/1.1 200 "), "{fits}");
    let large = raw(router.address, &format!("{head}{chunk}{chunk}0\r\n\r\n")).await;
    assert!(large.starts_with("HTTP/1.1 413 "), "{large}");
    let lines = router.log_lines("app", 4).await;
    for line in [&lines[1], &lines[3]] {
        assert!(
            line.contains("code=H26")
                && line.contains("cause=\"body too large\"")
                && line.contains("status=413"),
            "{line}"
        );
    }
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_too_often_has_to_wait() {
    let router = TestRouter::start().await;
    let backend = Backend::says("app").await;
    let limited =
        set(&router.route("app", &[&backend]), &[("rate-limit", "1/h"), ("rate-burst", "5")]);
    router.upsert(&limited).await;
    for _ in 0..5 {
        assert_eq!(ask(&router, "app.test", "/", &[]).await.0, StatusCode::OK);
    }
    let (status, headers, _) = ask(&router, "app.test", "/", &[]).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert!(headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() > 60);
    // A deploy does not fill the bucket, another limit does.
    let other = Backend::says("other").await;
    let deployed = AppRoute { targets: targets(&[&other]), ..limited.clone() };
    router.upsert(&deployed).await;
    assert_eq!(ask(&router, "app.test", "/", &[]).await.0, StatusCode::TOO_MANY_REQUESTS);
    router.upsert(&set(&deployed, &[("rate-burst", "6")])).await;
    assert_eq!(ask(&router, "app.test", "/", &[]).await.2, "other");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apps_have_their_own_limits_on_time() {
    let router = TestRouter::start().await;
    let slow = Backend::start(|_| async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        unreachable!("nobody waits so long")
    })
    .await;
    router.upsert(&set(&router.route("slow", &[&slow]), &[("first-byte-timeout", "1s")])).await;
    assert_eq!(ask(&router, "slow.test", "/", &[]).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert!(router.log_lines("slow", 1).await[0].contains("code=H12"));

    let silent = Backend::start(|_| async {
        let first = futures_util::stream::once(async {
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"first")))
        });
        let body = StreamBody::new(first.chain(futures_util::stream::pending()));
        http::Response::new(BodyExt::boxed(body))
    })
    .await;
    router.upsert(&set(&router.route("silent", &[&silent]), &[("idle-timeout", "1s")])).await;
    let mut client = connect(router.address).await;
    let answer = client.send_request(request("silent.test", "/")).await.unwrap();
    assert!(answer.into_body().collect().await.is_err(), "it is broken off");
    assert!(router.log_lines("silent", 1).await[0].contains("code=H15"));
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_follow_the_rules() {
    let router = TestRouter::start().await;
    let mirror = Backend::mirror().await;
    let rules = [
        ("request-header:X-Tenant", "blue"),
        ("request-header:Cookie", ""),
        ("response-header:X-Frame-Options", "DENY"),
        ("response-header:Date", ""),
    ];
    router.upsert(&set(&router.route("app", &[&mirror]), &rules)).await;
    let sent = [("x-tenant", "forged"), ("cookie", "a=b")];
    let (_, headers, text) = ask(&router, "app.test", "/", &sent).await;
    assert!(
        text.contains("x-tenant: blue\n") && !text.contains("forged") && !text.contains("cookie"),
        "{text}"
    );
    assert_eq!(headers["x-frame-options"], "DENY");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_compressed_for_who_wants_it() {
    let router = TestRouter::start().await;
    let page = "All work and no play makes Jack a dull boy.\n".repeat(2_000);
    let body = page.clone();
    let backend = Backend::start(move |_| {
        let mut answer = http::Response::new(full(body.clone()));
        answer.headers_mut().insert("content-type", "text/plain".parse().unwrap());
        async move { answer }
    })
    .await;
    router.upsert(&set(&router.route("app", &[&backend]), &[("compression", "gzip")])).await;
    let (_, headers, text) = ask(&router, "app.test", "/", &[]).await;
    assert_eq!((headers.get("content-encoding"), text.len()), (None, page.len()));
    let mut asked = request("app.test", "/");
    asked.headers_mut().insert("accept-encoding", "br, gzip".parse().unwrap());
    let answer = connect(router.address).await.send_request(asked).await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert_eq!(answer.headers()["vary"], "accept-encoding");
    let packed = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(packed.len() < page.len() / 10, "{}", packed.len());
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, page);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_keeps_its_instance() {
    let router = TestRouter::start().await;
    let (one, two) = (Backend::says("one").await, Backend::says("two").await);
    let route = set(&router.route("app", &[&one, &two]), &[("sticky", "on")]);
    router.upsert(&route).await;
    let (_, headers, first) = ask(&router, "app.test", "/", &[]).await;
    let cookie = headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    for _ in 0..20 {
        let (_, headers, text) = ask(&router, "app.test", "/", &[("cookie", &cookie)]).await;
        assert_eq!(text, first);
        assert!(!headers.contains_key("set-cookie"), "it has the cookie already");
    }
    let left = if first == "one" { &two } else { &one };
    router.upsert(&AppRoute { targets: targets(&[left]), ..route }).await;
    let (status, headers, text) = ask(&router, "app.test", "/", &[("cookie", &cookie)]).await;
    assert_eq!(status, StatusCode::OK);
    assert!(text != first && headers.contains_key("set-cookie"), "another one, from now on");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_see_an_apps_own_pages() {
    let router = TestRouter::start().await;
    let mut settings = RoutingSettings::default();
    for kind in PageKind::ALL {
        settings
            .pages
            .put(kind, Some(Page::new(&format!("<h1>own {}</h1>", kind.as_str())).unwrap()));
    }
    let settings = Some(Box::new(settings));
    for (availability, code, page) in [
        (Availability::Crashed, 503, "<h1>own error</h1>"),
        (Availability::NoWebProcesses, 503, "<h1>own error</h1>"),
        (Availability::Maintenance, 503, "<h1>own maintenance</h1>"),
        (Availability::Blank, 502, "<h1>own blank</h1>"),
    ] {
        let route =
            AppRoute { availability, settings: settings.clone(), ..router.route("app", &[]) };
        router.upsert(&route).await;
        let (status, headers, text) =
            ask(&router, "app.test", "/", &[("accept", "text/html")]).await;
        assert_eq!((status.as_u16(), text.as_str()), (code, page));
        assert_eq!(headers["content-type"], "text/html; charset=utf-8");
        assert_eq!(headers["content-length"], page.len().to_string());
        let (_, _, text) = ask(&router, "app.test", "/", &[("accept", "application/json")]).await;
        assert!(text.contains("\"code\":\"H"), "programs get what they asked for: {text}");
        let app = route.app;
        router.send(windlass_core::route::RouterCommand::Remove { app }).await;
    }
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_change_under_load_without_a_lost_request() {
    let router = TestRouter::start().await;
    let backend = Backend::says("app").await;
    let route = router.route("app", &[&backend]);
    router.upsert(&route).await;
    let address = router.address;
    let clients: Vec<_> = (0..4)
        .map(|_| {
            tokio::spawn(async move {
                let mut client = connect(address).await;
                for _ in 0..250 {
                    let (status, headers, text) = send(&mut client, request("app.test", "/")).await;
                    assert_eq!((status, text.as_str()), (StatusCode::OK, "app"));
                    let set = headers.get("x-turn").map(|turn| turn.to_str().unwrap().to_owned());
                    assert!(set.is_none_or(|turn| turn.parse::<u32>().is_ok()));
                }
            })
        })
        .collect();
    let mut turn = 0_u32;
    while !clients.iter().all(tokio::task::JoinHandle::is_finished) {
        turn += 1;
        let text = turn.to_string();
        let route = match turn % 3 {
            0 => route.clone(),
            1 => set(&route, &[("response-header:X-Turn", &text)]),
            _ => set(&route, &[("allow", "127.0.0.1"), ("max-body", "1M"), ("sticky", "on")]),
        };
        router.upsert(&route).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for client in clients {
        client.await.unwrap();
    }
    router.upsert(&set(&route, &[("response-header:X-Turn", "last")])).await;
    let (_, headers, _) = ask(&router, "app.test", "/", &[]).await;
    assert_eq!(headers["x-turn"], "last", "in force when the command was answered");
    router.stop().await;
}
