//! The client's side of a WebSocket (RFC 6455), as much as an echo needs.

use crate::http::Connection;
use std::io;

/// Asks for the upgrade; the answer must be 101.
pub fn upgrade(connection: &mut Connection, path: &str) -> io::Result<()> {
    let headers = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    connection.send("GET", path, &headers, b"")?;
    let response = connection.receive_head()?;
    let accept = response.header("sec-websocket-accept").unwrap_or_default();
    // The answer that RFC 6455 gives for its own example key.
    if (response.status, accept) == (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
        Ok(())
    } else {
        Err(io::Error::other(format!("no WebSocket: {response:?}")))
    }
}

/// Sends a text message (at most 125 bytes) and returns the message that comes back.
pub fn echo(connection: &mut Connection, text: &str) -> io::Result<String> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 126);
    let length = length.ok_or_else(|| io::Error::other("too long for this client"))?;
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![0x81, 0x80 | length];
    frame.extend_from_slice(&mask);
    frame.extend(text.bytes().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    connection.write(&frame)?;
    let mut head = [0; 2];
    connection.read(&mut head)?;
    let mut answer = vec![0; usize::from(head[1] & 0x7f)];
    connection.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
