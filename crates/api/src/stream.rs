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
/// What is not newer than the event `seen` is left out.
pub(crate) fn event_stream(receiver: Receiver<Bytes>, seen: Option<String>) -> Response {
    streaming(Body::from_stream(events(receiver, seen)), "text/event-stream")
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

fn events(
    receiver: Receiver<Bytes>,
    seen: Option<String>,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let seen = seen.filter(|seen| time_of(seen.as_bytes()).is_some());
    stream::unfold((receiver, seen, 0u64), |(mut receiver, mut seen, mut number)| async move {
        match tokio::time::timeout(COMMENT_EVERY, receiver.recv()).await {
            Ok(Some(lines)) => {
                let mut out = Vec::with_capacity(lines.len() + 64);
                for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    number += 1;
                    let time = time_of(line);
                    if seen.as_deref().zip(time).is_some_and(|(seen, time)| time <= seen) {
                        continue;
                    }
                    seen = None;
                    let id = time.map_or_else(|| number.to_string(), str::to_owned);
                    out.extend_from_slice(format!("id: {id}\ndata: ").as_bytes());
                    // A bare carriage return would end the event's line.
                    out.extend(line.iter().copied().filter(|byte| *byte != b'\r'));
                    out.extend_from_slice(b"\n\n");
                }
                Some((Ok(Bytes::from(out)), (receiver, seen, number)))
            }
            Ok(None) => None,
            Err(_) => Some((Ok(Bytes::from_static(b": \n\n")), (receiver, seen, number))),
        }
    })
}

/// Returns the time that a line of a log begins with. As text, an earlier one is smaller.
fn time_of(line: &[u8]) -> Option<&str> {
    let word = line.split(|byte| *byte == b' ').next()?;
    let is_time = word.len() >= 20 && word.get(4) == Some(&b'-') && word.get(10) == Some(&b'T');
    std::str::from_utf8(word).ok().filter(|_| is_time)
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
        let pieces: Vec<_> = events(receiver, None).map(Result::unwrap).collect().await;
        let text = String::from_utf8(pieces.concat()).unwrap();
        assert_eq!(text, "id: 1\ndata: one\n\nid: 2\ndata: two\n\nid: 3\ndata: three\n\n");
    }

    #[tokio::test]
    async fn a_client_that_comes_back_goes_on_where_it_was() {
        const LINES: &str = "2026-01-02T03:04:05.000001+00:00 app[web.1]: one\n\
                             2026-01-02T03:04:05.000002+00:00 app[web.1]: two\n\
                             2026-01-02T03:04:06.000000+00:00 app[web.1]: three\n";
        let read = async |seen: Option<&str>| {
            let (sender, receiver) = tokio::sync::mpsc::channel(4);
            sender.send(Bytes::from_static(LINES.as_bytes())).await.unwrap();
            drop(sender);
            let events = events(receiver, seen.map(str::to_owned));
            let pieces: Vec<_> = events.map(Result::unwrap).collect().await;
            String::from_utf8(pieces.concat()).unwrap()
        };
        let all = read(None).await;
        assert!(all.starts_with("id: 2026-01-02T03:04:05.000001+00:00\ndata: 2026-"), "{all}");
        let rest = read(Some("2026-01-02T03:04:05.000002+00:00")).await;
        assert_eq!(rest.matches("data: ").count(), 1, "{rest}");
        assert!(rest.contains("three"), "{rest}");
        assert_eq!(read(Some("9")).await, all, "an id of nobody's");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_event_stream_shows_that_it_lives() {
        let (_sender, receiver) = tokio::sync::mpsc::channel(1);
        let first = Box::pin(events(receiver, None)).next().await.unwrap().unwrap();
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
