//! Answers that go on: logs and the output of builds.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

/// How often a silent event stream shows that it lives: below the idle limits of common proxies.
const COMMENT_EVERY: Duration = Duration::from_secs(25);

pub(crate) fn wants_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .any(|kind| kind.trim().starts_with("text/event-stream"))
}

/// Answers with what `receiver` gives, each piece as soon as it is there. When the client goes away
/// the receiver is dropped.
pub(crate) fn text_stream(receiver: Receiver<Bytes>) -> Response {
    let pieces = stream::unfold(receiver, |mut receiver| async {
        let piece = receiver.recv().await?;
        Some((Ok::<_, Infallible>(piece), receiver))
    });
    streaming(Body::from_stream(pieces), "text/plain; charset=utf-8")
}

/// Answers with whole lines from `receiver` as server-sent events, and with comments in between.
pub(crate) fn event_stream(receiver: Receiver<Bytes>) -> Response {
    streaming(Body::from_stream(events(receiver)), "text/event-stream")
}

fn streaming(body: Body, content_type: &'static str) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx, which people put in front of anything, would hold lines back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn events(receiver: Receiver<Bytes>) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold((receiver, 0u64), |(mut receiver, mut number)| async move {
        match tokio::time::timeout(COMMENT_EVERY, receiver.recv()).await {
            Ok(Some(lines)) => {
                let mut out = Vec::with_capacity(lines.len() + 64);
                for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    number += 1;
                    out.extend_from_slice(format!("id: {number}\ndata: ").as_bytes());
                    // A bare carriage return would end the event's line.
                    out.extend(line.iter().copied().filter(|byte| *byte != b'\r'));
                    out.extend_from_slice(b"\n\n");
                }
                Some((Ok(Bytes::from(out)), (receiver, number)))
            }
            Ok(None) => None,
            Err(_) => Some((Ok(Bytes::from_static(b": \n\n")), (receiver, number))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;

    #[tokio::test]
    async fn lines_become_numbered_events() {
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        sender.send(Bytes::from_static(b"one\ntwo\r\n")).await.unwrap();
        sender.send(Bytes::from_static(b"three\n")).await.unwrap();
        drop(sender);
        let pieces: Vec<_> = events(receiver).map(Result::unwrap).collect().await;
        let text = String::from_utf8(pieces.concat()).unwrap();
        assert_eq!(text, "id: 1\ndata: one\n\nid: 2\ndata: two\n\nid: 3\ndata: three\n\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_event_stream_shows_that_it_lives() {
        let (_sender, receiver) = tokio::sync::mpsc::channel(1);
        let first = Box::pin(events(receiver)).next().await.unwrap().unwrap();
        assert_eq!(&first[..], b": \n\n");
    }

    #[test]
    fn events_only_for_those_who_ask() {
        let with =
            |text| wants_events(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(text))]));
        assert!(with("text/event-stream"));
        assert!(with("text/plain, text/event-stream;q=0.9"));
        assert!(!with("*/*"));
        assert!(!wants_events(&HeaderMap::new()));
    }
}
