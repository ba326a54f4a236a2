//! Rendezvous: attached processes for Heroku's clients. See [`windlass_wire::rendezvous`].

use crate::attach::{switching, upgrade_of};
use crate::convention::{ApiResult, Control};
use crate::state::ApiState;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use bytes::Bytes;
use hyper_util::rt::TokioIo;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use windlass_control::PlatformError;
use windlass_core::driver::{Attached, AttachedInput, AttachedOutput};
use windlass_core::instance::Output;
use windlass_wire::rendezvous::{END_OF_INPUT, GREETING, GREETING_PAUSE_MS, PROTOCOL};

/// Clients throw away the whole first piece that they get: the greeting, and what has come with it
/// by the time they read. Those without a terminal answer it with their input or its end; so long
/// that is waited for before any output follows.
const HEARD_LIMIT: Duration = Duration::from_secs(1);
const SIGHUP: i32 = 1;
/// How long the processes of a client that has left may take to end.
const HANG_UP_GRACE: Duration = Duration::from_secs(10);
/// A client without a terminal dies of a connection that is closed before it has sent the end of
/// its input: how long that is waited for once the process has ended.
const FAREWELL: Duration = Duration::from_secs(1);
/// The same with a terminal, where it comes only if the client's input is none.
const TERMINAL_FAREWELL: Duration = Duration::from_millis(300);
/// How long the rest of the line that the secret stands in may take.
const LINE_LIMIT: Duration = Duration::from_millis(100);
const LONGEST_LINE: usize = 1_024;
const PIECE: usize = 16 * 1024;

/// The first character of the line in which `heroku run --exit-code` has the shell say the exit
/// code: U+FFFF. The client finds that line only if it comes in one piece.
const MARK: &[u8] = &[0xef, 0xbf, 0xbf];
/// The line is not longer.
const LONGEST_MARKED: usize = 64;
/// How long a line that has begun with it is held back.
const HOLD: Duration = Duration::from_millis(200);

/// `GET /rendezvous/:secret` with `Upgrade: windlass-rendezvous`.
pub(crate) async fn upgrade(
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
        if let Ok(connection) = upgrade.await {
            until_closed(&state, exchange(TokioIo::new(connection), attached)).await;
        }
    });
    Ok(switching(PROTOCOL))
}

/// Serves a connection that began with `secret`; `rest` is what came behind it.
pub(crate) async fn serve(
    mut connection: impl AsyncRead + AsyncWrite + Send + Unpin,
    secret: &str,
    rest: &[u8],
    state: &ApiState,
) {
    let serving = async {
        end_line(&mut connection, rest).await?;
        match state.platform.attach(secret).await {
            Ok(attached) => exchange(connection, attached).await,
            // To whoever knows no secret nothing is told.
            Err(PlatformError::NotFound { .. }) => connection.shutdown().await,
            Err(error) => {
                greet(&mut connection).await?;
                connection.write_all(format!("{error}\r\n").as_bytes()).await?;
                connection.shutdown().await
            }
        }
    };
    until_closed(state, serving).await;
}

async fn until_closed(state: &ApiState, serving: impl Future<Output = io::Result<()>>) {
    tokio::select! {
        result = serving => if let Err(error) = result {
            tracing::debug!(%error, "a rendezvous client is gone");
        },
        () = state.closed() => tracing::debug!("an attached process is ended with the server"),
    }
}

/// Reads on to the end of the line that the secret stands in. Some clients send none.
async fn end_line(connection: &mut (impl AsyncRead + Unpin), rest: &[u8]) -> io::Result<()> {
    let mut line = rest.to_vec();
    let read = async {
        while !line.contains(&b'\n') && line.len() < LONGEST_LINE {
            if connection.read_buf(&mut line).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
        }
        Ok(())
    };
    tokio::time::timeout(LINE_LIMIT, read).await.unwrap_or(Ok(()))
}

async fn greet(writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    writer.write_all(GREETING).await?;
    writer.flush().await?;
    tokio::time::sleep(Duration::from_millis(GREETING_PAUSE_MS)).await;
    Ok(())
}

