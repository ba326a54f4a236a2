//! Requests, their streams and their upgrades.

use crate::upstream::{Connection, Upstream};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::sync::Mutex;
use windlass_wire::{BASE_URL_HEADER, ErrorBody};

/// Where a forwarder says for which server it stands.
pub const PROBE_PATH: &str = "/.windlass-connect";

/// How long a client may take to send its request's head.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// What concerns one connection only, of those that hyper does not see to.
const OF_CONNECTION: &[&str] = &["keep-alive", "proxy-connection", "te"];

type Body = Either<Incoming, Full<Bytes>>;
/// One connection to the server for each of a client: its requests come one after another.
type Kept = Arc<Mutex<Option<SendRequest<Incoming>>>>;

/// What all connections share.
pub(crate) struct Door {
    pub upstream: Upstream,
    pub port: u16,
}

/// Serves one client's connection.
pub(crate) async fn serve_requests(client: impl Connection + 'static, door: Arc<Door>) {
    let kept = Kept::default();
    let service = hyper::service::service_fn(move |request| {
        let (door, kept) = (Arc::clone(&door), Arc::clone(&kept));
        async move { Ok::<_, Infallible>(answer(&door, &kept, request).await) }
    });
    // How it ends the client sees for itself.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .serve_connection(TokioIo::new(client), service)
        .with_upgrades()
        .await;
}

async fn answer(door: &Door, kept: &Kept, request: Request<Incoming>) -> Response<Body> {
    if request.uri().path() == PROBE_PATH {
        return Response::new(Either::Right(Full::from(door.upstream.url().to_owned())));
    }
    match forward(door, kept, request).await {
        Ok(response) => response.map(Either::Left),
        Err(error) => {
            let message = format!("{} does not answer: {error}", door.upstream.url());
            refusal(StatusCode::BAD_GATEWAY, "unreachable", message)
        }
    }
}

fn refusal(status: StatusCode, id: &str, message: String) -> Response<Body> {
    let body = ErrorBody { id: id.to_owned(), message, resource: None, url: None };
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = Response::new(Either::Right(Full::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn forward(
    door: &Door,
    kept: &Kept,
    mut request: Request<Incoming>,
) -> io::Result<Response<Incoming>> {
    let upgrade = request.headers().contains_key(UPGRADE);
    let client = upgrade.then(|| hyper::upgrade::on(&mut request));
    prepare(door, &mut request, upgrade)?;
    let mut slot = kept.lock().await;
    let mut sender = match slot.take() {
        Some(sender) if !sender.is_closed() => sender,
        _ => connect(&door.upstream).await?,
    };
    sender.ready().await.map_err(io::Error::other)?;
    let mut response = sender.send_request(request).await.map_err(io::Error::other)?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        if let Some(client) = client {
            tokio::spawn(join_upgraded(client, hyper::upgrade::on(&mut response)));
        }
        return Ok(response);
    }
    *slot = Some(sender);
    remove_of_connection(response.headers_mut());
    response.headers_mut().remove(CONNECTION);
    Ok(response)
}

async fn connect(upstream: &Upstream) -> io::Result<SendRequest<Incoming>> {
    let stream = TokioIo::new(upstream.connect().await?);
    let (sender, connection) =
        hyper::client::conn::http1::handshake(stream).await.map_err(io::Error::other)?;
    tokio::spawn(connection.with_upgrades());
    Ok(sender)
}

/// Makes the client's request one to the server, which learns under which URL it was asked.
fn prepare(door: &Door, request: &mut Request<Incoming>, upgrade: bool) -> io::Result<()> {
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    *request.version_mut() = http::Version::HTTP_11;
    let headers = request.headers_mut();
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    let host = host.unwrap_or_else(|| format!("localhost:{}", door.port));
    let value = |text: &str| HeaderValue::from_str(text).map_err(io::Error::other);
    headers.insert(BASE_URL_HEADER, value(&format!("https://{host}"))?);
    headers.insert(HOST, value(door.upstream.authority())?);
    // The answer to it is hyper's, when the body is asked for.
    headers.remove(EXPECT);
    remove_of_connection(headers);
    if !upgrade {
        headers.remove(CONNECTION);
    }
    Ok(())
}

fn remove_of_connection(headers: &mut HeaderMap) {
    for name in OF_CONNECTION {
        headers.remove(HeaderName::from_static(name));
    }
    // Said again by hyper where it is so.
    headers.remove(TRANSFER_ENCODING);
}

async fn join_upgraded(client: OnUpgrade, server: OnUpgrade) {
    if let (Ok(client), Ok(server)) = (client.await, server.await) {
        let _ = copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(server)).await;
    }
}
