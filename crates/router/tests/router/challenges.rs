//! Challenges of certificate authorities.

use crate::support::*;
use http::StatusCode;
use std::collections::BTreeMap;
use windlass_core::challenges::Challenges;
use windlass_core::route::{Availability, RouterCommand, RouterReply};

const PATH: &str = "/.well-known/acme-challenge/token";

async fn set(router: &TestRouter, hosts: &[&str]) {
    let tokens = BTreeMap::from([("token".to_owned(), "token.thumb".to_owned())]);
    let http = hosts.iter().map(|host| (host.to_string(), tokens.clone())).collect();
    let challenges = Challenges { http, ..Challenges::default() };
    let reply = router.send(RouterCommand::Challenges { challenges }).await;
    assert_eq!(reply, RouterReply::Applied);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn challenges_are_answered_before_apps() {
    let router = TestRouter::start().await;
    let backend = Backend::says("the app").await;
    let mut route = router.route("site", &[&backend]);
    router.upsert(&route).await;
    let ask = async |host: &str, path: &str| {
        let (status, _, text) = get(router.address, host, path).await;
        (status, text)
    };
    let of_app = (StatusCode::OK, "the app".to_owned());
    let of_router = (StatusCode::OK, "token.thumb".to_owned());
    assert_eq!(ask("site.test", PATH).await, of_app, "an app may have challenges of its own");

    set(&router, &["site.test", "new.test"]).await;
    assert_eq!(ask("site.test", PATH).await, of_router);
    assert_eq!(ask("SITE.test:80", PATH).await, of_router);
    assert_eq!(ask("new.test", PATH).await, of_router, "before it is any app's");
    assert_eq!(ask("site.test", &format!("{PATH}2")).await, of_app);
    assert_eq!(ask("other.test", PATH).await.0, StatusCode::NOT_FOUND);
    route.availability = Availability::Maintenance;
    router.upsert(&route).await;
    assert_eq!(ask("site.test", PATH).await, of_router, "also while the app is not served");

    set(&router, &[]).await;
    assert_eq!(ask("site.test", PATH).await.0, StatusCode::SERVICE_UNAVAILABLE);
    router.stop().await;
}