/// Moves bytes until the process has ended, or has been ended because its client left.
async fn exchange(
    connection: impl AsyncRead + AsyncWrite + Send,
    attached: Attached,
) -> io::Result<()> {
    let Attached { input, mut output, instance } = attached;
    let has_terminal = matches!(instance.spec.output, Output::Attached { terminal: Some(_) });
    let (reader, mut writer) = tokio::io::split(connection);
    let client = Client::default();
    let hang_up = input.clone();
    let receive = receive(reader, input, has_terminal, &client);
    tokio::pin!(receive);
    let send = async {
        greet(&mut writer).await?;
        if !has_terminal {
            let _ = tokio::time::timeout(HEARD_LIMIT, client.has_heard.notified()).await;
        }
        send(&mut writer, &mut output).await
    };
    tokio::select! {
        result = send => result?,
        _ = &mut receive => {
            let _ = hang_up.send(AttachedInput::Signal(SIGHUP)).await;
            drop(hang_up);
            let rest = async { while output.recv().await.is_some() {} };
            let _ = tokio::time::timeout(HANG_UP_GRACE, rest).await;
            return Ok(());
        }
    }
    let limit = if has_terminal { TERMINAL_FAREWELL } else { FAREWELL };
    tokio::select! {
        () = client.has_ended.notified() => {}
        _ = &mut receive => {}
        () = tokio::time::sleep(limit) => {}
    }
    writer.shutdown().await?;
    // Closed while input is under way, the connection would take the last output with it.
    let _ = tokio::time::timeout(FAREWELL, &mut receive).await;
    Ok(())
}

/// What is known of the client by what it sends.
#[derive(Default)]
struct Client {
    /// It has sent something, as those without a terminal do once they were greeted.
    has_heard: Notify,
    /// It has sent the end of its input.
    has_ended: Notify,
}

/// Passes input on until the client has left.
async fn receive(
    mut reader: impl AsyncRead + Unpin,
    input: mpsc::Sender<AttachedInput>,
    has_terminal: bool,
    client: &Client,
) -> io::Result<()> {
    let mut input = Some(input);
    let mut piece = Vec::with_capacity(PIECE);
    while reader.read_buf(&mut piece).await? > 0 {
        // In the middle it is some byte of what is sent.
        let is_end = piece.last() == Some(&END_OF_INPUT);
        client.has_heard.notify_one();
        if is_end {
            client.has_ended.notify_one();
        }
        // A terminal knows by itself what the byte means.
        let data = if is_end && !has_terminal { &piece[..piece.len() - 1] } else { &piece[..] };
        if let Some(open) = &input {
            let mut taken = true;
            if !data.is_empty() {
                let data = Bytes::copy_from_slice(data);
                taken = open.send(AttachedInput::Stdin(data)).await.is_ok();
            }
            if is_end && !has_terminal && taken {
                taken = open.send(AttachedInput::StdinClosed).await.is_ok();
            }
            // The process may have ended already; what the client still says is read and dropped.
            if !taken {
                input = None;
            }
        }
        piece.clear();
    }
    Ok(())
}

/// Writes output until the process has ended.
async fn send(
    writer: &mut (impl AsyncWrite + Unpin),
    output: &mut mpsc::Receiver<AttachedOutput>,
) -> io::Result<()> {
    let mut marked = MarkedLine::default();
    loop {
        let event = match marked.is_empty() {
            true => Ok(output.recv().await),
            false => tokio::time::timeout(HOLD, output.recv()).await,
        };
        let (pieces, is_over) = match event {
            Ok(Some(AttachedOutput::Stdout(bytes) | AttachedOutput::Stderr(bytes))) => {
                (marked.cut(&bytes), false)
            }
            Ok(Some(AttachedOutput::Exited(_)) | None) => (vec![marked.take()], true),
            Err(_) => (vec![marked.take()], false),
        };
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            writer.write_all(piece).await?;
            writer.flush().await?;
        }
        if is_over {
            return Ok(());
        }
    }
}

/// Holds back a line that begins with [`MARK`] until it is whole.
#[derive(Default)]
struct MarkedLine(Vec<u8>);

impl MarkedLine {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    /// Returns what can be sent, in pieces that are to stay whole.
    fn cut(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut rest = self.take();
        rest.extend_from_slice(bytes);
        let mut pieces = Vec::new();
        loop {
            let Some(start) = start_of_mark(&rest) else {
                pieces.push(rest);
                return pieces;
            };
            let marked = rest.split_off(start);
            pieces.push(rest);
            match marked.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    rest = marked[end + 1..].to_vec();
                    pieces.push(marked[..=end].to_vec());
                }
                None if marked.len() > LONGEST_MARKED => {
                    pieces.push(marked);
                    return pieces;
                }
                None => {
                    self.0 = marked;
                    return pieces;
                }
            }
        }
    }
}

/// Returns where the mark begins, or could begin at the end of what there is.
fn start_of_mark(bytes: &[u8]) -> Option<usize> {
    let whole = bytes.windows(MARK.len()).position(|window| window == MARK);
    whole.or_else(|| {
        let cut = (1..MARK.len()).rev().find(|length| bytes.ends_with(&MARK[..*length]))?;
        Some(bytes.len() - cut)
    })
}

#[cfg(test)]
#[path = "rendezvous_tests.rs"]
mod tests;
