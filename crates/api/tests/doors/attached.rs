//! Attached processes over the wire.

use super::support::Server;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use windlass_wire::attach;

/// Starts a one-off and upgrades a connection to it.
async fn attached(server: &Server) -> TcpStream {
    let body = json!({"command": "cat", "attach": true, "env": {"TERM": "xterm", "COLUMNS": 80, "LINES": 24}});
    let dyno = server.post("/apps/bibly/dynos", body).await;
    assert_eq!(dyno.status, 201, "{dyno:?}");
    let dyno = dyno.json();
    assert_eq!(
        (dyno["type"].as_str(), dyno["release"]["version"].as_u64()),
        (Some("run"), Some(2))
    );
    let url = dyno["upgrade_url"].as_str().unwrap();
    let path = url.strip_prefix(&format!("http://{}", server.address)).expect("our host");
    let mut connection = TcpStream::connect(server.address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: windlass-attach\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let again =
        server.send_as_is(http::Method::GET, path, &[("upgrade", "windlass-attach")], b"").await;
    assert_ne!(again.status, 101, "the URL works once");
    connection
}

async fn send(connection: &mut TcpStream, kind: u8, payload: &[u8]) {
    connection.write_u8(kind).await.unwrap();
    connection.write_u32_le(payload.len() as u32).await.unwrap();
    connection.write_all(payload).await.unwrap();
}

async fn receive(connection: &mut TcpStream) -> (u8, Vec<u8>) {
    let kind = connection.read_u8().await.unwrap();
    let mut payload = vec![0; connection.read_u32_le().await.unwrap() as usize];
    connection.read_exact(&mut payload).await.unwrap();
    (kind, payload)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_and_its_client_talk() {
    let server = Server::start().await;
    server.deployed_app("bibly").await;
    let mut connection = attached(&server).await;
    send(&mut connection, attach::STDIN, b"hello").await;
    assert_eq!(receive(&mut connection).await, (attach::STDOUT, b"hello".to_vec()));
    let dynos = server.get("/apps/bibly/dynos").await.json();
    assert_eq!((dynos[0]["type"].as_str(), dynos[0]["state"].as_str()), (Some("run"), Some("up")));
    send(&mut connection, attach::STDIN_CLOSED, b"").await;
    assert_eq!(receive(&mut connection).await, (attach::EXIT, 3i32.to_le_bytes().to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_ends_with_its_client() {
    let server = Server::start().await;
    server.deployed_app("bibly").await;
    let connection = attached(&server).await;
    drop(connection);
    for _ in 0..500 {
        if server.get("/apps/bibly/dynos").await.json() == json!([]) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the process goes on without its client");
}

#[tokio::test(flavor = "multi_thread")]
async fn attached_processes_end_with_the_server() {
    let server = Server::start().await;
    server.deployed_app("bibly").await;
    let mut connection = attached(&server).await;
    let stopping = tokio::spawn(server.stop());
    let mut rest = Vec::new();
    let read = tokio::time::timeout(
        std::time::Duration::from_secs(120),
        connection.read_to_end(&mut rest),
    )
    .await;
    read.expect("the connection is closed").ok();
    stopping.await.unwrap();
}
