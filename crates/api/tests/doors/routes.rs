//! What is not there, and who is not known. `roles.rs` walks what is there.

use super::support::Server;
use http::Method;

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_are_refused_in_every_form() {
    let server = Server::start().await;
    let paths = ["/account", "/bibly.git/info/refs?service=git-upload-pack"];
    for path in paths {
        for authorization in
            [None, Some("Bearer wl-wrong"), Some("Basic OndsLXdyb25n"), Some("Basic Og==")]
        {
            let headers: Vec<_> =
                authorization.map(|value| ("authorization", value)).into_iter().collect();
            let answer = server.send_as_is(Method::GET, path, &headers, b"").await;
            assert_eq!(answer.status, 401, "{path} {authorization:?}: {answer:?}");
            assert_eq!(answer.headers["www-authenticate"], "Basic realm=\"Windlass\"", "{path}");
        }
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
