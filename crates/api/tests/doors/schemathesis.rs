//! schemathesis (PyPI) over the whole API: requests made up from the OpenAPI description, good and
//! bad ones. None may make the server fail.

use super::support::Server;
use serde_json::json;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use windlass_testkit::skip;

/// Where `cargo xtask test` puts it.
const FOLDER: &str = "/usr/local/lib/schemathesis";
/// How long it may make up requests; longer where it makes too few in the time, on a busy machine.
const SECONDS: [u64; 3] = [40, 120, 600];
/// Fewer requests than these show nothing.
const ENOUGH: u32 = 50;
/// No 5xx, and every answer has the type and the shape that the description says.
const CHECKS: &str = "not_a_server_error,content_type_conformance,response_schema_conformance";

/// What it would do harm with, or never get an answer from: streams that stay open, its own token,
/// hosts of others, archives.
const LEFT_OUT: &str = r"^/(attach|logs|sources|streams|git)/|/actions/check$|/git-sync$|/images|/archive$|^/registries/|^/oauth/";

#[tokio::test(flavor = "multi_thread")]
async fn no_made_up_request_makes_the_server_fail() {
    if !Path::new(FOLDER).join("schemathesis").is_dir() {
        return skip("schemathesis is not installed (cargo xtask test installs it)");
    }
    let server = Server::start().await;
    for name in ["bibly", "demo"] {
        server.deployed_app(name).await;
    }
    let volume = json!({"name": "data", "mount_path": "/data", "size": "1G"});
    server.post("/apps/bibly/volumes", volume).await;
    for seconds in SECONDS {
        let said = make_up_requests(&server, seconds).await;
        // Where it fails itself it goes on with the next endpoint; what counts is what the server
        // did.
        assert!(!said.contains("= FAILURES ="), "{said}");
        let mut lines = said.lines();
        let tried = lines.find_map(|line| line.trim().split_once(" generated")?.0.parse().ok());
        if tried.is_some_and(|tried: u32| tried > ENOUGH) {
            return;
        }
        println!("{tried:?} requests in {seconds} s are too few:\n{said}");
    }
    panic!("it made up too few requests");
}

/// Lets it make up requests for so many seconds, and returns what it said.
async fn make_up_requests(server: &Server, seconds: u64) -> String {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{}/openapi.json", server.address);
    let authorization = format!("Authorization: Bearer {}", server.token);
    let limit = (seconds * 10).to_string();
    let child = Command::new("timeout")
        .args(["--signal=INT", &limit, "python3", "-m", "schemathesis.cli", "run", &url])
        .args(["--header", &authorization, "--checks", CHECKS])
        .args(["--exclude-path-regex", LEFT_OUT, "--phases", "examples,coverage,fuzzing"])
        .args(["--max-time", &seconds.to_string(), "--workers", "4", "--seed", "7"])
        .args(["--request-timeout", "20", "--no-color", "--suppress-health-check", "all"])
        .args(["--warnings", "off"])
        .env("PYTHONPATH", FOLDER)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(seconds * 15), child)
        .await
        .expect("it ends")
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    text(output.stdout) + &text(output.stderr)
}
