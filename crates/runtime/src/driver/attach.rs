//! The server's side of an attached instance.

use super::instances::Instance;
use crate::cgroup::Cgroup;
use crate::frame::{Decoder, Kind, encode_into};
use bytes::Bytes;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use windlass_core::driver::{Attached, AttachedInput, AttachedOutput};
use windlass_core::instance::{ExitStatus, ObservedInstance};

/// Pieces under way in each direction; then whoever sends waits.
const BACKLOG: usize = 16;

const PIECE: usize = 32 * 1024;

/// Where it is said how the attached process ended.
pub enum Ending {
    /// It is an instance: the driver learns it.
    Instance(Arc<Instance>),
    /// It is a command beside an instance: its shim's last frame says so.
    Command,
}

/// Connects the channels to the shim's socket. Dropping the output closes the socket, upon which
/// the shim kills the process with all that it started; dropping the input closes its standard
/// input. Signals go to every process of `cgroup`.
pub fn attach(
    observed: ObservedInstance,
    ending: Ending,
    socket: UnixStream,
    decoder: Decoder,
    cgroup: Cgroup,
) -> Attached {
    let (output_sender, output) = mpsc::channel(BACKLOG);
    let (input, input_receiver) = mpsc::channel(BACKLOG);
    let (reader, writer) = socket.into_split();
    let writing = tokio::spawn(write_frames(writer, input_receiver, cgroup));
    tokio::spawn(async move {
        let forward = async {
            let last_frame = read_frames(reader, decoder, &output_sender).await;
            let status = match ending {
                Ending::Instance(instance) => instance.exited().await,
                Ending::Command => last_frame.unwrap_or_else(shim_killed),
            };
            let _ = output_sender.send(AttachedOutput::Exited(status)).await;
        };
        // Around all of it: output that nobody takes must not be followed by waiting for an end
        // that only closing the socket brings about.
        tokio::select! {
            () = forward => {}
            () = output_sender.closed() => {}
        }
        // Drops the other half of the socket, too.
        writing.abort();
    });
    Attached { instance: observed, output, input }
}

fn shim_killed() -> ExitStatus {
    let reason = Some("its shim was killed".to_owned());
    ExitStatus::of_code(128 + libc::SIGKILL, reason, crate::launch::now_ms())
}

/// Forwards output until the shim closes the socket. Returns the exit that it said, if it did.
async fn read_frames(
    mut reader: OwnedReadHalf,
    mut decoder: Decoder,
    output: &mpsc::Sender<AttachedOutput>,
) -> Option<ExitStatus> {
    let mut exited = None;
    let mut buffer = vec![0; PIECE];
    loop {
        loop {
            let piece = match decoder.next() {
                Ok(Some((Kind::Stdout, payload))) => AttachedOutput::Stdout(Bytes::from(payload)),
                Ok(Some((Kind::Stderr, payload))) => AttachedOutput::Stderr(Bytes::from(payload)),
                Ok(Some((Kind::Exited, payload))) => {
                    exited = serde_json::from_slice(&payload).ok();
                    continue;
                }
                Ok(Some(_)) => continue,
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "a shim sent rubbish");
                    return exited;
                }
            };
            if output.send(piece).await.is_err() {
                return exited;
            }
        }
        match reader.read(&mut buffer).await {
            Ok(length @ 1..) => decoder.push(&buffer[..length]),
            _ => return exited,
        }
    }
}

/// Forwards input until nobody sends any more; then keeps the socket open until aborted.
async fn write_frames(
    mut writer: OwnedWriteHalf,
    mut input: mpsc::Receiver<AttachedInput>,
    cgroup: Cgroup,
) {
    loop {
        let mut bytes = Vec::new();
        let received = input.recv().await;
        let last = received.is_none();
        match received {
            Some(AttachedInput::Stdin(data)) => {
                for piece in data.chunks(PIECE) {
                    encode_into(&mut bytes, Kind::Stdin, piece);
                }
            }
            Some(AttachedInput::StdinClosed) | None => {
                encode_into(&mut bytes, Kind::StdinClosed, &[]);
            }
            Some(AttachedInput::Resize(size)) => {
                let payload = serde_json::to_vec(&size).unwrap_or_default();
                encode_into(&mut bytes, Kind::Resize, &payload);
            }
            Some(AttachedInput::Signal(number)) => {
                let cgroup = cgroup.clone();
                let _ = tokio::task::spawn_blocking(move || cgroup.signal_all(number)).await;
            }
        }
        if writer.write_all(&bytes).await.is_err() || last {
            break;
        }
    }
    std::future::pending::<()>().await;
}
