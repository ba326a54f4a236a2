//! HTTP/3 with clients, over QUIC, on the UDP port with the number of the one for TLS.
//!
//! One task reads the socket and accepts connections; each is then one task on a worker's thread,
//! its streams futures inside it, as with `http2`. Each stream becomes a request as HTTP/1 would
//! have brought it and goes the same way as that through `proxy`.
//!
//! A hand-over passes the socket on, but a connection is known by its keys to one process alone.
//! So the next router reads only once this one has answered what is in flight: see `endpoint`.

mod connection;
mod endpoint;
mod frames;
#[cfg(test)]
mod fuzz;
mod protocol;
mod quic;
mod request_body;
mod stream;
mod tunnel;

pub(crate) use endpoint::{Door, Turn};
pub(crate) use request_body::RequestStream;
pub(crate) use tunnel::StreamUpgrade;

use http::HeaderValue;

/// How long a client may remember that there is HTTP/3: a day.
const REMEMBERED: u32 = 24 * 60 * 60;

/// Returns what answers over TLS say where HTTP/3 is served on the port that clients use.
pub(crate) fn alt_svc(port: u16) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("h3=\":{port}\"; ma={REMEMBERED}")).ok()
}
