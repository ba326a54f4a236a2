//! What Heroku has and we have not.

use super::support::Server;
use windlass_api::REFUSALS;
use windlass_testkit::schema::published;

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_says_why() {
    let server = Server::start().await;
    for refusal in REFUSALS {
        for (method, path) in refusal.endpoints() {
            let path = path.replace(['{', '}'], "");
            let answer = server.send(method.parse().unwrap(), &path, &[], "").await;
            assert_eq!(
                answer.refused(404, "not_supported_here"),
                refusal.sentence,
                "{method} {path}"
            );
            let stranger = server.send_as_is(method.parse().unwrap(), &path, &[], b"").await;
            stranger.refused(401, "unauthorized");
        }
    }
    assert_eq!(
        server.get("/spaces").await.json(),
        serde_json::json!([]),
        "heroku spaces wants a list"
    );
}

/// What Heroku's CLI asks for although the published schema does not have it.
const ASKED_BY_THE_CLI: &[&str] = &[
    "/teams/{team}/usage",
    "/teams/{team}/apps/{app}/usage",
    "/data/maintenances/v1/apps/{app}",
    "/data/postgres/v1/levels/{level}",
    "/data/postgres/v1/pricing",
    "/client/v11/apps/{app}/transfers",
    "/spaces/{space}/log-drain",
    "/spaces/{space}/hosts",
    "/spaces/{space}/dynos",
    "/spaces/{space}/peerings",
    "/pipelines/{pipeline}/webhooks",
    "/pipelines/{pipeline}/webhooks/{webhook}",
    "/pipelines/{pipeline}/webhook-deliveries",
    "/pipelines/{pipeline}/webhook-deliveries/{delivery}",
    "/pipelines/{pipeline}/webhook-events",
    "/pipelines/{pipeline}/webhook-events/{event}",
    "/apps/{app}/dynos/{dyno}",
];

#[test]
fn refusals_are_calls_that_heroku_has() {
    let mut seen = std::collections::BTreeSet::new();
    for refusal in REFUSALS {
        assert!(
            refusal.sentence.ends_with('.') && refusal.sentence.len() < 200,
            "{}",
            refusal.sentence
        );
        for (method, path) in refusal.endpoints() {
            assert!(seen.insert((method, path)), "{method} {path} is refused twice");
            let Some(published) = published() else { continue };
            if ASKED_BY_THE_CLI.contains(&path) {
                continue;
            }
            let known = published.links.iter().any(|link| {
                link.method == method && windlass_testkit::schema::same_path(&link.path, path)
            });
            assert!(known, "{method} {path} is not in the published schema");
        }
    }
}
