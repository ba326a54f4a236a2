//! What a drain leads to: an HTTP server or a syslog one.

use crate::outgoing::{HttpConnection, Outgoing, SendError, Stream};
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use windlass_core::log_drain::{Batch, Verdict, verdict};
use windlass_core::outgoing::OutgoingUrl;

/// How long a target may take over a batch.
const LIMIT: Duration = Duration::from_secs(10);

/// A target with its connection, which is kept between batches.
pub(super) struct Target {
    url: OutgoingUrl,
    token: String,
    http: Option<HttpConnection>,
    stream: Option<Box<dyn Stream>>,
    /// Of the batch that is being sent: the same when it is sent again.
    frame: Option<String>,
}

impl Target {
    pub(super) fn new(url: OutgoingUrl, token: String) -> Self {
        Self { url, token, http: None, stream: None, frame: None }
    }

    /// The next batch is another one, even if this one was not taken.
    pub(super) fn forget_frame(&mut self) {
        self.frame = None;
    }

    /// Sends a batch; an error says why nobody took it.
    pub(super) async fn send(
        &mut self,
        outgoing: &Outgoing,
        batch: &Batch,
    ) -> Result<Verdict, String> {
        if self.url.scheme.is_http() {
            let answered = self.post(outgoing, batch).await;
            if !self.http.as_ref().is_some_and(HttpConnection::is_usable) {
                self.http = None;
            }
            let status = answered.map_err(|error| error.to_string())?;
            let verdict = verdict(Some(status));
            return match verdict {
                Verdict::Later => Err(format!("it answers with status {status}")),
                Verdict::Taken | Verdict::Refused => {
                    self.frame = None;
                    Ok(verdict)
                }
            };
        }
        let sent = self.write(outgoing, batch).await;
        if sent.is_err() {
            self.stream = None;
        }
        sent.map(|()| Verdict::Taken)
    }

    async fn post(&mut self, outgoing: &Outgoing, batch: &Batch) -> Result<u16, SendError> {
        let frame = self.frame.get_or_insert_with(|| uuid::Uuid::new_v4().simple().to_string());
        let headers = [
            (CONTENT_TYPE, "application/logplex-1".to_owned()),
            (HeaderName::from_static("logplex-msg-count"), batch.messages.to_string()),
            (HeaderName::from_static("logplex-frame-id"), frame.clone()),
            (HeaderName::from_static("logplex-drain-token"), self.token.clone()),
        ];
        let connection = match &mut self.http {
            Some(connection) => connection,
            none => none.insert(HttpConnection::open(outgoing, &self.url).await?),
        };
        connection.post(&self.url, &headers, Bytes::from(batch.bytes.clone()), LIMIT).await
    }

    async fn write(&mut self, outgoing: &Outgoing, batch: &Batch) -> Result<(), String> {
        if let Some(stream) = &mut self.stream
            && has_ended(stream.as_mut()).await
        {
            self.stream = None;
        }
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(outgoing.connect(&self.url).await.map_err(|e| e.to_string())?),
        };
        let written = async {
            stream.write_all(&batch.bytes).await?;
            stream.flush().await
        };
        match tokio::time::timeout(LIMIT, written).await {
            Ok(written) => written.map_err(|error| format!("the connection broke: {error}")),
            Err(_) => Err(format!("it took nothing within {} s", LIMIT.as_secs())),
        }
    }
}

/// Whether the other end has closed, which a write alone learns too late. What it says is not
/// looked at.
async fn has_ended(stream: &mut dyn Stream) -> bool {
    let mut said = [0; 256];
    loop {
        tokio::select! {
            biased;
            read = stream.read(&mut said) => match read {
                Ok(0) | Err(_) => return true,
                Ok(_) => {}
            },
            () = std::future::ready(()) => return false,
        }
    }
}
