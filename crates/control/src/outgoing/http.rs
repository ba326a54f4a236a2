//! HTTP/1.1 over a checked connection: one request after the other.

use super::{ConnectError, Outgoing};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use windlass_core::outgoing::OutgoingUrl;

/// The longest answer that is read to use the connection again, in bytes.
const ANSWER_BYTES: usize = 64 << 10;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("the request cannot be written: {0}")]
    Request(#[from] hyper::http::Error),
}

impl SendError {
    /// One word for it, as attempts of deliveries show it.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::Connect(error) => error.class(),
            Self::Http(_) | Self::Request(_) => "http",
            Self::TimedOut(_) => "timeout",
        }
    }
}

/// A connection to where a URL leads; it ends when it is dropped.
pub(crate) struct HttpConnection {
    sender: SendRequest<Full<Bytes>>,
    connection: tokio::task::JoinHandle<()>,
    usable: bool,
}

impl HttpConnection {
    pub(crate) async fn open(outgoing: &Outgoing, url: &OutgoingUrl) -> Result<Self, SendError> {
        let stream = outgoing.connect(url).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(async move {
            // Whoever waits for an answer is told as well.
            let _ = connection.await;
        });
        Ok(Self { sender, connection, usable: true })
    }

    /// Whether another request may be sent.
    pub(crate) fn is_usable(&self) -> bool {
        self.usable && !self.sender.is_closed()
    }

    /// Sends a request and returns the status of its answer, whatever that is.
    pub(crate) async fn post(
        &mut self,
        url: &OutgoingUrl,
        headers: &[(HeaderName, String)],
        body: Bytes,
        limit: Duration,
    ) -> Result<u16, SendError> {
        self.usable = false;
        let request = request(url, headers, body)?;
        let answered = async {
            let answer = self.sender.send_request(request).await?;
            let status = answer.status().as_u16();
            // Only its end tells that the connection is free again.
            let rest = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
            Ok::<_, hyper::Error>((status, rest.is_ok()))
        };
        let answered = tokio::time::timeout(limit, answered).await;
        let (status, whole) = answered.map_err(|_| SendError::TimedOut(limit))??;
        self.usable = whole;
        Ok(status)
    }
}

impl Drop for HttpConnection {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

fn request(
    url: &OutgoingUrl,
    headers: &[(HeaderName, String)],
    body: Bytes,
) -> Result<Request<Full<Bytes>>, SendError> {
    let mut request = Request::post(&url.path)
        .header(HOST, url.host_header())
        .header(USER_AGENT, concat!("Windlass/", env!("CARGO_PKG_VERSION")));
    if let Some((user, password)) = &url.credentials {
        let basic = STANDARD.encode(format!("{user}:{password}"));
        request = request.header(AUTHORIZATION, format!("Basic {basic}"));
    }
    let mut request = request.body(Full::new(body))?;
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).map_err(hyper::http::Error::from)?;
        // In place of what the URL says.
        request.headers_mut().insert(name.clone(), value);
    }
    Ok(request)
}
