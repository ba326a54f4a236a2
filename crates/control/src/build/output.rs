//! What a build says: kept in a file and passed on to whoever pushes.

use bytes::Bytes;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use tokio::sync::mpsc;

/// More output than this is passed on but no longer kept, in bytes (Heroku: 300 MB).
const KEPT_BYTES: u64 = 64 << 20;

pub(crate) struct BuildOutput {
    file: Option<File>,
    kept: u64,
    client: mpsc::UnboundedSender<Bytes>,
}

impl BuildOutput {
    /// Output that goes to `client` only.
    pub(crate) fn to(client: mpsc::UnboundedSender<Bytes>) -> Self {
        Self { file: None, kept: 0, client }
    }

    /// Output that nobody waits for: it is only kept.
    pub(crate) fn to_nobody() -> Self {
        Self::to(mpsc::unbounded_channel().0)
    }

    /// Keeps what follows in `file` too.
    pub(crate) fn keep_in(&mut self, file: &Path) {
        let opened =
            file.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| File::create(file));
        match opened {
            Ok(opened) => self.file = Some(opened),
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "build output is not kept")
            }
        }
    }

    pub(crate) fn write(&mut self, bytes: Bytes) {
        if let Some(file) = &mut self.file
            && self.kept < KEPT_BYTES
        {
            self.kept += bytes.len() as u64;
            if let Err(error) = file.write_all(&bytes) {
                tracing::warn!(%error, "build output could not be kept");
                self.file = None;
            }
        }
        // A client that went away is noticed by its connection.
        let _ = self.client.send(bytes);
    }

    /// Writes one line as it is.
    pub(crate) fn line(&mut self, text: &str) {
        self.write(Bytes::from(format!("{text}\n")));
    }

    /// Writes a heading: `-----> Launching...`
    pub(crate) fn heading(&mut self, text: &str) {
        self.line(&format!("-----> {text}"));
    }

    /// Writes lines below a heading, indented by seven.
    pub(crate) fn detail(&mut self, text: &str) {
        for line in text.lines() {
            self.line(&format!("       {line}"));
        }
    }

    /// Writes an error, marked as Heroku marks them.
    pub(crate) fn error(&mut self, text: &str) {
        for line in text.lines() {
            self.line(&format!(" !     {line}"));
        }
    }
}
