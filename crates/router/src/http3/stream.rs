//! One stream: a request and its answer.

use super::connection::Resolver;
use super::protocol::STAND_IN;
use super::quic::{self, Latest, Stopped};
use super::request_body::{RequestStream, Start};
use super::tunnel::{StreamUpgrade, Tunnel};
use crate::listen::Client;
use crate::proxy::body::AnswerBody;
use crate::proxy::client_body::ClientBody;
use crate::proxy::{self, BrokenOff};
use crate::run::Router;
use crate::streams::{self, Asked, Ending, Next, content_length, expects_continue, head};
use bytes::Bytes;
use h2::ext::Protocol;
use h3::error::{Code, StreamError};
use h3::server;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::body::Body;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;

pub(super) type Receive = server::RequestStream<quic::RecvStream, Bytes>;
pub(super) type Send = server::RequestStream<quic::SendStream, Bytes>;

/// Answers one request.
pub(super) async fn serve(
    request: Resolver,
    latest: Latest,
    client: Arc<Client>,
    router: Arc<Router>,
) -> Ending {
    let limits = &router.limits;
    // Ends once the client wants no answer any more or has it whole.
    let Latest { mut stopped, websocket, .. } = latest;
    let resolved = tokio::time::timeout(limits.client_idle, request.resolve_request()).await;
    let Ok(Ok((request, stream))) = resolved else { return Ending::TakenBack };
    let (mut send, receive) = stream.split();
    let (mut parts, ()) = request.into_parts();
    let asked = Asked::new(&parts, client.alt_svc.as_ref());
    let Ok(wants_tunnel) = read_head(&mut parts, websocket.load(Ordering::Acquire)) else {
        send.stop_stream(Code::H3_MESSAGE_ERROR);
        return Ending::Served;
    };
    let (mut tunnel, mut expected) = (None, None);
    let body = if wants_tunnel {
        let (give, take) = oneshot::channel();
        parts.extensions.insert(StreamUpgrade::new(take));
        tunnel = Some(Tunnel { give, receive });
        ClientBody::Empty
    } else {
        let expecting = expects_continue(&parts.headers).then(oneshot::channel);
        let (give, take) = expecting.unzip();
        expected = take;
        let length = content_length(&parts.headers);
        match RequestStream::begin(receive, &parts.method, length, give).await {
            Start::Body(body) => ClientBody::Http3(body),
            Start::Empty => ClientBody::Empty,
            Start::Broken => {
                send.stop_stream(Code::H3_MESSAGE_ERROR);
                return Ending::TakenBack;
            }
        }
    };
    let idle = limits.idle;
    let handling = proxy::handle(router, client, Request::from_parts(parts, body));
    match unless_stopped(handling, &mut stopped, &mut send, expected).await {
        None => {
            send.stop_stream(Code::H3_REQUEST_CANCELLED);
            Ending::TakenBack
        }
        Some(Err(BrokenOff)) => {
            send.stop_stream(Code::H3_REQUEST_CANCELLED);
            Ending::Served
        }
        Some(Ok(answer)) => match tunnel {
            Some(tunnel) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                tunnel.open(answer, &mut send, stopped, idle).await
            }
            _ => answer_with(answer, asked, &mut send, stopped, idle).await,
        },
    }
}

/// Makes the head of a request what HTTP/1 would have brought; returns whether the client wants a
/// WebSocket.
fn read_head(parts: &mut Parts, websocket: bool) -> Result<bool, head::Malformed> {
    if websocket {
        if parts.method != Method::CONNECT {
            return Err(head::Malformed);
        }
        parts.headers.remove(STAND_IN);
        parts.extensions.insert(Protocol::from_static("websocket"));
    }
    head::check(&parts.headers)?;
    head::to_http1(parts)
}

