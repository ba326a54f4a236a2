//! Tokens, second factors, and what happens to those who have neither.

use super::support::Server;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use ring::hmac;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PATH: &str = "/oauth/authorizations";

fn secret(made: &Value) -> String {
    made["access_token"]["token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_do_what_its_scopes_say() {
    let server = Server::start().await;
    server.app("bibly").await;
    let made = server.post(PATH, json!({"scope": ["read"], "description": "looks"})).await.json();
    assert_eq!(made["scope"], json!(["read"]));
    let read = secret(&made);
    let get = |path: &'static str| server.as_user(&read, Method::GET, path, Value::Null);
    assert_eq!(get("/apps/bibly").await.status, 200);
    assert_eq!(get("/account").await.status, 200);
    let message = get("/apps/bibly/config-vars").await.refused(403, "forbidden");
    assert!(message.contains("global, read-protected, write-protected"), "{message}");
    get("/account/keys").await.refused(403, "forbidden");
    let change = json!({"maintenance": true});
    server.as_user(&read, Method::PATCH, "/apps/bibly", change).await.refused(403, "forbidden");
    let basic = format!("Basic {}", STANDARD.encode(format!("x:{read}")));
    let push = "/bibly.git/info/refs?service=git-receive-pack";
    let pushed = server.send_as_is(Method::GET, push, &[("authorization", &basic)], b"").await;
    assert_eq!(pushed.status, 403, "{pushed:?}");
    server.post(PATH, json!({"scope": ["everything"]})).await.refused(422, "invalid_params");
    let wider = json!({"scope": ["global"]});
    server.as_user(&read, Method::POST, PATH, wider).await.refused(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_when_it_said_or_when_it_is_revoked() {
    let server = Server::start().await;
    let made = server.post(PATH, json!({"expires_in": "1"})).await.json();
    assert_eq!(made["access_token"]["expires_in"], 1);
    let short = secret(&made);
    let started = Instant::now();
    while server.as_user(&short, Method::GET, "/account", Value::Null).await.status != 401 {
        assert!(started.elapsed() < Duration::from_secs(120));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for wrong in [json!("soon"), json!(-1), json!(0), json!(u64::MAX), json!([1])] {
        server.post(PATH, json!({"expires_in": wrong})).await.refused(422, "invalid_params");
    }

    let made = server.post(PATH, json!({"description": "ci", "expires_in": 3600})).await.json();
    let (old, one) = (secret(&made), format!("{PATH}/{}", made["id"].as_str().unwrap()));
    assert_eq!(server.get(&one).await.json()["access_token"], Value::Null, "only its hash is kept");
    let said = server.patch(&one, json!({"description": "builds", "client": {}})).await.json();
    assert_eq!(said["description"], "builds");
    let again = server.post(&format!("{one}/actions/regenerate-tokens"), json!({})).await.json();
    let new = secret(&again);
    let status = async |token: &str| {
        server.as_user(token, Method::GET, "/account", Value::Null).await.status.as_u16()
    };
    assert_eq!((status(&old).await, status(&new).await), (401, 200));
    let stranger = server.let_in("eve@example.com").await;
    for (method, path) in [(Method::GET, &one), (Method::DELETE, &one), (Method::PATCH, &one)] {
        server.as_user(&stranger, method, path, json!({})).await.refused(404, "not_found");
    }
    assert_eq!(server.delete(&one).await.status, 200);
    assert_eq!(status(&new).await, 401);
    for path in ["/oauth/clients", "/oauth/clients/x"] {
        server.get(path).await.refused(404, "not_supported_here");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_wrong_logins_are_answered_cheaply() {
    let server = Server::start().await;
    let connection = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let (mut sender, served) =
        hyper::client::conn::http1::handshake(TokioIo::new(connection)).await.unwrap();
    let served = tokio::spawn(served);
    let mut statuses = BTreeMap::new();
    for number in 0..10_000 {
        let request = Request::get("/account")
            .header("host", "localhost")
            .header("authorization", format!("Bearer wrong-{number}"))
            .body(Empty::<Bytes>::new())
            .unwrap();
        sender.ready().await.unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        assert_eq!(response.headers().contains_key("retry-after"), status == 429);
        *statuses.entry(status).or_insert(0) += 1;
        let body: Value =
            serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes())
                .unwrap();
        assert_eq!(body["id"], if status == 429 { "rate_limit" } else { "unauthorized" });
    }
    served.abort();
    let (wrong, locked) = (statuses[&401], statuses[&429]);
    assert_eq!(wrong + locked, 10_000, "{statuses:?}");
    assert!((10..100).contains(&wrong), "{statuses:?}");
    assert_eq!(server.get("/account").await.status, 200, "a right token goes on being right");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_has_so_many_requests_an_hour() {
    let server = Server::start_with(|settings| settings.requests_per_hour = 30).await;
    let ben = server.let_in("ben@example.com").await;
    let remaining = |answer: &super::support::Answer| -> u32 {
        answer.headers["ratelimit-remaining"].to_str().unwrap().parse().unwrap()
    };
    let first = server.get("/account").await;
    let asked = server.get("/account/rate-limits").await;
    assert!(asked.json()["remaining"].as_u64().unwrap() <= u64::from(remaining(&first)));
    let mut refused = None;
    for _ in 0..40 {
        let answer = server.get("/apps").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        assert!(remaining(&answer) < remaining(&first));
    }
    let refused = refused.expect("the budget ends");
    assert!(refused.headers.contains_key("retry-after"));
    refused.refused(429, "rate_limit");
    assert_eq!(server.get("/account/rate-limits").await.json()["remaining"], 0);
    let other = server.as_user(&ben, Method::GET, "/apps", Value::Null).await;
    assert_eq!((other.status.as_u16(), remaining(&other) > 20), (200, true));
}

/// The one-time password of a secret in base 32, so many steps from now.
pub(super) fn password(secret: &str, steps: i64) -> String {
    let mut bits = 0u64;
    let mut count = 0;
    let mut bytes = Vec::new();
    for letter in secret.bytes() {
        let value = if letter.is_ascii_uppercase() { letter - b'A' } else { letter - b'2' + 26 };
        bits = (bits << 5) | u64::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).unwrap());
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let step = (now / 30).checked_add_signed(steps).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let at = usize::from(tag.as_ref()[19] & 15);
    let number = u32::from_be_bytes(tag.as_ref()[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_asked_for_where_tokens_are_made() {
    let server = Server::start().await;
    let factor = "/account/two-factor";
    let proposed = server.post(factor, json!({})).await.json();
    let text = proposed["secret"].as_str().unwrap();
    let url = proposed["url"].as_str().unwrap();
    assert!(url.starts_with("otpauth://totp/Windlass:ada@example.com?secret="), "{url}");
    let made = server.post(PATH, json!({"description": "before"})).await;
    assert_eq!(made.status, 201, "it is not in force yet");
    let confirm = format!("{factor}/actions/confirm");
    server.post(&confirm, json!({"code": "000000"})).await.refused(403, "two_factor");
    let confirmed = server.post(&confirm, json!({"code": password(text, 0)})).await;
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    let codes = confirmed.json()["recovery_codes"].as_array().unwrap().clone();
    assert_eq!(codes.len(), 10);
    assert_eq!(server.get("/account").await.json()["two_factor_authentication"], true);
    server.post(factor, json!({})).await.refused(409, "conflict");

    server.post(PATH, json!({})).await.refused(403, "two_factor");
    let with = async |code: &str| {
        let headers = [("content-type", "application/json"), ("heroku-two-factor-code", code)];
        server.send(Method::POST, PATH, &headers, "{}").await
    };
    assert_eq!(with(&password(text, 1)).await.status, 201);
    with(&password(text, 1)).await.refused(403, "two_factor");
    let recovery = codes[0].as_str().unwrap();
    assert_eq!(with(recovery).await.status, 201);
    with(recovery).await.refused(403, "two_factor");
    assert_eq!(server.get(factor).await.json(), json!({"enabled": true, "recovery_codes_left": 9}));

    let mut last = with("123").await;
    for _ in 0..10 {
        last = with("123").await;
    }
    last.refused(429, "rate_limit");
    with(codes[1].as_str().unwrap()).await.refused(429, "rate_limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_given_up_with_a_code_or_reset_by_the_owner() {
    let server = Server::start().await;
    let ben = server.let_in("ben@example.com").await;
    let factor = "/account/two-factor";
    let enable = async |token: &str| {
        let proposed = server.as_user(token, Method::POST, factor, json!({})).await.json();
        let code = password(proposed["secret"].as_str().unwrap(), 0);
        let confirm = format!("{factor}/actions/confirm");
        let codes =
            server.as_user(token, Method::POST, &confirm, json!({"code": code})).await.json();
        codes["recovery_codes"][0].as_str().unwrap().to_owned()
    };
    let recovery = enable(&ben).await;
    server.as_user(&ben, Method::DELETE, factor, json!({})).await.refused(403, "two_factor");
    let authorization = format!("Bearer {ben}");
    let headers =
        [("authorization", authorization.as_str()), ("heroku-two-factor-code", recovery.as_str())];
    let given_up = server.send_as_is(Method::DELETE, factor, &headers, b"").await;
    assert_eq!(given_up.json()["enabled"], false, "{given_up:?}");
    enable(&ben).await;
    assert_eq!(server.delete("/users/ben@example.com/two-factor").await.status, 200);
    let account = server.as_user(&ben, Method::GET, "/account", Value::Null).await.json();
    assert_eq!(account["two_factor_authentication"], false);
}
