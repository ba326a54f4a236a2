//! What no client should send: each is refused in the form of all errors, and nothing fails.

use super::support::{Answer, Server};
use http::Method;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use windlass_testkit::schema::{Link, own};

const JSON: (&str, &str) = ("content-type", "application/json");

/// hyper would close the connection after such an answer, and the client's next request be lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_refused_before_its_body_came_costs_no_connection() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /apps HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                Content-Length: 2\r\n\r\n";
    for _ in 0..3 {
        stream.write_all(head.as_bytes()).await.unwrap();
        // Long enough for the refusal, which does not look at the body.
        tokio::time::sleep(Duration::from_millis(200)).await;
        stream.write_all(b"{}").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let count = stream.read_buf(&mut answer).await.unwrap();
            assert!(count > 0, "closed after {}", answer.escape_ascii());
        }
        assert!(answer.starts_with(b"HTTP/1.1 401"), "{}", answer.escape_ascii());
    }
}

/// Every answer's form is checked by the client of these tests; here, that it is the caller's fault.
#[track_caller]
fn is_refused(answer: &Answer, what: &str) {
    assert!(answer.status.is_client_error(), "{what}: {answer:?}");
}

/// Returns a path with what is there in place of the parameters.
fn fill(path: &str) -> String {
    path.replace("{app}", "bibly").replace(['{', '}'], "")
}

