//! Reads of a real app on a real server, held against the schemas.

use crate::support::{python, shared_server};
use windlass_testkit::app::TestApp;
use windlass_testkit::http::{Connection, basic_credentials};
use windlass_testkit::schema::own;

/// What this server or this app does not have.
const MAY_BE_MISSING: &[&str] = &[
    "/dns-zone",
    "/certificate-authority",
    "/apps/{app}/git-webhook",
    "/apps/{app}/pipeline-couplings",
    "/apps/{app}/pipeline-diff",
    "/apps/{app}/review-app",
    "/teams/apps/{app}",
];

#[test]
fn every_read_of_a_real_app_is_as_described() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "contract", &python());
    let _ = app.cli(&["config:set", "GREETING=hello"]).success();
    // So the exec manager is told the app; elsewhere the user name says nothing.
    let authorization = basic_credentials(&app.name, server.token());
    let headers = [("authorization", authorization.as_str())];
    let mut read = 0;
    for link in own().links.iter().filter(|link| link.method == "GET" && link.media_type.is_none())
    {
        let path = link.path.replace("{app}", &app.name);
        if path.contains('{') || link.refused.is_some() {
            continue;
        }
        // Whatever is not as described fails right there.
        let mut connection = Connection::open_api(server.api()).unwrap();
        connection.send("GET", &path, &headers, b"").unwrap();
        let status = connection.receive().unwrap().status;
        let missing = status == 404 && MAY_BE_MISSING.contains(&link.path.as_str());
        assert!(status == 200 || missing, "{path}: {status}");
        read += 1;
    }
    assert!(read > 50, "{read}");
}
