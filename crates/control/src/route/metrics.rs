//! What the router has counted, for the owner.

use crate::records::User;
use crate::{Platform, PlatformError, Result};
use windlass_core::route::{RouterCommand, RouterReply, RouterUnavailable};

impl Platform {
    /// Returns the router's metrics in Prometheus' text format. They are of all apps, and so only
    /// for the server's owner.
    ///
    /// # Errors
    /// When somebody else asks, and while there is no router.
    pub async fn router_metrics(&self, user: &User) -> Result<String> {
        if !self.is_owner(user)? {
            let message = "Only the server's owner sees the metrics of all apps.";
            return Err(PlatformError::Forbidden(message.to_owned()));
        }
        let text = match self.routes().router.send(RouterCommand::Metrics).await {
            Ok(RouterReply::Metrics { text }) => Ok(text),
            Ok(other) => Err(RouterUnavailable(format!("unexpected answer {other:?}"))),
            Err(error) => Err(error),
        };
        text.map_err(|error| PlatformError::Conflict(format!("{error}; ask again in a moment")))
    }

    /// Whether there is a router that takes commands.
    pub(crate) async fn router_answers(&self) -> bool {
        self.routes().router.send(RouterCommand::Metrics).await.is_ok()
    }
}
