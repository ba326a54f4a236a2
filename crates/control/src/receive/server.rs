//! The server's side of the hook: one connection a push.

use super::hook::{HookAnswer, HookRequest, RefOutcome, RefResult};
use super::{Session, repository};
use crate::build::BuildOutput;
use crate::{Platform, PlatformError, Result};
use bytes::Bytes;
use std::path::Path;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

/// A request longer than this is not read, in bytes.
const REQUEST_BYTES: u64 = 1 << 20;

impl Platform {
    /// Puts the hook in place and listens for it.
    pub(crate) fn serve_hooks(&self) -> Result<()> {
        let failed = |source| PlatformError::internal("the git hook could not be set up", source);
        let binary = std::env::current_exe().map_err(failed)?;
        for name in [super::hook::HOOK_NAME, super::remote::ssh::SSH_NAME] {
            let hook = repository::hooks_directory(self.settings()).join(name);
            link_hook(&hook, &binary).map_err(failed)?;
        }
        let socket = self.receiver().socket.clone();
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).map_err(failed)?;
        let platform = self.clone();
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let platform = platform.clone();
                        tokio::spawn(async move { platform.serve_hook(stream).await });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a git hook could not be accepted");
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    }
                }
            }
        });
        Ok(())
    }

    async fn serve_hook(&self, stream: UnixStream) {
        let (reader, writer) = stream.into_split();
        let mut reader = BufReader::new(reader.take(REQUEST_BYTES));
        let mut line = String::new();
        if reader.read_line(&mut line).await.is_err() {
            return;
        }
        let Ok(request) = serde_json::from_str::<HookRequest>(&line) else { return };
        let session = self.receiver().sessions().get(&request.session).cloned();
        let (sender, receiver) = mpsc::unbounded_channel();
        let Some(session) = session else {
            tracing::warn!("a git hook came without a session that is open");
            return;
        };
        let output = tokio::spawn(write_answers(writer, receiver));
        self.process_push(&session, request, sender, reader.into_inner().into_inner()).await;
        // Everything has been sent when the writer ends.
        let _ = output.await;
    }

    /// Runs the push until it ends, the client goes away, or the app is destroyed.
    async fn process_push(
        &self,
        session: &Session,
        request: HookRequest,
        answers: mpsc::UnboundedSender<HookAnswer>,
        mut connection: OwnedReadHalf,
    ) {
        let line = self.receiver().line_of(session.app.id);
        let names: Vec<String> = request.updates.iter().map(|update| update.name.clone()).collect();
        let (text_sender, mut text) = mpsc::unbounded_channel::<Bytes>();
        let to_client = answers.clone();
        let forward = tokio::spawn(async move {
            while let Some(bytes) = text.recv().await {
                let _ = to_client
                    .send(HookAnswer::Output(String::from_utf8_lossy(&bytes).into_owned()));
            }
        });
        let results = {
            let mut byte = [0u8; 1];
            tokio::select! {
                results = self.push(session, request.updates, BuildOutput::to(text_sender), &line) => results,
                // The hook says nothing more: anything here is its end.
                _ = connection.read(&mut byte) => {
                    tracing::info!(app = %session.app.name, "a push was canceled: its client went away");
                    return;
                }
                () = line.cancel.notified() => refuse_all(&names, "canceled"),
            }
        };
        let _ = forward.await;
        let _ = answers.send(HookAnswer::Results(results));
    }
}

pub(super) fn refuse_all(names: &[String], reason: &str) -> Vec<RefResult> {
    let refused = |name: &String| RefResult {
        name: name.clone(),
        outcome: RefOutcome::Refused { reason: reason.to_owned() },
    };
    names.iter().map(refused).collect()
}

async fn write_answers(
    mut writer: OwnedWriteHalf,
    mut answers: mpsc::UnboundedReceiver<HookAnswer>,
) {
    while let Some(answer) = answers.recv().await {
        let Ok(mut line) = serde_json::to_vec(&answer) else { continue };
        line.push(b'\n');
        if writer.write_all(&line).await.is_err() {
            return;
        }
    }
}

/// Makes the hook a link to this binary, replacing one to an older place.
fn link_hook(hook: &Path, binary: &Path) -> std::io::Result<()> {
    if std::fs::read_link(hook).is_ok_and(|target| target == binary) {
        return Ok(());
    }
    let temporary = hook.with_extension("new");
    let _ = std::fs::remove_file(&temporary);
    std::os::unix::fs::symlink(binary, &temporary)?;
    std::fs::rename(temporary, hook)
}
