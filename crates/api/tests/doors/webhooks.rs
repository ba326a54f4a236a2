//! Webhooks, from the API to the receiver.

use super::support::Server;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use windlass_api::ApiTeller;

const PATH: &str = "/apps/bibly/webhooks";
const LIMIT: Duration = Duration::from_secs(120);

/// One request as a receiver sees it.
struct Received {
    head: String,
    body: String,
}

impl Received {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.to_owned())
    }
}

/// Takes requests, and answers the first so many with an error.
struct Receiver {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    async fn start(mut failing: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let kept = received.clone();
        tokio::spawn(async move {
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                let mut bytes = Vec::new();
                let request = loop {
                    let count = connection.read_buf(&mut bytes).await.unwrap();
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    if let Some((head, body)) = text.split_once("\r\n\r\n") {
                        let received = Received { head: head.into(), body: body.into() };
                        let length = received.header("content-length").unwrap();
                        if body.len() >= length.parse::<usize>().unwrap() {
                            break received;
                        }
                    }
                    assert!(count > 0, "cut: {text}");
                };
                kept.lock().unwrap().push(request);
                let status = if failing > 0 { "500 No" } else { "200 OK" };
                failing = failing.saturating_sub(1);
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, received }
    }

    fn take(&self, is_it: impl Fn(&Received) -> bool) -> Option<Received> {
        let mut received = self.received.lock().unwrap();
        let at = received.iter().position(is_it)?;
        Some(received.remove(at))
    }

    /// Waits until a request fulfils this, and returns it.
    async fn wait_for(&self, what: &str, is_it: impl Fn(&Received) -> bool) -> Received {
        let waited = tokio::time::timeout(LIMIT, async {
            loop {
                if let Some(found) = self.take(&is_it) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{what} was not received"))
    }
}

/// Waits until the first delivery is noted as taken.
async fn succeeded(server: &Server) -> Value {
    let waited = tokio::time::timeout(LIMIT, async {
        loop {
            let path = "/apps/bibly/webhook-deliveries?eq[status]=succeeded";
            let deliveries = server.get_range(path, "seq ..; order=desc,max=1000").await.json();
            if let Some(delivery) = deliveries.as_array().unwrap().first() {
                return delivery.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.expect("a delivery succeeds")
}

fn wanted(url: &str, include: &[&str]) -> Value {
    json!({"include": include, "level": "notify", "url": url})
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_made_changed_and_removed_and_secrets_are_shown_once() {
    let server = Server::start().await;
    server.app("bibly").await;
    let made = server.post(PATH, wanted("https://example.com/in", &["api:release", "dyno"])).await;
    assert_eq!(made.status, 201, "{made:?}");
    let secret = made.headers["heroku-webhook-secret"].to_str().unwrap().to_owned();
    assert!(secret.len() >= 32, "{secret}");
    let webhook = made.json();
    assert_eq!(webhook["include"], json!(["api:release", "dyno"]));
    assert!(!made.text().contains(&secret));
    let id = webhook["id"].as_str().unwrap();
    let one = format!("{PATH}/{id}");
    assert_eq!(server.get(&one).await.json(), webhook);
    assert_eq!(server.get(PATH).await.json(), json!([webhook]));

    let changed = server.patch(&one, json!({"level": "sync", "include": ["api:app"]})).await;
    assert_eq!(changed.json()["level"], "sync");
    assert_eq!(changed.json()["url"], "https://example.com/in");
    assert!(!changed.headers.contains_key("heroku-webhook-secret"));
    let changed = server.patch(&one, json!({"secret": null})).await;
    let other = changed.headers["heroku-webhook-secret"].to_str().unwrap();
    assert_ne!(other, secret, "null makes another one");

    assert_eq!(server.delete(&one).await.json()["id"], webhook["id"]);
    let _ = server.get(&one).await.refused(404, "not_found");
    assert_eq!(server.get(PATH).await.json(), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_told_or_reached_is_refused() {
    let server = Server::start().await;
    server.app("bibly").await;
    for body in [
        json!({}),
        wanted("ftp://example.com/", &["api:app"]),
        wanted("http://127.0.0.1:1/", &["api:app"]),
        wanted("http://localhost:1/", &["api:app"]),
        wanted("https://hooks.localhost./", &["api:app"]),
        wanted("http://2130706433/", &["api:app"]),
        wanted("http://169.254.169.254/latest", &["api:app"]),
        wanted("https://[::ffff:10.0.0.1]/", &["api:app"]),
        wanted("https://example.com/", &["api:everything"]),
        wanted("https://example.com/", &[]),
        json!({"include": ["api:app"], "level": "now", "url": "https://example.com/"}),
        json!({"include": ["api:app"], "level": "sync", "url": "https://example.com/", "secret": "a\nb"}),
    ] {
        let _ = server.post(PATH, body.clone()).await.refused(422, "invalid_params");
    }
    for _ in 0..10 {
        let made = server.post(PATH, wanted("https://example.com/", &["api:app"])).await;
        assert_eq!(made.status, 201);
    }
    let eleventh = server.post(PATH, wanted("https://example.com/", &["api:app"])).await;
    assert!(eleventh.refused(422, "invalid_params").contains("at most 10"));
    let path = "/apps/bibly/webhook-deliveries?eq[status]=lost";
    let _ = server.get(path).await.refused(422, "invalid_params");
    let _ = server.get("/apps/bibly/webhook-events/x").await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_told_signed_and_repeated_until_it_is_taken() {
    let server = Server::start_with(|settings| settings.outgoing.allow_private = true).await;
    server.app("bibly").await;
    server.platform.spawn_webhooks(ApiTeller);
    let receiver = Receiver::start(1).await;
    let body = json!({
        "include": ["api:app", "api:domain", "api:formation"], "level": "sync", "url": receiver.url,
        "secret": "hush", "authorization": "Bearer abc",
    });
    let made = server.post(PATH, body).await;
    assert_eq!(made.headers["heroku-webhook-secret"], "hush");
    let added = server.post("/apps/bibly/domains", json!({"hostname": "www.example.com"})).await;
    assert_eq!(added.status, 201);
    let domain = added.json();

    let is_domain = |r: &Received| r.json()["resource"] == "domain";
    let first = receiver.wait_for("the domain", is_domain).await;
    let again = receiver.wait_for("the domain again", is_domain).await;
    assert_eq!(first.json()["id"], again.json()["id"], "the same event");
    let told = again.json();
    assert_eq!(told["action"], "create");
    assert_eq!(told["data"]["hostname"], domain["hostname"]);
    assert_eq!(told["actor"]["email"], "ada@example.com");
    assert_eq!(told["version"], "application/vnd.heroku+json; version=3");
    assert_eq!(told["webhook_metadata"]["event"]["include"], "api:domain");
    assert_eq!(told["webhook_metadata"]["webhook"]["id"], made.json()["id"]);
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"hush");
    let signature = STANDARD.encode(hmac::sign(&key, again.body.as_bytes()));
    assert_eq!(again.header("heroku-webhook-hmac-sha256"), Some(signature));
    assert_eq!(again.header("authorization").as_deref(), Some("Bearer abc"));

    let delivery = succeeded(&server).await;
    assert_eq!(delivery["event"]["id"], told["id"]);
    assert_eq!(delivery["num_attempts"], 2);
    assert_eq!(delivery["last_attempt"]["code"], 200);
    let path = format!("/apps/bibly/webhook-deliveries/{}", delivery["id"].as_str().unwrap());
    assert_eq!(server.get(&path).await.json(), delivery);
    let path = format!("/apps/bibly/webhook-events/{}", told["id"].as_str().unwrap());
    assert_eq!(server.get(&path).await.json()["payload"]["data"], told["data"]);

    let changed = server.patch("/apps/bibly", json!({"maintenance": true})).await;
    assert_eq!(changed.status, 200);
    let is_app = |r: &Received| r.json()["resource"] == "app" && r.json()["action"] == "update";
    let told = receiver.wait_for("maintenance", is_app).await.json();
    assert_eq!(told["previous_data"]["maintenance"], false);
    assert_eq!(told["data"]["maintenance"], true);

    assert_eq!(server.delete("/apps/bibly").await.status, 200);
    let is_end = |r: &Received| r.json()["action"] == "destroy";
    let told = receiver.wait_for("the app's end", is_end).await.json();
    assert_eq!((&told["resource"], &told["data"]["name"]), (&json!("app"), &json!("bibly")));
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_are_told_as_pending_and_then_as_they_are() {
    let server = Server::start_with(|settings| settings.outgoing.allow_private = true).await;
    server.app("bibly").await;
    server.platform.spawn_webhooks(ApiTeller);
    let receiver = Receiver::start(0).await;
    let made = server.post(PATH, wanted(&receiver.url, &["api:release"])).await;
    assert_eq!(made.status, 201);
    let set = server.patch("/apps/bibly/config-vars", json!({"A": "1"})).await;
    assert_eq!(set.status, 200, "{set:?}");
    let created = |r: &Received| r.json()["action"] == "create";
    let created = receiver.wait_for("the new release", created).await.json();
    assert_eq!(created["data"]["status"], "pending");
    assert_eq!(created["data"]["output_stream_url"], Value::Null);
    let ended = |r: &Received| r.json()["data"]["status"] == "succeeded";
    let ended = receiver.wait_for("its success", ended).await.json();
    assert_eq!(ended["previous_data"]["status"], "pending");
    assert_eq!(ended["data"]["id"], created["data"]["id"]);
    assert_eq!(ended["actor"]["email"], "ada@example.com");
}
