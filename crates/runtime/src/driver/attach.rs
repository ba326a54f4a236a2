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
use windlass_core::instance::ObservedInstance;

/// Pieces under way in each direction; then whoever sends waits.
const BACKLOG: usize = 16;

const PIECE: usize = 32 * 1024;

/// Connects the channels to the shim's socket. Dropping the output closes the socket, upon which
/// the shim kills the instance; dropping the input closes its standard input.
pub fn attach(
    observed: ObservedInstance,
    instance: Arc<Instance>,
    socket: UnixStream,
    decoder: Decoder,
    cgroup: Cgroup,
) -> Attached {
    let (output_sender, output) = mpsc::channel(BACKLOG);
    let (input, input_receiver) = mpsc::channel(BACKLOG);
    let (reader, writer) = socket.into_split();
    let writing = tokio::spawn(write_frames(writer, input_receiver, cgroup));
    tokio::spawn(async move {
        let sender = output_sender.clone();
        tokio::select! {
            () = read_frames(reader, decoder, &output_sender) => {
                let status = instance.exited().await;
                let _ = output_sender.send(AttachedOutput::Exited(status)).await;
            }
            () = sender.closed() => {}
        }
        // Drops the other half of the socket, too.
        writing.abort();
    });
    Attached { instance: observed, output, input }
}

/// Forwards output until the shim closes the socket.
async fn read_frames(
    mut reader: OwnedReadHalf,
    mut decoder: Decoder,
    output: &mpsc::Sender<AttachedOutput>,
) {
    let mut buffer = vec![0; PIECE];
    loop {
        loop {
            let piece = match decoder.next() {
                Ok(Some((Kind::Stdout, payload))) => AttachedOutput::Stdout(Bytes::from(payload)),
                Ok(Some((Kind::Stderr, payload))) => AttachedOutput::Stderr(Bytes::from(payload)),
                Ok(Some(_)) => continue,
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "a shim sent rubbish");
                    return;
                }
            };
            if output.send(piece).await.is_err() {
                return;
            }
        }
        match reader.read(&mut buffer).await {
            Ok(length @ 1..) => decoder.push(&buffer[..length]),
            _ => return,
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
