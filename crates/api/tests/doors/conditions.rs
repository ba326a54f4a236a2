//! ETags, conditions and versions.

use super::support::{Answer, Server};
use http::Method;
use serde_json::json;

const JSON: (&str, &str) = ("content-type", "application/json");

fn etag(answer: &Answer) -> String {
    answer.headers["etag"].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_changed_is_not_sent_again() {
    let server = Server::start().await;
    server.app("bibly").await;
    let first = server.get("/apps/bibly/config-vars").await;
    let known = etag(&first);
    for condition in [known.clone(), format!("W/{known}"), format!("\"x\", {known}"), "*".into()] {
        let again = server
            .send(Method::GET, "/apps/bibly/config-vars", &[("if-none-match", &condition)], "")
            .await;
        assert_eq!(again.status, 304, "{condition}");
        assert!(again.body.is_empty());
        assert_eq!(etag(&again), known);
    }
    server.patch("/apps/bibly/config-vars", json!({"A": "1"})).await;
    let changed =
        server.send(Method::GET, "/apps/bibly/config-vars", &[("if-none-match", &known)], "").await;
    assert_eq!(changed.status, 200);
    assert_ne!(etag(&changed), known);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_changed_meanwhile_is_not_overwritten() {
    let server = Server::start().await;
    server.app("bibly").await;
    let path = "/apps/bibly/config-vars";
    let stale = etag(&server.get(path).await);
    server.patch(path, json!({"A": "1"})).await;
    let change = |condition: String| {
        let server = &server;
        async move {
            let headers = [JSON, ("if-match", condition.as_str())];
            server.send(Method::PATCH, path, &headers, "{\"A\":\"2\"}").await
        }
    };
    let message = change(stale).await.refused(412, "precondition_failed");
    assert!(message.contains("has changed"), "{message}");
    assert_eq!(server.get(path).await.json(), json!({"A": "1"}));
    let current = etag(&server.get(path).await);
    assert_eq!(change(current.clone()).await.status, 200);
    change(current).await.refused(412, "precondition_failed");
    assert_eq!(change("*".into()).await.status, 200);
    // Whoever may not see the app does not learn anything by a condition.
    let stranger = server.send_as_is(Method::PATCH, path, &[JSON, ("if-match", "*")], b"{}").await;
    stranger.refused(401, "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_changes_with_one_tag_only_one_is_made() {
    let server = Server::start().await;
    server.app("bibly").await;
    let path = "/apps/bibly/config-vars";
    let tag = etag(&server.get(path).await);
    let headers = [JSON, ("if-match", tag.as_str())];
    let bodies: Vec<_> = (0..8).map(|number| format!("{{\"N\":\"{number}\"}}")).collect();
    let changes = bodies.iter().map(|body| server.send(Method::PATCH, path, &headers, body));
    let answers = futures_util::future::join_all(changes).await;
    let made = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(made, 1, "{answers:?}");
    assert!(answers.iter().all(|answer| answer.status == 200 || answer.status == 412));
}

/// Changes without a condition do not come between the check of one and the change.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_without_a_condition_is_not_overwritten_by_one_with_a_stale_tag() {
    let server = Server::start().await;
    server.app("bibly").await;
    let path = "/apps/bibly/config-vars";
    for round in 0..20 {
        let tag = etag(&server.get(path).await);
        let headers = [JSON, ("if-match", tag.as_str())];
        let conditional = format!("{{\"WHO\":\"conditional {round}\"}}");
        let free = json!({"WHO": format!("free {round}")});
        let (checked, unchecked) = tokio::join!(
            server.send(Method::PATCH, path, &headers, &conditional),
            server.patch(path, free.clone()),
        );
        assert_eq!(unchecked.status, 200, "{unchecked:?}");
        // Whichever came first: what the other one set is never lost unseen.
        assert!(matches!(checked.status.as_u16(), 200 | 412), "{checked:?}");
        assert_eq!(server.get(path).await.json(), free, "{}", checked.status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_version_3_is_spoken() {
    let server = Server::start().await;
    for accept in ["*/*", "text/html", "application/vnd.heroku+json; version=3.sdk", "nonsense", ""]
    {
        let answer = server.send(Method::GET, "/account", &[("accept", accept)], "").await;
        assert_eq!(answer.status, 200, "{accept}");
    }
    let accept = [("accept", "application/vnd.heroku+json; version=2")];
    server.send(Method::GET, "/account", &accept, "").await.refused(406, "not_acceptable");
}
