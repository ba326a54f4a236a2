//! Route: the table that the router should have, and getting it there.

mod hosts;
mod links;
mod metrics;
mod settings;

pub use hosts::DomainCheck;
pub(crate) use links::LinkSync;
pub use links::LinkView;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use windlass_core::challenges::Challenges;
use windlass_core::ids::{AppId, InstanceId};
use windlass_core::route::{
    AppRoute, RouteCertificate, RouterCommand, RouterPort, RouterReply, RouterUnavailable,
};

/// The wanted table. What is wanted is written here before it is sent, so that a router that was
/// away gets all of it with [`Routes::sync`].
pub struct Routes {
    router: Arc<dyn RouterPort>,
    wanted: Mutex<Wanted>,
}

#[derive(Default)]
struct Wanted {
    routes: BTreeMap<AppId, AppRoute>,
    /// Apps whose last change failed: the router may serve by it all the same, as when it could
    /// not be saved. Whatever is wanted next is sent, known or not.
    unsure: BTreeSet<AppId>,
}

impl Routes {
    pub(crate) fn new(router: Arc<dyn RouterPort>) -> Self {
        Self { router, wanted: Mutex::default() }
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a route without sending it: [`Routes::sync`] follows.
    pub(crate) fn note(&self, route: AppRoute) {
        self.wanted().routes.insert(route.app, route);
    }

    /// Sends the whole table.
    pub(crate) async fn sync(&self) -> Result<(), RouterUnavailable> {
        let routes = self.wanted().routes.values().cloned().collect();
        applied(self.router.send(RouterCommand::Sync { routes }).await?)
    }

    /// Puts a route in force; returns once the router has it, or false when it had it already.
    pub(crate) async fn upsert(&self, route: AppRoute) -> Result<bool, RouterUnavailable> {
        let before = {
            let mut wanted = self.wanted();
            let before = wanted.routes.insert(route.app, route.clone());
            if before.as_ref() == Some(&route) && !wanted.unsure.contains(&route.app) {
                return Ok(false);
            }
            before
        };
        let (app, sent) = (route.app, self.router.send(RouterCommand::Upsert { route }).await);
        let outcome = sent.and_then(applied);
        let mut wanted = self.wanted();
        if outcome.is_ok() {
            wanted.unsure.remove(&app);
        } else {
            wanted.unsure.insert(app);
            match before {
                Some(before) => wanted.routes.insert(app, before),
                None => wanted.routes.remove(&app),
            };
        }
        outcome.map(|()| true)
    }

    pub(crate) async fn remove(&self, app: AppId) -> Result<(), RouterUnavailable> {
        {
            let mut wanted = self.wanted();
            wanted.routes.remove(&app);
            wanted.unsure.remove(&app);
        }
        applied(self.router.send(RouterCommand::Remove { app }).await?)
    }

    /// Replaces all certificates; returns once they are in force.
    pub(crate) async fn set_certificates(
        &self,
        certificates: Vec<RouteCertificate>,
    ) -> Result<(), RouterUnavailable> {
        applied(self.router.send(RouterCommand::Certificates { certificates }).await?)
    }

    /// Replaces what is answered to certificate authorities; returns once it is.
    pub(crate) async fn set_challenges(
        &self,
        challenges: Challenges,
    ) -> Result<(), RouterUnavailable> {
        applied(self.router.send(RouterCommand::Challenges { challenges }).await?)
    }

    /// Waits until nothing is in flight on an instance that is out of the table, at most `timeout`.
    /// Returns what was still open. A router that went away has nothing in flight.
    pub(crate) async fn drain(&self, instance: InstanceId, timeout: Duration) -> u64 {
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        match self.router.send(RouterCommand::Drain { instance, timeout_ms }).await {
            Ok(RouterReply::Drained { in_flight }) => in_flight,
            Ok(other) => {
                tracing::warn!(?other, "the router answered a drain with something else");
                0
            }
            Err(error) => {
                tracing::warn!(%error, "the router went away during a drain");
                0
            }
        }
    }
}

fn applied(reply: RouterReply) -> Result<(), RouterUnavailable> {
    match reply {
        RouterReply::Applied => Ok(()),
        RouterReply::Failed { message } => Err(RouterUnavailable(message)),
        other => Err(RouterUnavailable(format!("unexpected answer {other:?}"))),
    }
}

impl crate::Platform {
    /// Sends the router the whole table: for a router that has just been started again.
    pub async fn sync_routes(&self) -> Result<(), RouterUnavailable> {
        self.routes().sync().await?;
        self.send_certificates_or_later().await;
        self.sync_challenges().await
    }
}

#[cfg(test)]
mod tests;
