//! Every route, once without a valid token.

use super::support::Server;
use http::Method;

const ROUTES: &[(&str, &str)] = &[
    ("GET", "/account"),
    ("GET", "/account/features"),
    ("GET", "/account/git-credentials"),
    ("PUT", "/account/git-credentials"),
    ("DELETE", "/account/git-credentials/github.com"),
    ("GET", "/account/keys"),
    ("POST", "/account/keys"),
    ("GET", "/account/keys/k"),
    ("DELETE", "/account/keys/k"),
    ("GET", "/account/rate-limits"),
    ("GET", "/addon-attachments"),
    ("GET", "/addons"),
    ("GET", "/apps"),
    ("POST", "/apps"),
    ("GET", "/apps/bibly"),
    ("PATCH", "/apps/bibly"),
    ("DELETE", "/apps/bibly"),
    ("GET", "/apps/bibly/addon-attachments"),
    ("GET", "/apps/bibly/addons"),
    ("GET", "/apps/bibly/available-stacks"),
    ("GET", "/apps/bibly/buildpack-installations"),
    ("PUT", "/apps/bibly/buildpack-installations"),
    ("GET", "/apps/bibly/builds"),
    ("POST", "/apps/bibly/builds"),
    ("GET", "/apps/bibly/builds/b"),
    ("DELETE", "/apps/bibly/builds/b"),
    ("DELETE", "/apps/bibly/build-cache"),
    ("POST", "/apps/bibly/sources"),
    ("POST", "/sources"),
    ("GET", "/apps/bibly/collaborators"),
    ("GET", "/apps/bibly/config-vars"),
    ("PATCH", "/apps/bibly/config-vars"),
    ("GET", "/apps/bibly/domains"),
    ("POST", "/apps/bibly/domains"),
    ("GET", "/apps/bibly/domains/d"),
    ("DELETE", "/apps/bibly/domains/d"),
    ("PUT", "/apps/bibly/domains/d/redirect"),
    ("DELETE", "/apps/bibly/domains/d/redirect"),
    ("POST", "/apps/bibly/domains/d/actions/check"),
    ("GET", "/apps/bibly/routing"),
    ("PATCH", "/apps/bibly/routing"),
    ("PUT", "/apps/bibly/routing/pages/error"),
    ("DELETE", "/apps/bibly/routing/pages/error"),
    ("GET", "/apps/bibly/dynos"),
    ("POST", "/apps/bibly/dynos"),
    ("DELETE", "/apps/bibly/dynos"),
    ("GET", "/apps/bibly/dynos/web.1"),
    ("DELETE", "/apps/bibly/dynos/web.1"),
    ("POST", "/apps/bibly/dynos/web.1/actions/stop"),
    ("POST", "/apps/bibly/dynos/web.1/actions/exec"),
    ("GET", "/apps/bibly/features"),
    ("GET", "/apps/bibly/formation"),
    ("PATCH", "/apps/bibly/formation"),
    ("GET", "/apps/bibly/formation/web"),
    ("PATCH", "/apps/bibly/formation/web"),
    ("DELETE", "/apps/bibly/formations/web"),
    ("POST", "/apps/bibly/formations/web/actions/stop"),
    ("GET", "/apps/bibly/limits"),
    ("PATCH", "/apps/bibly/limits/web"),
    ("DELETE", "/apps/bibly/limits/web"),
    ("POST", "/apps/bibly/git-sync"),
    ("GET", "/apps/bibly/git-key"),
    ("GET", "/apps/bibly/volumes"),
    ("POST", "/apps/bibly/volumes"),
    ("POST", "/apps/bibly/volumes/actions/attach"),
    ("GET", "/apps/bibly/volumes/v"),
    ("PATCH", "/apps/bibly/volumes/v"),
    ("DELETE", "/apps/bibly/volumes/v"),
    ("POST", "/apps/bibly/volumes/v/actions/restore"),
    ("GET", "/apps/bibly/volumes/v/archive"),
    ("POST", "/apps/bibly/volumes/v/archive"),
    ("GET", "/apps/bibly/volumes/v/snapshots"),
    ("POST", "/apps/bibly/volumes/v/snapshots"),
    ("DELETE", "/apps/bibly/volumes/v/snapshots/s1"),
    ("GET", "/volumes"),
    ("DELETE", "/volumes/v"),
    ("GET", "/apps/bibly/git-webhook"),
    ("POST", "/apps/bibly/git-webhook"),
    ("DELETE", "/apps/bibly/git-webhook"),
    ("GET", "/apps/bibly/log-drains"),
    ("POST", "/apps/bibly/log-sessions"),
    ("GET", "/apps/bibly/pipeline-couplings"),
    ("GET", "/apps/bibly/releases"),
    ("POST", "/apps/bibly/releases"),
    ("GET", "/apps/bibly/releases/1"),
    ("GET", "/apps/bibly/releases/1/config-vars"),
    ("GET", "/apps/bibly/sni-endpoints"),
    ("GET", "/apps/bibly/webhooks"),
    ("GET", "/dyno-sizes"),
    ("GET", "/oauth/authorizations"),
    ("POST", "/oauth/authorizations"),
    ("GET", "/oauth/authorizations/~"),
    ("DELETE", "/oauth/authorizations/~"),
    ("DELETE", "/oauth/sessions/~"),
    ("GET", "/pipelines"),
    ("GET", "/regions"),
    ("GET", "/spaces"),
    ("GET", "/stacks"),
    ("GET", "/teams"),
    ("GET", "/users/~"),
    ("GET", "/metrics"),
    ("GET", "/users/~/apps"),
    ("POST", "/webhooks/git/bibly"),
    ("GET", "/bibly.git/info/refs?service=git-upload-pack"),
    ("GET", "/bibly.git/info/refs?service=git-receive-pack"),
    ("POST", "/bibly.git/git-upload-pack"),
    ("POST", "/bibly.git/git-receive-pack"),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_route_answers_without_a_valid_token() {
    let server = Server::start().await;
    server.app("bibly").await;
    let json = ("content-type", "application/json");
    for (method, path) in ROUTES {
        let method: Method = method.parse().unwrap();
        for authorization in
            [None, Some("Bearer wl-wrong"), Some("Basic OndsLXdyb25n"), Some("Basic Og==")]
        {
            let mut headers = vec![json];
            headers.extend(authorization.map(|value| ("authorization", value)));
            let answer = server.send_as_is(method.clone(), path, &headers, b"{}").await;
            assert_eq!(answer.status, 401, "{method} {path} {authorization:?}: {answer:?}");
            assert_eq!(
                answer.headers["www-authenticate"], "Basic realm=\"Windlass\"",
                "{method} {path}"
            );
        }
    }
    assert_eq!(server.get("/apps/bibly").await.status, 200, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_listed_route_is_there() {
    let server = Server::start().await;
    server.app("bibly").await;
    for (method, path) in ROUTES {
        // The app is one that does not exist, so that nothing happens.
        let path = path.replace("bibly", "nosuch").replace("authorizations/~", "authorizations/x");
        let answer = server
            .send(method.parse().unwrap(), &path, &[("content-type", "text/plain")], "x")
            .await;
        assert!(!answer.text().contains("endpoint was not found"), "{method} {path}: {answer:?}");
        assert_ne!(answer.status, 500, "{method} {path}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_says_so() {
    let server = Server::start().await;
    let wrong = [
        (Method::GET, "/nothing"),
        (Method::PUT, "/account"),
        (Method::GET, "/apps/bibly/unknown"),
    ];
    for (method, path) in wrong {
        let message = server.send(method, path, &[], "").await.refused(404, "not_found");
        assert!(message.starts_with(
            "The requested API endpoint was not found. Are you using the right HTTP verb"
        ));
    }
    assert_eq!(server.get("/").await.text(), "Windlass API\n");
    assert_eq!(server.get("/health").await.status, 200);
    for path in ["/logs/wrong", "/streams/builds/a/b/c/d"] {
        assert_eq!(server.send_as_is(Method::GET, path, &[], b"").await.status, 404, "{path}");
    }
    let upgrade = [("connection", "upgrade"), ("upgrade", "windlass-attach")];
    assert_eq!(server.send_as_is(Method::GET, "/attach/wrong", &upgrade, b"").await.status, 404);
    assert_eq!(server.send_as_is(Method::GET, "/attach/wrong", &[], b"").await.status, 426);
}
