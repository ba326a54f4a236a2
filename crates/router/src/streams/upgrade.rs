//! A request that may become a tunnel over its stream.

use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Says that a request may become a tunnel over its stream, which is there once it was answered.
/// Goes with the request as `hyper::upgrade::OnUpgrade` does.
pub(crate) struct Upgrade<S>(Arc<Mutex<Option<oneshot::Receiver<S>>>>);

impl<S> Clone for Upgrade<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Upgrade<S> {
    pub fn new(stream: oneshot::Receiver<S>) -> Self {
        Self(Arc::new(Mutex::new(Some(stream))))
    }

    /// Waits for the stream; `None` when the client went away before, or it was given out already.
    pub async fn stream(self) -> Option<S> {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        stream?.await.ok()
    }
}
