//! Answers that are compressed on their way to the client.

use super::BrokenOff;
use super::body::ResponseBody;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::body::{Body, Frame};
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Fewer bytes are sent as they are: the effort is larger than the gain.
const LEAST: u64 = 1_024;
/// Compressed bytes that are collected before they are sent, unless the app pauses.
const COLLECT: usize = 8 * 1_024;
/// Bytes of the app's after which those collected are sent in any case.
const AT_ONCE: usize = 256 * 1_024;

const GZIP: HeaderValue = HeaderValue::from_static("gzip");
const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

/// Makes the head that of a compressed answer; false if the answer goes as it is.
pub(super) fn prepare(status: StatusCode, headers: &mut HeaderMap) -> bool {
    if !is_compressible(status, headers) {
        return false;
    }
    headers.insert(header::CONTENT_ENCODING, GZIP);
    headers.append(header::VARY, ACCEPT_ENCODING);
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::ACCEPT_RANGES);
    // Digests of the bytes as the app sent them.
    headers.remove("content-md5");
    headers.remove("digest");
    weaken_tag(headers);
    true
}

fn is_compressible(status: StatusCode, headers: &HeaderMap) -> bool {
    let whole = status.is_success() && ![204, 205, 206].contains(&status.as_u16());
    let is_error = status.is_client_error() || status.is_server_error();
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let kind = text(header::CONTENT_TYPE).unwrap_or_default();
    let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    let forbidden = headers.get_all(header::CACHE_CONTROL).iter().any(|value| {
        value.to_str().is_ok_and(|value| value.to_ascii_lowercase().contains("no-transform"))
    });
    (whole || is_error)
        && is_text(kind)
        && length.is_none_or(|length| length >= LEAST)
        && !headers.contains_key(header::CONTENT_ENCODING)
        && !forbidden
}

/// Events of a stream are left alone: each must arrive at once.
fn is_text(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let more = [
        "application/json",
        "application/javascript",
        "application/xml",
        "application/wasm",
        "application/manifest+json",
        "image/svg+xml",
    ];
    (kind.starts_with("text/") && kind != "text/event-stream")
        || more.contains(&kind.as_str())
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
}

/// The same content in other bytes is only weakly the same.
fn weaken_tag(headers: &mut HeaderMap) {
    let strong = headers.get(header::ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    let weak = strong.and_then(|tag| HeaderValue::try_from([b"W/", tag.as_bytes()].concat()).ok());
    if let Some(weak) = weak {
        headers.insert(header::ETAG, weak);
    }
}

/// A target's answer, compressed as it comes. What has come is sent when the app pauses.
pub(crate) struct GzipBody {
    body: ResponseBody,
    encoder: GzEncoder<Vec<u8>>,
    /// Bytes that went in since the last came out.
    taken: usize,
    trailers: Option<Frame<Bytes>>,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Open,
    /// The app's answer has ended; what is left comes out.
    Ending,
    Ended,
}

impl GzipBody {
    pub fn new(body: ResponseBody) -> Self {
        let encoder = GzEncoder::new(Vec::new(), Compression::fast());
        Self { body, encoder, taken: 0, trailers: None, state: State::Open }
    }

    pub fn inner(&mut self) -> &mut ResponseBody {
        &mut self.body
    }

    /// Returns what has come out so far.
    fn take(&mut self) -> Option<Frame<Bytes>> {
        self.taken = 0;
        let out = std::mem::take(self.encoder.get_mut());
        (!out.is_empty()).then(|| Frame::data(Bytes::from(out)))
    }

    fn feed(&mut self, data: &[u8]) -> Result<(), BrokenOff> {
        self.taken += data.len();
        // A vector takes everything.
        self.encoder.write_all(data).map_err(|_| BrokenOff)
    }
}

impl Body for GzipBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = &mut *self;
        while this.state == State::Open {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        this.feed(&data)?;
                        if this.taken >= AT_ONCE {
                            this.encoder.flush().map_err(|_| BrokenOff)?;
                        }
                        if this.encoder.get_ref().len() >= COLLECT || this.taken >= AT_ONCE {
                            return Poll::Ready(this.take().map(Ok));
                        }
                    }
                    Err(trailers) => this.trailers = Some(trailers),
                },
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => this.state = State::Ending,
                Poll::Pending if this.taken > 0 => {
                    this.encoder.flush().map_err(|_| BrokenOff)?;
                    return Poll::Ready(this.take().map(Ok));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        if this.state == State::Ending {
            this.state = State::Ended;
            this.encoder.try_finish().map_err(|_| BrokenOff)?;
            return Poll::Ready(this.take().map(Ok));
        }
        Poll::Ready(this.trailers.take().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.state == State::Ended && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn text_is_compressed_and_what_is_compressed_is_not() {
        let html = ("content-type", "text/html; charset=utf-8");
        for (status, pairs, compressed) in [
            (200, &[html][..], true),
            (404, &[html], true),
            (200, &[("content-type", "application/problem+json")], true),
            (200, &[("content-type", "image/svg+xml")], true),
            (200, &[("content-type", "image/png")], false),
            (200, &[("content-type", "text/event-stream")], false),
            (200, &[], false),
            (206, &[html], false),
            (204, &[html], false),
            (304, &[html], false),
            (200, &[html, ("content-encoding", "br")], false),
            (200, &[html, ("content-length", "1023")], false),
            (200, &[html, ("content-length", "1024")], true),
            (200, &[html, ("cache-control", "public, No-Transform")], false),
        ] {
            let mut map = headers(pairs);
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(prepare(status, &mut map), compressed, "{status} {pairs:?}");
            assert_eq!(map.contains_key("vary"), compressed);
        }
    }

    #[test]
    fn the_head_tells_of_it() {
        let mut map = headers(&[
            ("content-type", "text/css"),
            ("content-length", "5000"),
            ("accept-ranges", "bytes"),
            ("etag", "\"abc\""),
            ("vary", "cookie"),
        ]);
        assert!(prepare(StatusCode::OK, &mut map));
        assert_eq!(map["content-encoding"], "gzip");
        assert_eq!(map["etag"], "W/\"abc\"");
        assert_eq!(map.get_all("vary").iter().count(), 2);
        assert!(!map.contains_key("content-length") && !map.contains_key("accept-ranges"));
    }
}
