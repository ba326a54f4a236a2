//! Attached processes: frames both ways over an upgraded connection.

use crate::convention::{ApiError, ApiResult, Control};
use crate::state::ApiState;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use windlass_core::driver::{Attached, AttachedInput, AttachedOutput};
use windlass_core::instance::TerminalSize;
use windlass_wire::attach;

const PROTOCOL: &str = "windlass-attach";
/// How long a client may take to close after it was told the exit code.
const FAREWELL: Duration = Duration::from_secs(2);

/// `GET /attach/:secret` with `Upgrade: windlass-attach`.
pub(crate) async fn attach(
    State(state): State<ApiState>,
    Control(platform): Control,
    Path(secret): Path<String>,
    mut request: Request,
) -> ApiResult<Response> {
    let upgrade = match upgrade_of(&mut request, PROTOCOL) {
        Ok(upgrade) => upgrade,
        Err(required) => return Ok(*required),
    };
    let attached = platform.attach(&secret).await?;
    tokio::spawn(async move {
        match upgrade.await {
            Ok(connection) => serve(connection, attached, state).await,
            // `attached` is dropped, which ends the process.
            Err(error) => {
                tracing::debug!(%error, "an attached client left before it was connected")
            }
        }
    });
    Ok(switching(PROTOCOL))
}

/// Returns what becomes the connection once the answer says so, or the answer that the request
/// does not ask for that. Secrets work once: none may be spent on a request that cannot go on.
pub(crate) fn upgrade_of(
    request: &mut Request,
    protocol: &'static str,
) -> Result<OnUpgrade, Box<Response>> {
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    match upgrade.filter(|_| asks_for_upgrade(request.headers(), protocol)) {
        Some(upgrade) => Ok(upgrade),
        None => Err(Box::new(upgrade_required(protocol))),
    }
}

/// The answer that the connection changes over.
pub(crate) fn switching(protocol: &'static str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static(protocol));
    response
}

fn asks_for_upgrade(headers: &HeaderMap, protocol: &str) -> bool {
    let names = headers.get_all(UPGRADE).iter().filter_map(|value| value.to_str().ok());
    names.flat_map(|value| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case(protocol))
}

fn upgrade_required(protocol: &'static str) -> Response {
    let message =
        format!("This URL is for an attached process: connect with `Upgrade: {protocol}`.");
    let error = ApiError::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", message);
    let mut response = error.into_response();
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static(protocol));
    response
}

/// Moves frames until the process has ended or the client is gone. Dropping `attached` on the way
/// out kills a process that still runs.
async fn serve(connection: Upgraded, attached: Attached, state: ApiState) {
    tokio::select! {
        result = exchange(TokioIo::new(connection), attached) => {
            if let Err(error) = result {
                tracing::debug!(%error, "an attached client is gone");
            }
        }
        () = state.closed() => tracing::debug!("an attached process is ended with the server"),
    }
}

async fn exchange(
    connection: impl AsyncRead + AsyncWrite + Send,
    attached: Attached,
) -> io::Result<()> {
    let Attached { input, mut output, instance: _ } = attached;
    let (mut reader, mut writer) = tokio::io::split(connection);
    let receive = async {
        while let Some(event) = read_frame(&mut reader).await? {
            // The process may have ended already; its exit is on the way to the client.
            if input.send(event).await.is_err() {
                let mut rest = tokio::io::sink();
                tokio::io::copy(&mut reader, &mut rest).await?;
                break;
            }
        }
        Ok::<(), io::Error>(())
    };
    let send = async {
        while let Some(event) = output.recv().await {
            let exited = matches!(event, AttachedOutput::Exited(_));
            write_frame(&mut writer, &event).await?;
            if exited {
                break;
            }
        }
        Ok::<(), io::Error>(())
    };
    tokio::pin!(receive);
    tokio::select! {
        result = send => result?,
        // The client's end of input is a frame; a closed connection means that it is gone.
        result = &mut receive => return result,
    }
    let _ = tokio::time::timeout(FAREWELL, &mut receive).await;
    writer.shutdown().await
}

/// Reads one frame; `None` at the end of the connection. Kinds that are not known are skipped.
async fn read_frame(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<AttachedInput>> {
    loop {
        let mut head = [0; 5];
        match reader.read_exact(&mut head).await {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length > attach::MAXIMUM_PAYLOAD {
            let message =
                format!("a frame of {length} bytes is longer than {}", attach::MAXIMUM_PAYLOAD);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let mut payload = vec![0; length];
        reader.read_exact(&mut payload).await?;
        if let Some(input) = understood(head[0], payload) {
            return Ok(Some(input));
        }
    }
}

fn understood(kind: u8, payload: Vec<u8>) -> Option<AttachedInput> {
    match (kind, payload.as_slice()) {
        (attach::STDIN, _) => Some(AttachedInput::Stdin(Bytes::from(payload))),
        (attach::STDIN_CLOSED, _) => Some(AttachedInput::StdinClosed),
        (attach::RESIZE, &[a, b, c, d]) => Some(AttachedInput::Resize(TerminalSize {
            rows: u16::from_le_bytes([a, b]),
            columns: u16::from_le_bytes([c, d]),
        })),
        (attach::SIGNAL, &[number]) => Some(AttachedInput::Signal(i32::from(number))),
        _ => None,
    }
}

async fn write_frame(
    writer: &mut (impl AsyncWrite + Unpin),
    event: &AttachedOutput,
) -> io::Result<()> {
    match event {
        AttachedOutput::Stdout(bytes) => write_payload(writer, attach::STDOUT, bytes).await,
        AttachedOutput::Stderr(bytes) => write_payload(writer, attach::STDERR, bytes).await,
        AttachedOutput::Exited(status) => {
            write_payload(writer, attach::EXIT, &status.code.to_le_bytes()).await
        }
    }
}

async fn write_payload(
    writer: &mut (impl AsyncWrite + Unpin),
    kind: u8,
    payload: &[u8],
) -> io::Result<()> {
    // An empty payload means something only in frames that have none, so output without bytes is left out.
    for piece in payload.chunks(attach::MAXIMUM_PAYLOAD) {
        let mut frame = Vec::with_capacity(5 + piece.len());
        frame.push(kind);
        frame.extend_from_slice(&u32::try_from(piece.len()).unwrap_or(u32::MAX).to_le_bytes());
        frame.extend_from_slice(piece);
        writer.write_all(&frame).await?;
    }
    writer.flush().await
}

#[cfg(test)]
#[path = "attach_tests.rs"]
pub(crate) mod tests;
