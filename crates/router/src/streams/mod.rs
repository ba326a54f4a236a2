//! What HTTP/2 and HTTP/3 have in common: requests on streams of one connection, which become
//! those that HTTP/1 would have brought, and their answers.

pub(crate) mod grpc;
pub(crate) mod head;
pub(crate) mod taken_back;
mod upgrade;

pub(crate) use upgrade::Upgrade;

use crate::proxy::BrokenOff;
use crate::proxy::body::AnswerBody;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, Version, header};
use hyper::body::{Body, Frame};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

/// How a stream ended, as far as the client's manners go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    Served,
    /// The client wanted no answer any more.
    TakenBack,
}

/// What decides how an answer is sent.
pub(crate) struct Asked {
    /// HEAD: no body goes out.
    head: bool,
    /// A call of gRPC.
    call: bool,
    /// What the answer says of HTTP/3.
    alt_svc: Option<HeaderValue>,
}

impl Asked {
    pub fn new(parts: &Parts, alt_svc: Option<&HeaderValue>) -> Self {
        Self {
            head: parts.method == Method::HEAD,
            call: grpc::is_call(&parts.headers),
            alt_svc: alt_svc.cloned(),
        }
    }

    /// Makes an answer fit for a stream. Returns its head, its body, and whether the head is all
    /// that goes out.
    pub fn prepare(
        self,
        answer: Response<AnswerBody>,
        version: Version,
    ) -> (Response<()>, AnswerBody, bool) {
        let (mut parts, body) = answer.into_parts();
        parts.version = version;
        head::to_stream(&mut parts.headers);
        if let Some(alt_svc) = self.alt_svc {
            parts.headers.insert(header::ALT_SVC, alt_svc);
        }
        let mut is_empty = self.head || body.is_end_stream();
        if let AnswerBody::Page(Some(page)) = &body {
            let length = HeaderValue::from(page.len());
            parts.headers.entry(header::CONTENT_LENGTH).or_insert(length);
            if self.call {
                grpc::to_status(&mut parts);
                is_empty = true;
            }
        }
        (Response::from_parts(parts, ()), body, is_empty)
    }
}

/// Whether the client waits to be told to send its body.
pub(crate) fn expects_continue(headers: &HeaderMap) -> bool {
    let expect = headers.get(header::EXPECT);
    expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// How long the client says that its body is.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// What comes next of an answer.
pub(crate) enum Next {
    Frame(Frame<Bytes>),
    End,
    BrokenOff,
    /// The client does not want it.
    Gone,
}

/// Waits for the next piece of an answer, as long as the client wants it, which `gone` says.
pub(crate) async fn next(
    body: &mut AnswerBody,
    mut gone: impl FnMut(&mut Context<'_>) -> Poll<()>,
) -> Next {
    poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
        Poll::Ready(Some(Ok(frame))) => Poll::Ready(Next::Frame(frame)),
        Poll::Ready(Some(Err(BrokenOff))) => Poll::Ready(Next::BrokenOff),
        Poll::Ready(None) => Poll::Ready(Next::End),
        Poll::Pending => gone(cx).map(|()| Next::Gone),
    })
    .await
}
