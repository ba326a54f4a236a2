//! The HTTP server: one port for the API, streams, attached processes and git.

use crate::convention::audit::Peer;
use crate::convention::auth::{Doorkeeper, admit};
use crate::convention::base_url::OverTls;
use crate::convention::conditional::Conditions;
use crate::convention::endpoints::{Endpoint, NeedsTable};
use crate::convention::error::no_such_endpoint;
use crate::convention::{Endpoints, Needs, accept, conditional, request_id};
use crate::state::ApiState;
use crate::tls::{self, Tls};
use crate::{distribution, git, heroku, keepalive, rendezvous, schema, unread};
use axum::body::Body;
use axum::{Router, middleware};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::io::{self, Cursor};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;
use tower_service::Service;
use windlass_control::Platform;
use windlass_wire::rendezvous::{Opening, opening};

/// How long a client may take to send its request's head.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// How long requests and streams may go on once the server is to stop.
pub(crate) const CLOSING_LIMIT: Duration = Duration::from_secs(5);

/// Returns all routes of the HTTP door.
pub fn router(platform: Platform) -> Router {
    routes(ApiState::new(platform))
}

/// Returns every endpoint with what it needs, in no particular order.
#[must_use]
pub fn endpoints() -> Vec<Endpoint> {
    all().into_parts().1
}

fn all() -> Endpoints {
    let served = Endpoints::new()
        .get("/", Needs::Nobody, async || "Windlass API\n")
        .get("/health", Needs::Nobody, async || "ok\n")
        .merge(schema::endpoints())
        .merge(heroku::endpoints())
        .merge(distribution::endpoints())
        .merge(git::http::endpoints());
    heroku::refusals::add_to(served)
}

fn routes(state: ApiState) -> Router {
    let (router, list) = all().into_parts();
    let keeper = Doorkeeper { state: state.clone(), needs: Arc::new(NeedsTable::new(list)) };
    let router = router
        .route_layer(middleware::from_fn_with_state(keeper, admit))
        .fallback(no_such_endpoint)
        .method_not_allowed_fallback(no_such_endpoint)
        .with_state(state);
    let conditions = Conditions::new(router.clone());
    router
        .layer(middleware::from_fn_with_state(conditions, conditional::check))
        .layer(middleware::from_fn(accept::check))
        .layer(middleware::from_fn(request_id::identify))
}

/// Serves the HTTP door until `shutdown`; then answers what is under way, and cuts what has not
/// ended after five seconds.
///
/// # Errors
/// None while serving: failures to accept a connection are logged and tried again.
pub async fn serve_http(
    listener: TcpListener,
    platform: Platform,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    serve_api(listener, None, platform, shutdown).await
}

/// The same with a second door that takes TLS only. The first takes both, as soon as there is a
/// certificate.
///
/// # Errors
/// TLS cannot be set up.
pub async fn serve_api(
    listener: TcpListener,
    https: Option<TcpListener>,
    platform: Platform,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let state = ApiState::new(platform.clone());
    let served =
        Served { router: routes(state.clone()), state, tls: Tls::new(platform)?, peer: None };
    let (closing, _) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let (accepted, takes_plain) = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => (accepted, true),
            Some(accepted) = accept_on(https.as_ref()) => (accepted, false),
        };
        match accepted {
            Ok((connection, _)) => {
                let serving =
                    serve_connection(connection, takes_plain, served.clone(), closing.subscribe());
                connections.spawn(serving);
            }
            Err(error) => after_failed_accept(&error).await,
        }
    }
    drop((listener, https));
    closing.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(CLOSING_LIMIT, ended).await;
    served.state.close();
    connections.shutdown().await;
    Ok(())
}

async fn accept_on(listener: Option<&TcpListener>) -> Option<io::Result<(TcpStream, SocketAddr)>> {
    Some(listener?.accept().await)
}

/// What connections are served with. Cheap to clone.
#[derive(Clone)]
struct Served {
    router: Router,
    state: ApiState,
    tls: Tls,
    /// Of one connection.
    peer: Option<Peer>,
}

