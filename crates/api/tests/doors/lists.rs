//! Lists in pieces, over the wire.

use super::support::Server;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn releases_are_paged_as_the_cli_pages_them() {
    let server = Server::start().await;
    server.app("bibly").await;
    for number in 2..=7 {
        let set = server.patch("/apps/bibly/config-vars", json!({ "N": number.to_string() })).await;
        assert_eq!(set.status, 200, "{set:?}");
    }
    let mut versions = Vec::new();
    let mut range = "version ..; max=3, order=desc".to_owned();
    loop {
        let page = server.get_range("/apps/bibly/releases", &range).await;
        versions.extend(
            page.json()
                .as_array()
                .unwrap()
                .iter()
                .map(|release| release["version"].as_u64().unwrap()),
        );
        match page.headers.get("next-range") {
            Some(next) => {
                assert_eq!(page.status, 206);
                range = next.to_str().unwrap().to_owned();
            }
            None => {
                assert_eq!(page.status, 200);
                break;
            }
        }
    }
    assert_eq!(versions, [7, 6, 5, 4, 3, 2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_lists_never_go_on() {
    let server = Server::start().await;
    server.app("bibly").await;
    for range in
        ["", "id ..; ;", "id ..; max=1000;", "version ..; max=1, order=desc", "nosuch ..", "]"]
    {
        let page = server.get_range("/apps/bibly/releases", range).await;
        assert_eq!(page.status, 200, "{range}");
        assert!(!page.headers.contains_key("next-range"), "{range}");
        assert_eq!(page.json().as_array().unwrap().len(), 1, "{range}");
    }
}