/// Waits for the answer; `None` when the client takes its request back. Tells a client that waits
/// for it to send its body once somebody reads that.
async fn unless_stopped<T>(
    handling: impl Future<Output = T>,
    stopped: &mut Stopped,
    send: &mut Send,
    expected: Option<oneshot::Receiver<()>>,
) -> Option<T> {
    let go_on = async {
        if let Some(expected) = expected
            && expected.await.is_ok()
        {
            let mut go_on = Response::new(());
            *go_on.status_mut() = StatusCode::CONTINUE;
            // Whoever does not hear it sends in the end anyway, or goes away.
            let _ = send.send_response(go_on).await;
        }
    };
    let mut handling = pin!(handling);
    let mut go_on = pin!(go_on);
    let mut told = false;
    loop {
        tokio::select! {
            biased;
            answer = &mut handling => {
                // What has begun to be sent is sent before the answer.
                if !told {
                    let _ = tokio::time::timeout(Duration::ZERO, go_on).await;
                }
                return Some(answer);
            }
            () = &mut *stopped => return None,
            () = &mut go_on, if !told => told = true,
        }
    }
}

/// Why an answer did not get to its end.
enum Cut {
    /// The client takes nothing for too long.
    Idle,
    Gone,
}

/// Sends the answer: its head, and what follows as fast as the client takes it.
async fn answer_with(
    answer: Response<AnswerBody>,
    asked: Asked,
    send: &mut Send,
    mut stopped: Stopped,
    idle: Duration,
) -> Ending {
    let (head, mut body, is_empty) = asked.prepare(answer, Version::HTTP_3);
    let idle = body.idle_limit().unwrap_or(idle);
    let mut ending = match taken(idle, send.send_response(head)).await {
        Ok(()) if is_empty => Ok(true),
        Ok(()) => send_body(&mut body, send, &mut stopped, idle).await,
        Err(cut) => Err(cut),
    };
    if matches!(ending, Err(Cut::Idle)) {
        body.client_is_idle();
    }
    // Whoever has the answer finds it in the log, and not in flight.
    drop(body);
    if matches!(ending, Ok(true)) {
        ending = taken(idle, send.finish()).await.map(|()| true);
    }
    match ending {
        Ok(true) => {
            // The connection may close only once the client has it all.
            let _ = tokio::time::timeout(idle, stopped).await;
            Ending::Served
        }
        Ok(false) => {
            send.stop_stream(Code::H3_INTERNAL_ERROR);
            Ending::Served
        }
        Err(Cut::Idle) => {
            send.stop_stream(Code::H3_REQUEST_CANCELLED);
            Ending::Served
        }
        Err(Cut::Gone) => {
            send.stop_stream(Code::H3_REQUEST_CANCELLED);
            Ending::TakenBack
        }
    }
}

/// Sends what the target answers, and its trailers; returns whether that was all of it.
async fn send_body(
    body: &mut AnswerBody,
    send: &mut Send,
    stopped: &mut Stopped,
    idle: Duration,
) -> Result<bool, Cut> {
    loop {
        let frame = match streams::next(body, |cx| stopped.as_mut().poll(cx)).await {
            Next::Frame(frame) => frame,
            Next::End => return Ok(true),
            Next::BrokenOff => return Ok(false),
            Next::Gone => return Err(Cut::Gone),
        };
        let frame = match frame.into_data() {
            // Some take an empty piece for the end.
            Ok(data) if data.is_empty() => continue,
            Ok(data) => {
                taken(idle, send.send_data(data)).await?;
                if body.is_end_stream() {
                    return Ok(true);
                }
                continue;
            }
            Err(frame) => frame,
        };
        if let Ok(trailers) = frame.into_trailers() {
            send_trailers(send, trailers, idle).await?;
            return Ok(true);
        }
    }
}

async fn send_trailers(
    send: &mut Send,
    mut trailers: HeaderMap,
    idle: Duration,
) -> Result<(), Cut> {
    head::to_stream(&mut trailers);
    if trailers.is_empty() {
        return Ok(());
    }
    taken(idle, send.send_trailers(trailers)).await
}

/// Waits until the client has room for what is sent, at most for `idle`.
async fn taken(
    idle: Duration,
    sending: impl Future<Output = Result<(), StreamError>>,
) -> Result<(), Cut> {
    match tokio::time::timeout(idle, sending).await {
        Ok(sent) => sent.map_err(|_| Cut::Gone),
        Err(_) => Err(Cut::Idle),
    }
}