fn with_json_body() -> impl Iterator<Item = &'static Link> {
    own().links.iter().filter(|link| {
        link.schema.as_ref().is_some_and(|schema| schema["type"] == json!(["object"]))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_json_object_are_refused_everywhere() {
    let server = Server::start().await;
    server.app("bibly").await;
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let bodies: [(&str, &[u8]); 6] = [
        ("half an object", b"{\"name\":"),
        ("text", b"hello"),
        ("deeply nested", deep.as_bytes()),
        ("not UTF-8", b"{\"name\":\"\xff\xfe\"}"),
        ("half a surrogate pair", b"{\"name\":\"\\ud800\"}"),
        ("two values", b"{} {}"),
    ];
    for link in with_json_body() {
        let (method, path): (Method, _) = (link.method.parse().unwrap(), fill(&link.path));
        let authorization = format!("Bearer {}", server.token);
        let headers = [JSON, ("authorization", authorization.as_str())];
        for (what, body) in bodies {
            let answer = server.send_as_is(method.clone(), &path, &headers, body).await;
            is_refused(&answer, &format!("{method} {path}: {what}"));
        }
        let answer =
            server.send(method.clone(), &path, &[("content-type", "text/xml")], "<a/>").await;
        is_refused(&answer, &format!("{method} {path}: another type"));
    }
}

/// A value of none of the types.
fn wrong(schema: &Value) -> Option<Value> {
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    [
        ("object", json!({"a": {}})),
        ("array", json!([[1]])),
        ("boolean", json!(true)),
        ("string", json!("no")),
    ]
    .into_iter()
    .find(|(name, _)| !types.contains(name))
    .map(|(_, value)| value)
}

/// Some value that fits.
fn right(schema: &Value) -> Value {
    if let Some(value) = schema["enum"].get(0) {
        return value.clone();
    }
    match schema["type"][0].as_str() {
        Some("string") => json!("x"),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        _ => json!({}),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_another_type_is_refused_in_every_field() {
    let server = Server::start().await;
    server.app("bibly").await;
    let mut tried = 0;
    for link in with_json_body() {
        let schema = link.schema.as_ref().unwrap();
        let Some(properties) = schema["properties"].as_object() else { continue };
        let needed = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let needed: Map<String, Value> =
            needed.map(|name| (name.to_owned(), right(&properties[name]))).collect();
        for (name, property) in properties {
            let Some(value) = wrong(property) else { continue };
            // What clients of Heroku send and nothing depends on here.
            if property["description"].as_str().is_some_and(|text| text.starts_with("ignored")) {
                continue;
            }
            let mut body = needed.clone();
            body.insert(name.clone(), value);
            let path = fill(&link.path);
            let body = Value::Object(body).to_string();
            let answer = server.send(link.method.parse().unwrap(), &path, &[JSON], &body).await;
            is_refused(&answer, &format!("{} {path} with {body}", link.method));
            tried += 1;
        }
    }
    assert!(tried > 60, "{tried}");
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_bodies_are_refused_with_their_limit() {
    let server = Server::start().await;
    let body = format!("{{\"name\":\"{}\"}}", "a".repeat(2 << 20));
    let message =
        server.send(Method::POST, "/apps", &[JSON], &body).await.refused(413, "payload_too_large");
    assert!(message.contains("1048576 bytes"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_equal_keys_counts() {
    let server = Server::start().await;
    let body = r#"{"name":"first-name","name":"second-name"}"#;
    let made = server.send(Method::POST, "/apps", &[JSON], body).await;
    assert_eq!(made.json()["name"], "second-name");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found() {
    let server = Server::start().await;
    server.app("bibly").await;
    let ids = [
        "x",
        "00000000-0000-0000-0000-000000000000",
        "-1",
        "99999999999999999999",
        "a%20b",
        "%e2%82%ac",
    ];
    let of_app = |link: &&Link| {
        link.method == "GET"
            && link.media_type.is_none()
            && link.path.starts_with("/apps/{app}/")
            && link.path.ends_with('}')
    };
    for link in own().links.iter().filter(of_app) {
        for id in ids {
            let parent = link.path.rsplit_once('/').unwrap().0;
            let path = format!("{}/{id}", fill(parent));
            let answer = server.get(&path).await;
            assert_eq!(answer.status, 404, "{path}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn path_tricks_lead_nowhere() {
    let server = Server::start().await;
    server.app("bibly").await;
    let paths = [
        "/apps/%2e%2e/apps",
        "/apps/../account",
        "/apps/bibly/../bibly",
        "/apps/%2e%2e%2faccount",
        "/apps/bibly%00",
        "/apps/bibly/",
        "//apps/bibly",
        "/apps//bibly",
        "/apps/%ff%fe",
        "/apps/bibly/domains/%ff",
        "/apps/bibly%2fdomains",
        "/apps/bibly/releases/%00",
        "/apps/bibly/releases/..%2f..",
        "/apps/%0d%0aSet-Cookie:%20a=b",
        "/apps/bibly;x=1",
        "/apps/BIBLY%20",
        "/account/keys/%00",
        "/oauth/authorizations/%00",
        "/apps/bibly/builds/..%2f..%2fetc%2fpasswd",
        "/apps/bibly/cron-jobs/%00/runs/1/output",
        "/streams/builds/..%2f/a/b/c",
        "/logs/%2e%2e",
        "/sources/..%2f..",
    ];
    for path in paths {
        let answer = server.get(path).await;
        is_refused(&answer, path);
        assert!(!answer.headers.contains_key("set-cookie"), "{path}");
    }
    let long = format!("/apps/{}", "a".repeat(4_000));
    is_refused(&server.get(&long).await, "a long path");
    let query = server.delete("/apps/bibly?with_volumes=perhaps").await;
    is_refused(&query, "a query that cannot be read");
    assert_eq!(server.get("/apps/bibly").await.status, 200, "it is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_with_odd_characters_are_refused() {
    let server = Server::start().await;
    server.app("bibly").await;
    let long = "a".repeat(300);
    let names = [
        "",
        " ",
        "a\u{0}b",
        "a\nb",
        "\u{1b}[31m",
        "a/b",
        "..",
        "ü",
        "a\u{202e}b",
        "A",
        "1a",
        "-a",
        "a-",
        &long,
    ];
    for name in names {
        let tries = [
            ("/apps", json!({"name": name})),
            ("/apps/bibly/domains", json!({"hostname": name})),
            ("/apps/bibly/volumes", json!({"name": name, "mount_path": "/data"})),
            (
                "/apps/bibly/cron-jobs",
                json!({"name": name, "command": "true", "schedule": "nonsense"}),
            ),
            ("/apps/bibly/network-links", json!({"linked_app": name})),
            ("/account/keys", json!({"public_key": name})),
        ];
        for (path, body) in tries {
            // One letter is a name of some; a word can be a host.
            if (path.ends_with("volumes") || path.ends_with("domains"))
                && (name == "A" || name == "1a")
            {
                continue;
            }
            is_refused(&server.post(path, body.clone()).await, &format!("{path} {body}"));
        }
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            continue;
        }
        let vars = server.patch("/apps/bibly/config-vars", json!({name: "value"})).await;
        is_refused(&vars, &format!("a config var {name:?}"));
    }
    let nul = server.patch("/apps/bibly/config-vars", json!({"A": "a\u{0}b"})).await;
    is_refused(&nul, "a NUL in a value");
    assert_eq!(server.get("/apps/bibly/config-vars").await.json(), json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn buildpacks_of_one_build_alone_are_refused() {
    let server = Server::start().await;
    server.app("bibly").await;
    let build = |buildpacks: Value| {
        let url = format!("http://{}/nothing.tgz", server.address);
        server.post(
            "/apps/bibly/builds",
            json!({"source_blob": {"url": url}, "buildpacks": buildpacks}),
        )
    };
    let message =
        build(json!([{"url": "https://example.com/b.tgz"}])).await.refused(422, "invalid_params");
    assert!(message.contains("buildpacks:set"), "{message}");
    let installed = json!({"updates": [{"buildpack": "python"}]});
    server
        .send(Method::PUT, "/apps/bibly/buildpack-installations", &[JSON], &installed.to_string())
        .await;
    assert_eq!(
        build(json!([{"url": "urn:buildpack:python"}])).await.status,
        201,
        "those of the app"
    );
    assert_eq!(build(json!([])).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_headers_do_no_harm() {
    let server = Server::start().await;
    server.app("bibly").await;
    let ranges =
        ["id ..; max=99999999999999999999", "id ]..[; max=0", "; ; ;", "id ..; order=sideways"];
    for range in ranges {
        let answer = server.send(Method::GET, "/apps", &[("range", range)], "").await;
        assert!(answer.status.is_success(), "{range}: {answer:?}");
    }
    let many = "a,".repeat(3_000);
    for (name, value) in [
        ("request-id", many.as_str()),
        ("if-none-match", "\"\""),
        ("if-modified-since", "yesterday"),
    ] {
        let answer = server.send(Method::GET, "/account", &[(name, value)], "").await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
    }
    for authorization in ["Bearer", "Basic !!!", "Bearer a b", "Negotiate abc", "Bearer ü"] {
        let headers = [("authorization", authorization)];
        let answer = server.send_as_is(Method::GET, "/account", &headers, b"").await;
        answer.refused(401, "unauthorized");
    }
}
