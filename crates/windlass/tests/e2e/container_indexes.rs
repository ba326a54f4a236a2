//! Indexes and layers packed with zstd, as today's tools push them to the server's registry.

use crate::containers::{Pusher, skopeo};
use crate::support::shared_server;
use serde_json::Value;
use windlass_testkit::app::TestApp;

/// Returns what is under a name in the registry, as it was pushed.
fn raw(pusher: &Pusher, name: &str) -> Value {
    let login = pusher.login();
    let inspect = ["inspect", "--raw", "--tls-verify=false", "--creds", &login, name];
    serde_json::from_str(&skopeo(&inspect).success()).unwrap()
}

/// Pushes an index with all that it names.
fn push_index(pusher: &Pusher, name: &str, target: &str) {
    let (login, source) = (pusher.login(), format!("localhost/{name}"));
    let push = ["manifest", "push", "--all", "--quiet", "--tls-verify=false", "--creds", &login];
    pusher.maker.buildah(&[&push[..], &[&source, target]].concat());
}

#[test]
fn of_an_index_the_image_for_the_server_is_released() {
    let server = shared_server!();
    let Some(pusher) = Pusher::new(&server) else { return };
    let app = TestApp::create(&server, "boxindex");
    let name = |process: &str| format!("docker://{}/{}/{process}:latest", server.api(), app.name);
    pusher.maker.image("index-ours", "from an index", None);
    pusher.maker.image("index-theirs", "for others", Some("s390x"));
    pusher.maker.index("index-both", &["index-theirs", "index-ours"]);
    push_index(&pusher, "index-both", &name("web"));
    let _ = app.cli(&["container:release", "web"]).success();
    assert_eq!(app.get("/").text(), "from an index");
    let index = raw(&pusher, &name("web"));
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2, "{index}");

    // All of it can be fetched, and pushed to another place.
    let login = pusher.login();
    let tls = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    let creds = ["--src-creds", &login, "--dest-creds", &login];
    let (from, to) = (name("web"), name("copy"));
    let copy = [&["copy", "--multi-arch", "all"], &tls[..], &creds, &[&from, &to]].concat();
    let _ = skopeo(&copy).success();
    assert_eq!(raw(&pusher, &to), index);
    let _ = app.cli(&["container:release", "copy"]).success();

    // What is for others alone is kept, and not released.
    pusher.maker.index("index-foreign", &["index-theirs"]);
    push_index(&pusher, "index-foreign", &name("web"));
    let said = app.cli(&["container:release", "web"]).failure();
    assert!(said.contains("no image for the server's processor"), "{said}");
    assert_eq!(app.get("/").text(), "from an index");
}

#[test]
fn layers_packed_with_zstd_are_taken_and_served() {
    let server = shared_server!();
    let Some(pusher) = Pusher::new(&server) else { return };
    let app = TestApp::create(&server, "boxzstd");
    pusher.maker.image("zstd", "packed with zstd", None);
    let target = format!("docker://{}/{}/web:latest", server.api(), app.name);
    let login = pusher.login();
    let push = ["push", "--quiet", "--compression-format", "zstd", "--tls-verify=false"];
    let rest = ["--creds", &login, "localhost/zstd", &target];
    pusher.maker.buildah(&[&push[..], &rest].concat());
    let manifest = raw(&pusher, &target);
    let kind = manifest["layers"][0]["mediaType"].as_str().unwrap();
    assert!(kind.ends_with("tar+zstd"), "{manifest}");
    let _ = app.cli(&["container:release", "web"]).success();
    assert_eq!(app.get("/").text(), "packed with zstd");
}
