//! What is written down beside the requests that it is about: the audit trail and when tokens
//! were used. Nobody waits for it.

use crate::records::{Activity, App, Store};
use crate::{Platform, Result};
use std::time::Duration;
use tokio::sync::mpsc;
use windlass_core::ids::TokenId;

/// More than that waits only if the disk stands still; then the newest are dropped, and the log
/// says so.
const MOST_WAITING: usize = 10_000;
/// So much comes together in one write.
const GATHERED: Duration = Duration::from_millis(100);

enum Note {
    Activity(Activity),
    TokenUsed(TokenId, u64),
}

/// Takes notes. Dropping it has what is left written, as long as the runtime lives.
pub(crate) struct Recorder(mpsc::Sender<Note>);

impl Recorder {
    pub(crate) fn start(store: Store) -> Self {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        tokio::spawn(write_down(store, receiver));
        Self(sender)
    }

    pub(crate) fn token_used(&self, token: TokenId, at: u64) {
        // Lost at worst: a time to within a minute.
        let _ = self.0.try_send(Note::TokenUsed(token, at));
    }

    fn activity(&self, activity: Activity) {
        if let Err(error) = self.0.try_send(Note::Activity(activity)) {
            let (mpsc::error::TrySendError::Full(note) | mpsc::error::TrySendError::Closed(note)) =
                error;
            if let Note::Activity(lost) = note {
                tracing::error!(
                    user = lost.email,
                    action = lost.action,
                    "a change is missing from the audit trail"
                );
            }
        }
    }
}

async fn write_down(store: Store, mut notes: mpsc::Receiver<Note>) {
    let mut gathered = Vec::new();
    while notes.recv_many(&mut gathered, MOST_WAITING).await > 0 {
        tokio::time::sleep(GATHERED).await;
        while let Ok(note) = notes.try_recv() {
            gathered.push(note);
        }
        let (store, batch) = (store.clone(), std::mem::take(&mut gathered));
        let written = tokio::task::spawn_blocking(move || write(&store, batch)).await;
        if let Ok(Err(error)) = written {
            tracing::error!(%error, "the audit trail could not be written");
        }
    }
}

fn write(store: &Store, batch: Vec<Note>) -> windlass_store::Result<()> {
    let (mut activities, mut uses) = (Vec::new(), Vec::new());
    for note in batch {
        match note {
            Note::Activity(activity) => activities.push(activity),
            Note::TokenUsed(token, at) => uses.push((token, at)),
        }
    }
    if !activities.is_empty() {
        store.insert_activity(&activities)?;
    }
    if !uses.is_empty() {
        store.note_token_uses(&uses)?;
    }
    Ok(())
}

impl Platform {
    /// Writes down, soon, that somebody changed something.
    pub fn record_activity(&self, activity: Activity) {
        self.recorder().activity(activity);
    }

    /// Returns what was changed, the newest first, each with its number: of an app, or at all.
    pub fn activity(&self, app: Option<&App>, most: u32) -> Result<Vec<(u64, Activity)>> {
        Ok(self.store().activity(app.map(|app| app.id), most)?)
    }
}
