//! A command, or a shell, inside an instance.

use super::connection::{Terminal, size};
use crate::convention::error::chain;
use crate::ssh::{Gone, say};
use bytes::Bytes;
use russh::server::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use windlass_control::run::{ExecLine, ExecRequest, ExecSession};
use windlass_control::{Platform, PlatformError};
use windlass_core::driver::{Attached, AttachedInput, AttachedOutput};

/// The extended data type of standard error.
const STANDARD_ERROR: u32 = 1;
/// What Heroku's CLI sends at the end of an input that is no terminal.
const END_OF_INPUT: u8 = 4;
/// That CLI fails at a channel that is closed before it has sent the end of its input: how long
/// that is waited for once a command with a terminal has ended.
const FAREWELL: Duration = Duration::from_millis(300);

/// Runs it to its end and returns its exit code.
pub(super) async fn run(
    platform: &Platform,
    session: &ExecSession,
    line: ExecLine,
    terminal: Option<Terminal>,
    reader: ChannelReadHalf,
    writer: &ChannelWriteHalf<Msg>,
) -> Result<u32, Gone> {
    let doing = match &line {
        ExecLine::Line(line) => format!("Running `{line}` in"),
        _ => "Running a shell in".to_owned(),
    };
    let has_terminal = terminal.is_some();
    let kind = terminal.as_ref().filter(|terminal| !terminal.kind.is_empty());
    let environment = kind.map(|terminal| ("TERM".to_owned(), terminal.kind.clone()));
    let request = ExecRequest {
        command: line,
        environment: environment.into_iter().collect(),
        terminal: terminal.map(|terminal| terminal.size),
    };
    match platform.exec_in_session(session, request, &doing).await {
        Ok(attached) => converse(attached, has_terminal, reader, writer).await,
        Err(error) => {
            let message = explain(&error, &session.name);
            // Clients with a terminal do not all read standard error.
            match has_terminal {
                true => writer.data_bytes(Bytes::from(format!("{message}\r\n"))).await?,
                false => say(writer, &message).await?,
            }
            Ok(1)
        }
    }
}

/// Says to a client why nothing runs.
pub(super) fn explain(error: &PlatformError, name: &str) -> String {
    match error {
        PlatformError::Internal(..) => {
            tracing::error!(error = %chain(error), "a command over SSH failed");
            "The platform failed; its log says why.".to_owned()
        }
        PlatformError::NotFound { .. } => format!("{name} has ended meanwhile."),
        other => other.to_string(),
    }
}

async fn converse(
    attached: Attached,
    has_terminal: bool,
    reader: ChannelReadHalf,
    writer: &ChannelWriteHalf<Msg>,
) -> Result<u32, Gone> {
    let Attached { input, mut output, instance: _ } = attached;
    let ended = Notify::new();
    let feeding = feed(reader, input, &ended);
    tokio::pin!(feeding);
    let code = tokio::select! {
        code = send(&mut output, writer) => code?,
        // What is dropped on the way out ends the command.
        () = &mut feeding => return Err(Gone),
    };
    if has_terminal {
        tokio::select! {
            () = ended.notified() => {}
            () = &mut feeding => {}
            () = tokio::time::sleep(FAREWELL) => {}
        }
    }
    Ok(code)
}

/// Sends what the command writes, as fast as the client takes it, and returns its exit code.
pub(super) async fn send(
    output: &mut mpsc::Receiver<AttachedOutput>,
    writer: &ChannelWriteHalf<Msg>,
) -> Result<u32, Gone> {
    loop {
        match output.recv().await {
            Some(AttachedOutput::Stdout(bytes)) => writer.data_bytes(bytes).await?,
            Some(AttachedOutput::Stderr(bytes)) => {
                writer.extended_data_bytes(STANDARD_ERROR, bytes).await?;
            }
            Some(AttachedOutput::Exited(status)) => {
                return Ok(u32::try_from(status.code).unwrap_or(1));
            }
            None => return Ok(1),
        }
    }
}

/// Gives the client's input to the command; returns only when the client is gone. `ended` is told
/// when its input has ended.
pub(super) async fn feed(
    mut reader: ChannelReadHalf,
    input: mpsc::Sender<AttachedInput>,
    ended: &Notify,
) {
    let mut input = Some(input);
    while let Some(message) = reader.wait().await {
        if matches!(message, ChannelMsg::Close) {
            return;
        }
        if is_end(&message) {
            ended.notify_one();
        }
        // The command may have ended already; what the client still says is read and dropped.
        if let (Some(open), Some(event)) = (&input, understood(message))
            && open.send(event).await.is_err()
        {
            input = None;
        }
    }
}

fn is_end(message: &ChannelMsg) -> bool {
    match message {
        ChannelMsg::Data { data } => data.last() == Some(&END_OF_INPUT),
        ChannelMsg::Eof => true,
        _ => false,
    }
}

fn understood(message: ChannelMsg) -> Option<AttachedInput> {
    match message {
        ChannelMsg::Data { data } => Some(AttachedInput::Stdin(data)),
        ChannelMsg::Eof => Some(AttachedInput::StdinClosed),
        ChannelMsg::WindowChange { col_width, row_height, .. } => {
            size(col_width, row_height).map(AttachedInput::Resize)
        }
        ChannelMsg::Signal { signal } => number(&signal).map(AttachedInput::Signal),
        _ => None,
    }
}

/// Linux's number of a signal that a client may send.
fn number(signal: &Sig) -> Option<i32> {
    Some(match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::TERM => 15,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_core::instance::TerminalSize;

    #[test]
    fn what_clients_send_is_understood() {
        let data = |text: &'static str| ChannelMsg::Data { data: Bytes::from(text) };
        let stdin = AttachedInput::Stdin(Bytes::from("ls\n"));
        assert_eq!(understood(data("ls\n")), Some(stdin));
        assert_eq!(understood(ChannelMsg::Eof), Some(AttachedInput::StdinClosed));
        let resize = |col_width, row_height| {
            understood(ChannelMsg::WindowChange {
                col_width,
                row_height,
                pix_width: 0,
                pix_height: 0,
            })
        };
        let expected = TerminalSize { rows: 40, columns: 120 };
        assert_eq!(resize(120, 40), Some(AttachedInput::Resize(expected)));
        assert_eq!(resize(0, 40), None);
        assert_eq!(resize(120, 70_000), None);
        let signal = |signal| understood(ChannelMsg::Signal { signal });
        assert_eq!(signal(Sig::INT), Some(AttachedInput::Signal(2)));
        assert_eq!(signal(Sig::Custom("WINCH".to_owned())), None);
        assert!(is_end(&data("x\u{4}")) && is_end(&ChannelMsg::Eof) && !is_end(&data("x")));
    }
}
