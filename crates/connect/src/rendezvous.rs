//! Rendezvous connections: to the server they go as an upgraded request, which every proxy in
//! between understands.

use crate::upstream::{Connection, Upstream};
use bytes::Bytes;
use http::header::{CONNECTION, HOST, UPGRADE};
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use windlass_wire::rendezvous::{GREETING, GREETING_PAUSE_MS, PROTOCOL};

/// Connects a client to the process that its secret stands for, until one of them has ended.
pub(crate) async fn forward(mut client: impl Connection, secret: &str, upstream: &Upstream) {
    // A client that the server has not heard of sees its connection end, as it would there.
    if let Ok(mut server) = upgrade(secret, upstream).await
        && greet(&mut client, &mut server).await.is_ok()
    {
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
    let _ = client.shutdown().await;
}

async fn upgrade(secret: &str, upstream: &Upstream) -> io::Result<impl Connection + use<>> {
    let stream = TokioIo::new(upstream.connect().await?);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(stream).await.map_err(io::Error::other)?;
    tokio::spawn(connection.with_upgrades());
    let request = Request::get(format!("/rendezvous/{secret}"))
        .header(HOST, upstream.authority())
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, PROTOCOL)
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(io::Error::other(format!("the server answers {}", response.status())));
    }
    Ok(TokioIo::new(hyper::upgrade::on(response).await.map_err(io::Error::other)?))
}

/// Passes the greeting on alone, however it came.
async fn greet(client: &mut impl Connection, server: &mut impl Connection) -> io::Result<()> {
    let mut greeting = [0; GREETING.len()];
    server.read_exact(&mut greeting).await?;
    client.write_all(&greeting).await?;
    client.flush().await?;
    tokio::time::sleep(Duration::from_millis(GREETING_PAUSE_MS)).await;
    Ok(())
}
