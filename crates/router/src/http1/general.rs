//! Connections whose requests need what only the general path can do: compression, apps that speak
//! HTTP/2. It begins at a request, and serves the connection to its end.

use super::strict::{Answers, Strict};
use crate::listen::{Client, ClientIo, ClientStream};
use crate::proxy;
use crate::run::{Phase, Router};
use http::header::{ALT_SVC, CONNECTION};
use http::{HeaderValue, StatusCode};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::pin::pin;
use std::sync::Arc;

/// Serves one connection to its end. `begun` are the bytes of the client that were read already.
pub(super) async fn serve<S: ClientStream>(
    stream: S,
    begun: Vec<u8>,
    client: Arc<Client>,
    router: Arc<Router>,
) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(router.limits.client_idle)
        .max_header_size(router.limits.request_head)
        .max_buf_size(router.limits.request_head.max(begun.len()));
    let (answers, stalled) = (Arc::<Answers>::default(), Arc::clone(&client.stalled));
    let longest = router.limits.request_head;
    let stream = Strict::new(stream, begun, longest, Arc::clone(&answers));
    let io = ClientIo::new(stream, Arc::default(), router.limits.idle, stalled);
    let mut phase = router.phase.subscribe();
    let service = service_fn(move |request| {
        let (router, client, answers) =
            (Arc::clone(&router), Arc::clone(&client), Arc::clone(&answers));
        async move {
            let alt_svc = client.alt_svc.clone();
            let mut answer = proxy::handle(Arc::clone(&router), client, request).await?;
            let switched = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
            answers.note(switched);
            if let Some(alt_svc) = alt_svc {
                answer.headers_mut().insert(ALT_SVC, alt_svc);
            }
            // The client's next connection is the next router's. One without a request stays: it
            // could be sending one just now.
            if *router.phase.borrow() == Phase::HandedOver && !switched {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, proxy::BrokenOff>(answer)
        }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service).with_upgrades());
    loop {
        let changed = tokio::select! {
            biased;
            // Errors are the client's doing, and known to the exchange that they end.
            _ = connection.as_mut() => return,
            changed = phase.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
        match *phase.borrow_and_update() {
            Phase::Serving | Phase::HandedOver => {}
            Phase::Draining => connection.as_mut().graceful_shutdown(),
            Phase::Closing => return,
        }
    }
}
