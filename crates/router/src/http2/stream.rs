//! One stream: a request and its answer.

use super::answer;
use super::request_body::RequestStream;
use super::tunnel::{StreamIo, StreamUpgrade, begin};
use crate::listen::Client;
use crate::proxy::body::AnswerBody;
use crate::proxy::client_body::ClientBody;
use crate::proxy::{self, BrokenOff};
use crate::run::Router;
use crate::streams::{Asked, Ending, content_length, expects_continue, head};
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Request, Response, StatusCode, Version};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::oneshot;

/// Answers one request.
pub(super) async fn serve(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    client: Arc<Client>,
    router: Arc<Router>,
) -> Ending {
    let (mut parts, stream) = request.into_parts();
    let asked = Asked::new(&parts, client.alt_svc.as_ref());
    let Ok(wants_tunnel) = head::to_http1(&mut parts) else {
        respond.send_reset(Reason::PROTOCOL_ERROR);
        return Ending::Served;
    };
    let (mut tunnel, mut expected) = (None, None);
    let body = if wants_tunnel {
        let (give, take) = oneshot::channel();
        parts.extensions.insert(StreamUpgrade::new(take));
        tunnel = Some((give, stream));
        ClientBody::Empty
    } else if stream.is_end_stream() {
        ClientBody::Empty
    } else {
        let expecting = expects_continue(&parts.headers).then(oneshot::channel);
        let (give, take) = expecting.unzip();
        expected = take;
        ClientBody::Http2(RequestStream::new(stream, content_length(&parts.headers), give))
    };
    let handling = proxy::handle(router, client, Request::from_parts(parts, body));
    let answer = match unless_reset(handling, &mut respond, expected).await {
        None => return Ending::TakenBack,
        Some(Err(BrokenOff)) => {
            respond.send_reset(Reason::CANCEL);
            return Ending::Served;
        }
        Some(Ok(answer)) => answer,
    };
    if let (StatusCode::SWITCHING_PROTOCOLS, Some((give, stream))) = (answer.status(), tunnel) {
        return open_tunnel(answer, &mut respond, give, stream);
    }
    send(answer, asked, &mut respond).await
}

/// Waits for the answer; `None` when the client takes its request back. Tells a client that waits
/// for it to send its body once somebody reads that.
async fn unless_reset<T>(
    handling: impl Future<Output = T>,
    respond: &mut SendResponse<Bytes>,
    mut expected: Option<oneshot::Receiver<()>>,
) -> Option<T> {
    let mut handling = pin!(handling);
    poll_fn(|cx| {
        if let Poll::Ready(answer) = handling.as_mut().poll(cx) {
            return Poll::Ready(Some(answer));
        }
        if let Some(reading) = &mut expected
            && let Poll::Ready(reads) = Pin::new(reading).poll(cx)
        {
            expected = None;
            if reads.is_ok() {
                let mut go_on = Response::new(());
                *go_on.status_mut() = StatusCode::CONTINUE;
                // Whoever does not hear it sends in the end anyway, or goes away.
                let _ = respond.send_informational(go_on);
            }
        }
        respond.poll_reset(cx).map(|_| None)
    })
    .await
}

/// Says that the WebSocket has begun; from here on the tunnel has the stream.
fn open_tunnel(
    answer: Response<AnswerBody>,
    respond: &mut SendResponse<Bytes>,
    give: oneshot::Sender<StreamIo>,
    receive: RecvStream,
) -> Ending {
    let (mut parts, _) = answer.into_parts();
    parts.status = StatusCode::OK;
    parts.version = Version::HTTP_2;
    head::to_tunnel(&mut parts.headers);
    match respond.send_response(Response::from_parts(parts, ()), false) {
        Ok(send) => {
            begin(give, StreamIo::new(send, receive));
            Ending::Served
        }
        Err(_) => Ending::TakenBack,
    }
}

/// Sends the answer: its head, and what follows as fast as the client takes it.
async fn send(
    answer: Response<AnswerBody>,
    asked: Asked,
    respond: &mut SendResponse<Bytes>,
) -> Ending {
    let (head, body, is_empty) = asked.prepare(answer, Version::HTTP_2);
    let Ok(mut stream) = respond.send_response(head, is_empty) else {
        respond.send_reset(Reason::INTERNAL_ERROR);
        return Ending::TakenBack;
    };
    if is_empty { Ending::Served } else { answer::send(body, &mut stream).await }
}
