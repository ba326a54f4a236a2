//! What is done with an SSH channel, whatever it is for.

use bytes::Bytes;
use russh::ChannelWriteHalf;
use russh::server::Msg;
use std::future::Future;

/// The extended data type of standard error.
pub(crate) const STANDARD_ERROR: u32 = 1;

/// The client went away before its command had ended.
pub(crate) struct Gone;

impl From<russh::Error> for Gone {
    fn from(_: russh::Error) -> Self {
        Self
    }
}

/// Serves a channel in a task of its own.
pub(crate) fn in_background(work: impl Future<Output = Result<(), Gone>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(Gone) = work.await {
            tracing::debug!("an SSH client is gone");
        }
    });
}

/// Writes a line to the client's standard error.
pub(crate) async fn say(writer: &ChannelWriteHalf<Msg>, message: &str) -> Result<(), Gone> {
    Ok(writer.extended_data_bytes(STANDARD_ERROR, Bytes::from(format!("{message}\n"))).await?)
}

/// Ends a session the way ssh expects it: its exit code, no more data, closed.
pub(crate) async fn close(writer: &ChannelWriteHalf<Msg>, code: u32) -> Result<(), Gone> {
    writer.exit_status(code).await?;
    writer.eof().await?;
    Ok(writer.close().await?)
}