/// Returns once the value is true, or its sender is gone.
pub(crate) async fn turns_true(value: &mut watch::Receiver<bool>) {
    let _ = value.wait_for(|value| *value).await;
}

/// Out of file descriptors, for example: others must close first.
pub(crate) async fn after_failed_accept(error: &io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(Duration::from_millis(200)).await;
}

async fn serve_connection(
    connection: TcpStream,
    takes_plain: bool,
    mut served: Served,
    mut closing: watch::Receiver<bool>,
) {
    keepalive::prepare(&connection);
    served.peer = connection.peer_addr().ok().map(|address| Peer(address.ip()));
    let opened = tokio::select! {
        opened = tokio::time::timeout(HEAD_LIMIT, open(connection, takes_plain, &served.tls)) => opened,
        () = turns_true(&mut closing) => return,
    };
    let stopped = match opened {
        Ok(Ok(Some(Opened::Plain(stream)))) => serve_stream(stream, false, served, closing).await,
        Ok(Ok(Some(Opened::Tls(stream)))) => serve_stream(*stream, true, served, closing).await,
        Ok(Ok(None)) | Err(_) => return,
        Ok(Err(error)) => Err(error),
    };
    if let Err(error) = stopped {
        tracing::debug!(%error, "a connection ended early");
    }
}

enum Opened {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Shakes hands with a client that wants to. `None`: it wanted to speak in plain where it may not,
/// and was told so.
async fn open(stream: TcpStream, takes_plain: bool, tls: &Tls) -> io::Result<Option<Opened>> {
    if tls::is_handshake(&stream).await? {
        return Ok(Some(Opened::Tls(Box::new(tls.accept(stream).await?))));
    }
    if takes_plain {
        return Ok(Some(Opened::Plain(stream)));
    }
    tls::answer_plainly(stream).await?;
    Ok(None)
}

/// Serves requests, or a rendezvous, as the first bytes say.
async fn serve_stream(
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    over_tls: bool,
    served: Served,
    mut closing: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut first = Vec::with_capacity(1_024);
    let found = tokio::select! {
        found = tokio::time::timeout(HEAD_LIMIT, read_opening(&mut stream, &mut first)) => found,
        () = turns_true(&mut closing) => return Ok(()),
    };
    match found {
        Ok(Ok(Opening::Rendezvous(secret))) => {
            let rest = first.get(secret.len()..).unwrap_or_default();
            rendezvous::serve(stream, &secret, rest, &served.state).await;
            Ok(())
        }
        Ok(Ok(Opening::Http)) => {
            let (reader, writer) = tokio::io::split(stream);
            let stream = tokio::io::join(Cursor::new(first).chain(reader), writer);
            serve_requests(stream, over_tls, served.peer, served.router, closing).await
        }
        // It went away, or said nothing for too long.
        Ok(Ok(Opening::More)) | Err(_) => Ok(()),
        Ok(Err(error)) => Err(error),
    }
}

/// Reads until it is clear what a connection is; `More` if it ends before.
async fn read_opening(
    stream: &mut (impl AsyncRead + Unpin),
    first: &mut Vec<u8>,
) -> io::Result<Opening> {
    loop {
        let count = stream.read_buf(first).await?;
        match opening(first) {
            Opening::More if count > 0 => {}
            found => return Ok(found),
        }
    }
}

async fn serve_requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    over_tls: bool,
    peer: Option<Peer>,
    router: Router,
    mut closing: watch::Receiver<bool>,
) -> io::Result<()> {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut router = router.clone();
        let (head, body) = request.into_parts();
        let (body, rest) = unread::keep(body);
        let mut request = Request::from_parts(head, Body::new(body));
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        if over_tls {
            request.extensions_mut().insert(OverTls);
        }
        async move {
            let response = router.call(request).await;
            rest.read().await;
            response
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = turns_true(&mut closing) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    ended.map_err(io::Error::other)
}
