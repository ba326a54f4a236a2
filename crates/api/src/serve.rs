//! The HTTP server: one port for the API, streams, attached processes and git.

use crate::convention::auth::{Doorkeeper, admit};
use crate::convention::endpoints::{Endpoint, NeedsTable};
use crate::convention::error::no_such_endpoint;
use crate::convention::{Endpoints, Needs, request_id};
use crate::state::ApiState;
use crate::{git, heroku, keepalive};
use axum::body::Body;
use axum::{Router, middleware};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower_service::Service;
use windlass_control::Platform;

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
    Endpoints::new()
        .get("/", Needs::Nobody, async || "Windlass API\n")
        .get("/health", Needs::Nobody, async || "ok\n")
        .merge(heroku::endpoints())
        .merge(git::http::endpoints())
}

fn routes(state: ApiState) -> Router {
    let (router, list) = all().into_parts();
    let keeper = Doorkeeper { state: state.clone(), needs: Arc::new(NeedsTable::new(list)) };
    router
        .route_layer(middleware::from_fn_with_state(keeper, admit))
        .fallback(no_such_endpoint)
        .method_not_allowed_fallback(no_such_endpoint)
        .layer(middleware::from_fn(request_id::identify))
        .with_state(state)
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
    let state = ApiState::new(platform);
    let router = routes(state.clone());
    let (closing, _) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((connection, _)) => {
                    connections.spawn(serve_connection(connection, router.clone(), closing.subscribe()));
                }
                Err(error) => after_failed_accept(&error).await,
            },
        }
    }
    drop(listener);
    closing.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(CLOSING_LIMIT, ended).await;
    state.close();
    connections.shutdown().await;
    Ok(())
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
    router: Router,
    mut closing: watch::Receiver<bool>,
) {
    keepalive::prepare(&connection);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut router = router.clone();
        async move { router.call(request.map(Body::new)).await }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .serve_connection(TokioIo::new(connection), service)
        .with_upgrades();
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = turns_true(&mut closing) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
