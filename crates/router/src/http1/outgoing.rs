//! Requests without a body that came another way than by [`serve`](super::serve), over HTTP/2 for
//! one: sent to a target, and its answer read, in the task that waits for it.

use super::body::Flow;
use super::head::Ending;
use super::io::{Sink, poll_read_with};
use super::response::{self, Asked, LONGEST_HEAD, MOST_INTERIM, ResponseHead};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use hyper::body::{Body, Frame, SizeHint};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;

/// There is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Not a byte of the request has left.
    Unsent,
    /// The target closed the connection without a word.
    Lost,
    /// It closed it in the middle of a head.
    Cut,
    /// What it said is no answer.
    Poor,
}

/// Returns the head of a request without a body, as a target gets it.
pub(crate) fn write_head<B>(request: &Request<B>) -> Vec<u8> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let headers = request.headers();
    let mut out = Vec::with_capacity(512);
    for part in [request.method().as_str(), " ", path, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    for (name, value) in headers {
        super::head::put(&mut out, name.as_str(), value.as_bytes());
    }
    let has_meaning = [Method::POST, Method::PUT, Method::PATCH].contains(request.method());
    if has_meaning && !headers.contains_key(http::header::CONTENT_LENGTH) {
        out.extend_from_slice(b"content-length: 0\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Sends the head of a request and waits for that of the answer.
pub(crate) async fn ask(
    mut stream: TcpStream,
    head: &[u8],
    method: &Method,
) -> Result<Response<AnswerStream>, NoAnswer> {
    let mut sink = Sink::default();
    let mut reader = Reader::new(method == Method::HEAD);
    let mut sent = false;
    let answer = poll_fn(|cx| {
        if !sent {
            sent = true;
            let failed = sink.send(&mut stream, cx, [head, b"", b"", b""]).is_err();
            if failed && sink.written == 0 {
                return Poll::Ready(Err(NoAnswer::Unsent));
            }
        }
        if sink.is_waiting() {
            // Where that fails, the target may have said why.
            let _ = sink.poll_drain(&mut stream, cx);
        }
        loop {
            let read = ready!(poll_read_with(&mut stream, cx, |bytes, _, _| reader.take(bytes)));
            match read {
                Ok(Ok(None)) => {}
                Ok(Ok(Some(answer))) => return Poll::Ready(Ok(answer)),
                Ok(Err(none)) => return Poll::Ready(Err(none)),
                Err(_) => return Poll::Ready(Err(reader.lost())),
            }
        }
    });
    let (response, beginning) = answer.await?;
    let Beginning { flow, first, reusable } = beginning;
    let reusable = reusable && !sink.is_waiting();
    Ok(response.map(|()| AnswerStream { stream: Some(stream), flow, first, reusable }))
}

/// How an answer's body begins.
struct Beginning {
    flow: Flow,
    /// What came with the head.
    first: Bytes,
    reusable: bool,
}

/// Reads the head of an answer.
struct Reader {
    asked: Asked,
    begun: Vec<u8>,
    ending: Ending,
    interim: u32,
}

impl Reader {
    fn new(head: bool) -> Self {
        let asked = Asked { head, modern: true };
        Self { asked, begun: Vec::new(), ending: Ending::default(), interim: 0 }
    }

    fn lost(&self) -> NoAnswer {
        if self.begun.is_empty() && self.interim == 0 { NoAnswer::Lost } else { NoAnswer::Cut }
    }

    /// Takes what has come; none when the target has closed.
    fn take(&mut self, bytes: &mut [u8]) -> Result<Option<(Response<()>, Beginning)>, NoAnswer> {
        if bytes.is_empty() {
            return Err(self.lost());
        }
        if self.begun.is_empty() {
            return self.read(bytes);
        }
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        self.read(&mut all)
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<Option<(Response<()>, Beginning)>, NoAnswer> {
        let mut at = 0;
        loop {
            let length = match self.ending.find(&bytes[at..]) {
                Ok(Some(length)) if length <= LONGEST_HEAD => length,
                Ok(None) if bytes.len() - at <= LONGEST_HEAD => {
                    self.begun.extend_from_slice(&bytes[at..]);
                    return Ok(None);
                }
                _ => return Err(NoAnswer::Poor),
            };
            self.ending = Ending::default();
            let head = &bytes[at..at + length];
            at += length;
            let answer = response::read(head, self.asked).map_err(|_| NoAnswer::Poor)?;
            match answer.status {
                // Nobody has asked for another protocol.
                101 => return Err(NoAnswer::Poor),
                100..200 => {
                    self.interim += 1;
                    if self.interim > MOST_INTERIM {
                        return Err(NoAnswer::Poor);
                    }
                }
                _ => {
                    let response = answer.to_http(head).map_err(|_| NoAnswer::Poor)?;
                    let beginning = begin(&answer, &mut bytes[at..])?;
                    return Ok(Some((response, beginning)));
                }
            }
        }
    }
}

fn begin(answer: &ResponseHead, rest: &mut [u8]) -> Result<Beginning, NoAnswer> {
    let mut flow = Flow::new(answer.framing, false);
    let admitted = flow.admit(rest).map_err(|_| NoAnswer::Poor)?;
    // What follows the answer belongs to nobody.
    let reusable = answer.keep_alive && admitted.taken == rest.len();
    let first = Bytes::copy_from_slice(&rest[..admitted.send]);
    Ok(Beginning { flow, first, reusable })
}

/// The body of a target's answer.
pub(crate) struct AnswerStream {
    stream: Option<TcpStream>,
    flow: Flow,
    first: Bytes,
    reusable: bool,
}

/// The target did not send all of its answer, or not in a form that can be read.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl AnswerStream {
    /// Returns the connection once the answer is over, if the target takes another request on it.
    pub fn take_reusable(&mut self) -> Option<TcpStream> {
        if self.reusable && self.flow.is_done() { self.stream.take() } else { None }
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<Bytes, Interrupted> {
        if bytes.is_empty() {
            self.reusable = false;
            return match self.flow.close() {
                Ok(_) => Ok(Bytes::new()),
                Err(_) => Err(Interrupted),
            };
        }
        let admitted = self.flow.admit(bytes).map_err(|_| Interrupted)?;
        self.reusable &= admitted.taken == bytes.len();
        Ok(Bytes::copy_from_slice(&bytes[..admitted.send]))
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        let trailers = self.flow.take_trailers()?;
        Some(trailers).filter(|trailers| !trailers.is_empty())
    }
}

impl Body for AnswerStream {
    type Data = Bytes;
    type Error = Interrupted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        let this = &mut *self;
        loop {
            if !this.first.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.first)))));
            }
            if this.flow.is_done() {
                return Poll::Ready(this.trailers().map(|trailers| Ok(Frame::trailers(trailers))));
            }
            let Some(mut stream) = this.stream.take() else {
                return Poll::Ready(Some(Err(Interrupted)));
            };
            let read = poll_read_with(&mut stream, cx, |bytes, _, _| this.read(bytes));
            this.stream = Some(stream);
            match ready!(read) {
                Ok(Ok(data)) => this.first = data,
                Ok(Err(Interrupted)) | Err(_) => {
                    this.stream = None;
                    return Poll::Ready(Some(Err(Interrupted)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.flow.is_done() && !self.flow.has_trailers()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_end_stream() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Asks a target that answers with these pieces and then closes.
    async fn answered(method: &str, pieces: &'static [&str]) -> Result<(String, bool), NoAnswer> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let target = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut seen = [0; 1024];
            let length = stream.read(&mut seen).await.unwrap();
            for piece in pieces {
                stream.write_all(piece.as_bytes()).await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            String::from_utf8(seen[..length].to_vec()).unwrap()
        });
        let request = Request::builder().method(method).uri("/x?y").header("host", "a.b");
        let request = request.body(()).unwrap();
        let asked = ask(stream, &write_head(&request), request.method()).await;
        let mut answer = asked?;
        let mut text = format!("{}", answer.status().as_u16());
        for (name, value) in answer.headers() {
            text.push_str(&format!(" {name}={}", value.to_str().unwrap()));
        }
        let body = answer.body_mut();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
            match frame.map_err(|Interrupted| NoAnswer::Cut)?.into_data() {
                Ok(data) => text.push_str(&format!(" <{}>", std::str::from_utf8(&data).unwrap())),
                Err(frame) => text.push_str(&format!(" {:?}", frame.into_trailers().unwrap())),
            }
        }
        let reusable = body.take_reusable().is_some();
        let seen = target.await.unwrap();
        assert!(seen.starts_with(&format!("{method} /x?y HTTP/1.1\r\nhost: a.b\r\n")), "{seen}");
        assert_eq!(seen.contains("content-length: 0\r\n"), method == "POST");
        Ok((text, reusable))
    }

    #[tokio::test]
    async fn answers_of_every_form_are_read() {
        for (method, pieces, text, reusable) in [
            (
                "GET",
                &["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"][..],
                "200 content-length=2 <ok>",
                true,
            ),
            (
                "POST",
                &["HTTP/1.1 200 OK\r\nx: y\r\ncontent-le", "ngth: 2\r\n\r", "\no", "k"],
                "200 x=y content-length=2 <o> <k>",
                true,
            ),
            (
                "HEAD",
                &["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"],
                "200 content-length=2",
                true,
            ),
            ("GET", &["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 None\r\n\r\n"], "204", true),
            (
                "GET",
                &["HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"],
                "200 content-length=0",
                false,
            ),
            ("GET", &["HTTP/1.1 200 OK\r\n\r\nto the ", "end"], "200 <to the > <end>", false),
            (
                "GET",
                &[
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
                    "0\r\nx-end: 1\r\n\r\n",
                ],
                "200 <abc> {\"x-end\": \"1\"}",
                true,
            ),
            (
                "GET",
                &["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more"],
                "200 content-length=2 <ok>",
                false,
            ),
        ] {
            assert_eq!(
                answered(method, pieces).await,
                Ok((text.to_owned(), reusable)),
                "{pieces:?}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_is_told() {
        for (pieces, none) in [
            (&[][..], NoAnswer::Lost),
            (&["HTTP/1.1 200 O"], NoAnswer::Cut),
            (&["HTTP/1.1 100 Continue\r\n\r\n"], NoAnswer::Cut),
            (&["HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n"], NoAnswer::Poor),
            (&["Hello\r\n\r\n"], NoAnswer::Poor),
            (&["HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok"], NoAnswer::Cut),
            (&["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n"], NoAnswer::Poor),
        ] {
            assert_eq!(answered("GET", pieces).await, Err(none), "{pieces:?}");
        }
    }
}
