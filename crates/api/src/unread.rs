//! Bodies that no handler wanted. Where one is refused before its body has come, hyper closes the
//! connection after the answer without saying so, and the client's next request on it is lost.

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

/// Longer ones are not worth reading, in bytes: the connection is closed.
const LONGEST: u64 = 64 << 10;
/// How long the rest is waited for.
const LIMIT: Duration = Duration::from_secs(2);

/// A request's body, of which the rest can be read after its handler.
pub(crate) struct KeptBody(Arc<Mutex<Incoming>>);

/// The other half.
pub(crate) struct Rest(Arc<Mutex<Incoming>>);

pub(crate) fn keep(body: Incoming) -> (KeptBody, Rest) {
    let body = Arc::new(Mutex::new(body));
    (KeptBody(Arc::clone(&body)), Rest(body))
}

impl Rest {
    /// Reads what the handler left, if it is short; nothing while somebody still reads it.
    pub async fn read(self) {
        let Some(body) = Arc::into_inner(self.0) else { return };
        let body = body.into_inner().unwrap_or_else(PoisonError::into_inner);
        let is_short = body.size_hint().upper().is_some_and(|size| size <= LONGEST);
        if is_short && !body.is_end_stream() {
            // What cannot be read ends the connection, which hyper sees by itself.
            let _ = tokio::time::timeout(LIMIT, body.collect()).await;
        }
    }
}

impl KeptBody {
    fn with<T>(&self, use_it: impl FnOnce(&mut Incoming) -> T) -> T {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Body for KeptBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.with(|body| Pin::new(body).poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|body| body.size_hint())
    }
}
