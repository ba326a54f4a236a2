//! Targets: the instances that take requests, what each has in flight, and which one is next.

mod choose;
pub(crate) mod health;
pub(crate) mod in_flight;
pub(crate) mod pool;
mod queue;

pub(crate) use choose::{choose, is_fit};
pub(crate) use health::{Health, Outcome};
pub(crate) use in_flight::{InFlight, Refused};
pub(crate) use queue::{Place, Queue};

use crate::http1;
use crate::http2::target::SharedConnections;
use crate::metrics::TargetMetrics;
use pool::Pool;
use std::net::SocketAddr;
use std::sync::Arc;

/// One instance at one address.
pub(crate) struct Target {
    /// `web.1`
    pub name: Arc<str>,
    pub address: SocketAddr,
    pub in_flight: Arc<InFlight>,
    pub pool: Pool,
    /// Those of requests that come and go as HTTP/1.
    pub streams: http1::Pool,
    /// Where the app speaks h2c.
    pub shared: SharedConnections,
    pub health: Health,
    /// Of the app's target of this name, whichever instance it is.
    pub metrics: Arc<TargetMetrics>,
    /// The app's requests that wait for room.
    queue: Arc<Queue>,
}

/// What a target shares with others of its app, or with those before it.
pub(crate) struct Shared {
    pub in_flight: Arc<InFlight>,
    pub metrics: Arc<TargetMetrics>,
    pub queue: Arc<Queue>,
}

impl Target {
    pub fn new(name: &str, address: SocketAddr, shared: Shared, health: Health) -> Self {
        let Shared { in_flight, metrics, queue } = shared;
        Self {
            name: name.into(),
            address,
            in_flight,
            pool: Pool::default(),
            streams: http1::Pool::default(),
            shared: SharedConnections::default(),
            health,
            metrics,
            queue,
        }
    }

    /// Notes what a request has shown of the target.
    pub fn report(&self, outcome: Outcome) {
        self.health.report(outcome);
    }
}

/// Counts one request, stream or tunnel at its target until it is dropped.
pub(crate) struct Guard {
    target: Arc<Target>,
}

impl Guard {
    /// Counts a request at `target`, unless the target has left the table or has `most` in flight.
    pub fn enter(target: &Arc<Target>, most: Option<u64>) -> Result<Self, Refused> {
        target.in_flight.enter(most)?;
        Ok(Self { target: Arc::clone(target) })
    }

    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.target.in_flight.leave();
        self.target.queue.call_one();
    }
}
