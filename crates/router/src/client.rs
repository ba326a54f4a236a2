//! The control plane's end of the control socket.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use windlass_core::route::{RouterCommand, RouterReply, RouterRequest, RouterResponse};

/// A command could not be sent or its answer was lost.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot connect to the router on {}: {source}; is `windlass router` running?", socket.display())]
    Connect { socket: PathBuf, source: io::Error },
    /// The router may or may not have carried the command out; send the whole table again.
    #[error("the router has closed the control connection")]
    Disconnected,
    #[error("cannot write the command as JSON: {0}")]
    Encode(#[from] serde_json::Error),
}

/// A connection to a router. Clones share it; commands of all clones run side by side.
#[derive(Clone)]
pub struct RouterClient {
    shared: Arc<Shared>,
}

struct Shared {
    /// Whole lines, written in this order by a task.
    outgoing: mpsc::UnboundedSender<Vec<u8>>,
    waiting: Arc<Waiting>,
    closed: watch::Receiver<bool>,
    reader: AbortHandle,
}

/// The commands whose answer is awaited.
#[derive(Default)]
struct Waiting {
    state: Mutex<WaitingState>,
}

#[derive(Default)]
struct WaitingState {
    closed: bool,
    last_id: u64,
    answers: HashMap<u64, oneshot::Sender<RouterReply>>,
}

impl RouterClient {
    /// Connects to the router whose control socket is at `path`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).await;
        let stream =
            stream.map_err(|source| ClientError::Connect { socket: path.to_owned(), source })?;
        Ok(Self::over(stream))
    }

    /// Returns a client for a connection that is there already.
    pub(crate) fn over(stream: UnixStream) -> Self {
        let (reading, writing) = stream.into_split();
        let waiting = Arc::new(Waiting::default());
        let (closing, closed) = watch::channel(false);
        let reader =
            tokio::spawn(read_answers(reading, Arc::clone(&waiting), closing)).abort_handle();
        let (outgoing, lines) = mpsc::unbounded_channel();
        tokio::spawn(write_lines(writing, lines, Arc::clone(&waiting)));
        Self { shared: Arc::new(Shared { outgoing, waiting, closed, reader }) }
    }

    /// Sends a command and returns its answer. Commands take effect in the order of these calls
    /// when made one after the other; several may be awaited at once, and `Drain` should be.
    ///
    /// # Errors
    /// When the connection is lost before the answer.
    pub async fn send(&self, command: RouterCommand) -> Result<RouterReply, ClientError> {
        self.begin(command).await
    }

    /// The same, but the command is on its way when this returns.
    pub(crate) fn begin(
        &self,
        command: RouterCommand,
    ) -> impl Future<Output = Result<RouterReply, ClientError>> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        let begun = shared.waiting.register().and_then(|(id, answer)| {
            // Forgets the answer when this future is dropped while it waits.
            let registered = Registered { waiting: Arc::clone(&shared.waiting), id };
            let mut line = serde_json::to_vec(&RouterRequest { id, command })?;
            line.push(b'\n');
            shared.outgoing.send(line).map_err(|_| ClientError::Disconnected)?;
            Ok((registered, answer))
        });
        async move {
            let (_registered, answer) = begun?;
            let answer = answer.await.map_err(|_| ClientError::Disconnected);
            drop(shared);
            answer
        }
    }

    /// Returns whether the connection is lost; connect again then.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        *self.shared.closed.borrow()
    }

    /// Waits until the connection is lost.
    pub async fn closed(&self) {
        let mut closed = self.shared.closed.clone();
        // An error means that the reader has ended, which is the same.
        let _ = closed.wait_for(|closed| *closed).await;
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Waiting {
    fn register(&self) -> Result<(u64, oneshot::Receiver<RouterReply>), ClientError> {
        let mut state = self.state();
        if state.closed {
            return Err(ClientError::Disconnected);
        }
        let (sender, receiver) = oneshot::channel();
        state.last_id += 1;
        let id = state.last_id;
        state.answers.insert(id, sender);
        Ok((id, receiver))
    }

    fn answer(&self, response: RouterResponse) {
        let sender = self.state().answers.remove(&response.id);
        if sender.is_none_or(|sender| sender.send(response.reply).is_err()) {
            tracing::debug!(id = response.id, "nobody waits for this answer of the router");
        }
    }

    /// Fails all commands that wait and all later ones.
    fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.answers.clear();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, WaitingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Registered {
    waiting: Arc<Waiting>,
    id: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.waiting.state().answers.remove(&self.id);
    }
}

/// A task of its own, so that a dropped caller cannot leave half a line behind.
async fn write_lines(
    mut writing: OwnedWriteHalf,
    mut lines: mpsc::UnboundedReceiver<Vec<u8>>,
    waiting: Arc<Waiting>,
) {
    while let Some(line) = lines.recv().await {
        if writing.write_all(&line).await.is_err() {
            break;
        }
    }
    waiting.close();
}

async fn read_answers(reading: OwnedReadHalf, waiting: Arc<Waiting>, closing: watch::Sender<bool>) {
    let mut lines = BufReader::new(reading).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(response) => waiting.answer(response),
            Err(error) => {
                tracing::error!(%error, "the router's answer is not understood: closing the control connection");
                break;
            }
        }
    }
    waiting.close();
    closing.send_replace(true);
}
