//! What the router itself answers.

use super::connection::{Connection, Next, Side};
use super::head::{self, Name};
use super::relay::with_date;
use super::request::RequestHead;
use crate::listen::ClientStream;
use crate::proxy::body::AnswerBody;
use crate::proxy::headers;
use crate::proxy::pages::Reader;
use crate::run::Phase;
use http::{HeaderMap, HeaderValue, Method, Response, header};
use std::future::poll_fn;
use std::task::Poll;

impl Side {
    /// Returns who reads the answer to a request.
    pub(super) fn reader(
        &self,
        request: &RequestHead,
        length: usize,
        request_id: Option<&HeaderValue>,
    ) -> Reader {
        let bytes = &self.input[..length];
        let mut map = HeaderMap::new();
        let accept = request.header(bytes, "accept").map(HeaderValue::from_bytes);
        if let Some(Ok(accept)) = accept {
            map.insert(header::ACCEPT, accept);
        }
        let given = || head::values(bytes, &request.lines, Name::RequestId).next();
        let request_id = request_id.cloned().unwrap_or_else(|| headers::request_id_like(given()));
        Reader::new(&map, request_id)
    }

    /// Returns who reads the answer to something that could not be read.
    pub(super) fn stranger(&self) -> Reader {
        Reader::new(&HeaderMap::new(), headers::request_id_like(None))
    }
}

impl<S: ClientStream> Connection<S> {
    /// Sends a page in answer to a request whose head is the first `length` bytes of the input.
    pub(super) async fn page(
        &mut self,
        page: Response<AnswerBody>,
        request: &RequestHead,
        length: usize,
    ) -> Next {
        let keeps =
            request.keep_alive && !request.has_body() && self.side.phase() == Phase::Serving;
        self.send(page, request.modern, request.method == Method::HEAD, keeps).await;
        if !keeps {
            return Next::Close;
        }
        self.side.consume(length);
        Next::Request
    }

    /// Sends a page after which nothing can be understood any more.
    pub(super) async fn last_page(&mut self, page: Response<AnswerBody>) -> Next {
        self.send(page, true, false, false).await;
        Next::Close
    }

    async fn send(&mut self, page: Response<AnswerBody>, modern: bool, is_head: bool, keeps: bool) {
        let (parts, body) = page.into_parts();
        let AnswerBody::Page(body) = body else { return };
        let body = body.unwrap_or_default();
        let mut out = Vec::with_capacity(256 + body.len());
        out.extend_from_slice(if modern { b"HTTP/1.1 " } else { b"HTTP/1.0 " });
        head::put_number(&mut out, u64::from(parts.status.as_u16()));
        out.push(b' ');
        out.extend_from_slice(parts.status.canonical_reason().unwrap_or_default().as_bytes());
        out.extend_from_slice(b"\r\n");
        for (name, value) in &parts.headers {
            head::put(&mut out, name.as_str(), value.as_bytes());
        }
        if let Some(alt_svc) = &self.side.client.alt_svc {
            head::put(&mut out, "alt-svc", alt_svc.as_bytes());
        }
        out.extend_from_slice(b"content-length: ");
        head::put_number(&mut out, body.len() as u64);
        out.extend_from_slice(b"\r\n");
        with_date(|date| head::put(&mut out, "date", date));
        match (keeps, modern) {
            (false, true) => out.extend_from_slice(b"connection: close\r\n"),
            (true, false) => out.extend_from_slice(b"connection: keep-alive\r\n"),
            _ => {}
        }
        out.extend_from_slice(b"\r\n");
        if !is_head {
            out.extend_from_slice(&body);
        }
        let Self { io, side } = self;
        // What cannot be written at once is before whatever comes next.
        poll_fn(|cx| Poll::Ready(side.sink.send(io, cx, [&out, b"", b"", b""]).is_ok())).await;
    }
}
