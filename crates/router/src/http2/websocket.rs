//! WebSockets to apps that speak h2c: asked for by an extended CONNECT (RFC 8441), whose answer
//! becomes the one that HTTP/1.1 would have brought.

use base64::prelude::{BASE64_STANDARD, Engine};
use http::header::{self, HeaderName};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use ring::digest;

const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
/// What servers of WebSockets add to the key (RFC 6455, 1.3).
const ADDED: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A WebSocket that was asked for.
pub(crate) struct WebSocket {
    /// How the client knows that its key was read, which HTTP/2 does not have.
    accept: HeaderValue,
}

impl WebSocket {
    /// Makes a request of HTTP/1.1 for a WebSocket an extended CONNECT; leaves any other as it is.
    pub fn ask<B>(request: &mut Request<B>) -> Option<Self> {
        let headers = request.headers();
        let protocol = headers.get(header::UPGRADE)?.as_bytes();
        if !protocol.eq_ignore_ascii_case(b"websocket") || request.method() != Method::GET {
            return None;
        }
        let accept = accept(headers.get(KEY)?.as_bytes())?;
        request.headers_mut().remove(KEY);
        *request.method_mut() = Method::CONNECT;
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        Some(Self { accept })
    }

    /// Makes the answer that begins it one of HTTP/1.1; leaves any other as it is.
    pub fn begin<B>(self, response: &mut Response<B>) {
        if response.status() != StatusCode::OK || response.extensions().get::<OnUpgrade>().is_none()
        {
            return;
        }
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::UPGRADE, WEBSOCKET);
        headers.insert(ACCEPT, self.accept);
    }
}

/// Returns what a server answers to a client's key.
fn accept(key: &[u8]) -> Option<HeaderValue> {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key);
    hash.update(ADDED);
    HeaderValue::try_from(BASE64_STANDARD.encode(hash.finish())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, protocol: &str, key: Option<&str>) -> Request<()> {
        let builder = Request::builder().method(method).uri("/chat").header("upgrade", protocol);
        let builder = key.into_iter().fold(builder, |builder, key| builder.header(KEY, key));
        builder.body(()).unwrap()
    }

    #[test]
    fn the_key_is_answered_as_the_standard_says() {
        // The example of RFC 6455, 1.3.
        let answer = accept(b"dGhlIHNhbXBsZSBub25jZQ==").unwrap();
        assert_eq!(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn only_websockets_are_asked_for() {
        let mut asked = request("GET", "WebSocket", Some("a key"));
        assert!(WebSocket::ask(&mut asked).is_some());
        assert_eq!(asked.method(), Method::CONNECT);
        assert!(!asked.headers().contains_key(KEY));
        for (method, protocol, key) in [
            ("GET", "echo", Some("a key")),
            ("POST", "websocket", Some("k")),
            ("GET", "websocket", None),
        ] {
            let mut other = request(method, protocol, key);
            assert!(WebSocket::ask(&mut other).is_none(), "{method} {protocol}");
            assert_eq!(other.method(), method);
        }
    }

    #[test]
    fn what_does_not_begin_it_is_passed_on() {
        let asked = WebSocket { accept: WEBSOCKET };
        let mut refused =
            Response::builder().status(200).header("content-length", "2").body(()).unwrap();
        asked.begin(&mut refused);
        assert_eq!((refused.status(), refused.headers().len()), (StatusCode::OK, 1));
    }
}
