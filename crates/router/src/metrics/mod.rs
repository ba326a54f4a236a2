//! Counts of what the router answers: per app, target and class of status, errors by their code.
//!
//! A request adds to a few counters of its own thread's share when it ends; nothing is locked and
//! nobody waits. Whoever asks adds the shares up. What counts belongs to the app in the table: it
//! lives on when the route is replaced or a target of the same name takes another's place, and goes
//! when the app does. An app or target without requests has no counters.

mod counters;
mod text;

pub(crate) use counters::{AppMetrics, Sample, TargetMetrics};

use crate::run::Router;
use crate::table::App;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use text::{Named, Whole, render};

/// Returns all metrics of a router as text.
pub(crate) fn text(router: &Router) -> String {
    let table = router.table.current();
    let limit = router.limits.client_connections;
    let whole = Whole {
        requests: router.requests.load(Ordering::Relaxed),
        in_flight: router.in_flight.load(Ordering::Relaxed),
        connections: limit.saturating_sub(router.connections.available_permits()) as u64,
        apps: table.len() as u64,
        log_lines_dropped: router.log.dropped(),
    };
    let apps: Vec<Named> = table.apps().map(|app| named(app)).collect();
    render(&whole, &apps)
}

fn named(app: &App) -> Named {
    let in_flight =
        |target: &Arc<crate::target::Target>| (Arc::clone(&target.name), target.in_flight.count());
    Named {
        name: app.route.app_name.to_string(),
        metrics: Arc::clone(&app.metrics),
        in_flight: app.all_targets().map(in_flight).collect(),
        waiting: app.queue.len() as u64,
    }
}
