//! The real git against the HTTP door.

use super::git::{
    Checkout, SILENT_HOOK, WAITING_HOOK, app_with_hook, eventually, is_running,
    killed_client_ends_hook, output_is_live,
};
use super::support::Server;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use std::io::Write;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn url(server: &Server, app: &str) -> String {
    format!("http://ada:{}@{}/{app}.git", server.token, server.address)
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_and_clones() {
    let server = Server::start().await;
    app_with_hook(&server, "cat > /dev/null; echo building").await;
    let checkout = Checkout::new().await;
    let url = url(&server, "bibly");
    let text = checkout.succeed(&["push", &url, "main"]).await;
    assert!(text.contains("remote: building"), "{text}");

    // More than git's buffer, so that it is sent in chunks while it is made.
    let mut state = 1u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    })
    .take(5 << 20)
    .collect();
    std::fs::write(checkout.path().join("noise"), &noise).unwrap();
    checkout.succeed(&["add", "noise"]).await;
    checkout.commit("more").await;
    checkout.succeed(&["push", &url, "main"]).await;

    for version in ["0", "2"] {
        let target = format!("clone-{version}");
        let protocol = format!("protocol.version={version}");
        checkout.succeed(&["-c", &protocol, "clone", "--quiet", &url, &target]).await;
        assert_eq!(std::fs::read(checkout.path().join(&target).join("noise")).unwrap(), noise);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_pushes_say_why() {
    let server = Server::start().await;
    app_with_hook(&server, "echo 'no Procfile'; exit 1").await;
    let checkout = Checkout::new().await;
    let (success, text) =
        checkout.run(checkout.git(&["push", &url(&server, "bibly"), "main"])).await;
    assert!(!success);
    assert!(
        text.contains("remote: no Procfile") && text.contains("(pre-receive hook declined)"),
        "{text}"
    );
    let (success, text) =
        checkout.run(checkout.git(&["push", &url(&server, "nosuch"), "main"])).await;
    assert!(!success);
    assert!(text.contains("Couldn't find an app named \"nosuch\""), "{text}");
    let anonymous = format!("http://{}/bibly.git", server.address);
    let (success, text) = checkout.run(checkout.git(&["push", &anonymous, "main"])).await;
    assert!(
        !success && text.contains("could not read Username"),
        "git was asked for credentials: {text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn output_of_the_hook_is_shown_at_once() {
    let server = Server::start().await;
    let signal = app_with_hook(&server, WAITING_HOOK).await;
    let checkout = Checkout::new().await;
    output_is_live(&signal, checkout.git(&["push", &url(&server, "bibly"), "main"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_client_ends_a_silent_build() {
    let server = Server::start().await;
    let signal = app_with_hook(&server, SILENT_HOOK).await;
    let checkout = Checkout::new().await;
    killed_client_ends_hook(&signal, checkout.git(&["push", &url(&server, "bibly"), "main"])).await;
}

/// The bytes of a push of one commit, made by git itself against an empty repository.
async fn push_request(checkout: &Checkout) -> Vec<u8> {
    let commit = checkout.succeed(&["rev-parse", "HEAD"]).await.trim().to_owned();
    let line =
        format!("{:040} {commit} refs/heads/main\0 report-status side-band-64k agent=test", 0);
    let mut body = format!("{:04x}{line}0000", line.len() + 4).into_bytes();
    let mut pack = checkout.git(&["pack-objects", "--stdout", "--revs", "--quiet"]);
    let mut pack = pack.stdin(std::process::Stdio::piped()).spawn().unwrap();
    pack.stdin.take().unwrap().write_all(b"HEAD\n").await.unwrap();
    body.extend(pack.wait_with_output().await.unwrap().stdout);
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_closed_ends_a_silent_build() {
    let server = Server::start().await;
    let signal = app_with_hook(&server, SILENT_HOOK).await;
    let checkout = Checkout::new().await;
    let body = push_request(&checkout).await;
    let head = format!(
        "POST /bibly.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
        server.token,
        body.len()
    );
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&body).await.unwrap();
    eventually("the hook runs", || {
        std::fs::read_to_string(&signal).is_ok_and(|text| text.ends_with('\n'))
    })
    .await;
    let hook = std::fs::read_to_string(&signal).unwrap();
    let mut head = [0; 12];
    client.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    drop(client);
    eventually("the hook is ended", || !is_running(&hook)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_requests_are_understood() {
    let server = Server::start().await;
    app_with_hook(&server, "cat > /dev/null").await;
    let checkout = Checkout::new().await;
    let body = push_request(&checkout).await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&body).unwrap();
    let authorization = format!("Basic {}", STANDARD.encode(format!("x:{}", server.token)));
    let path = "/bibly.git/git-receive-pack";
    let headers = [("authorization", authorization.as_str()), ("content-encoding", "gzip")];
    let answer = server.send_as_is(Method::POST, path, &headers, &gzip.finish().unwrap()).await;
    assert_eq!(answer.headers["content-type"], "application/x-git-receive-pack-result");
    assert!(answer.text().contains("ok refs/heads/main"), "{answer:?}");
    let headers = [("authorization", authorization.as_str()), ("content-encoding", "br")];
    assert_eq!(server.send_as_is(Method::POST, path, &headers, b"x").await.status, 415);
    let old = server.get("/bibly.git/info/refs").await;
    assert_eq!(old.status, 403, "the old protocol is not spoken: {old:?}");
}
