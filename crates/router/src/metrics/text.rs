//! The metrics in Prometheus' text format, version 0.0.4.

use super::AppMetrics;
use super::counters::{BOUNDS, Sums};
use std::fmt::Write;
use std::sync::Arc;

/// What there is of the router as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole {
    pub requests: u64,
    pub in_flight: u64,
    pub connections: u64,
    pub apps: u64,
    pub log_lines_dropped: u64,
}

/// One app and its counters.
pub(crate) struct Named {
    pub name: String,
    pub metrics: Arc<AppMetrics>,
    /// Name and requests in flight of each target.
    pub in_flight: Vec<(Arc<str>, u64)>,
    pub waiting: u64,
}

/// Returns the text. Apps without requests are left out.
pub(crate) fn render(whole: &Whole, apps: &[Named]) -> String {
    let mut out = String::new();
    let Whole { requests, in_flight, connections, apps: count, log_lines_dropped } = *whole;
    single(
        &mut out,
        "requests_total",
        "counter",
        "Requests that the router took, of all hosts.",
        requests,
    );
    single(&mut out, "in_flight", "gauge", "Requests, streams and tunnels under way.", in_flight);
    single(&mut out, "connections", "gauge", "Connections of clients.", connections);
    single(&mut out, "apps", "gauge", "Apps in the route table.", count);
    let help = "Router lines that did not get into a log.";
    single(&mut out, "log_lines_dropped_total", "counter", help, log_lines_dropped);
    let sums: Vec<_> = apps.iter().map(|app| (app, app.metrics.sums())).collect();
    let each = |out: &mut String, name: &str, value: fn(&Sums) -> u64| {
        for (app, sums) in &sums {
            for (target, class, sums) in sums {
                let labels = labels(&app.name, target, class);
                let _ = writeln!(out, "windlass_router_{name}{{{labels}}} {}", value(sums));
            }
        }
    };
    head(
        &mut out,
        "app_requests_total",
        "counter",
        "Requests that have ended, by app, target and class of status; without a target those that the router answered.",
    );
    each(&mut out, "app_requests_total", |sums| sums.requests);
    head(&mut out, "app_bytes_total", "counter", "Bytes of answers' bodies sent to clients.");
    each(&mut out, "app_bytes_total", |sums| sums.bytes);
    head(
        &mut out,
        "app_service_seconds",
        "histogram",
        "From when a request was sent to its target to the end of the answer.",
    );
    for (app, sums) in &sums {
        for (target, class, sums) in sums.iter().filter(|(target, ..)| !target.is_empty()) {
            histogram(&mut out, &labels(&app.name, target, class), sums);
        }
    }
    head(
        &mut out,
        "app_errors_total",
        "counter",
        "Requests that ended with one of Heroku's error codes.",
    );
    for app in apps {
        for (code, count) in app.metrics.errors() {
            let name = escaped(&app.name);
            let _ = writeln!(
                out,
                "windlass_router_app_errors_total{{app=\"{name}\",code=\"{code}\"}} {count}"
            );
        }
    }
    gauges(&mut out, apps);
    out
}

fn gauges(out: &mut String, apps: &[Named]) {
    head(out, "app_in_flight", "gauge", "Requests, streams and tunnels under way at a target.");
    for app in apps {
        let name = escaped(&app.name);
        for (target, count) in app.in_flight.iter().filter(|(_, count)| *count > 0) {
            let target = escaped(target);
            let _ = writeln!(
                out,
                "windlass_router_app_in_flight{{app=\"{name}\",dyno=\"{target}\"}} {count}"
            );
        }
    }
    head(out, "app_waiting", "gauge", "Requests that wait for a target to start or to have room.");
    for app in apps.iter().filter(|app| app.waiting > 0) {
        let (name, waiting) = (escaped(&app.name), app.waiting);
        let _ = writeln!(out, "windlass_router_app_waiting{{app=\"{name}\"}} {waiting}");
    }
}

fn single(out: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    head(out, name, kind, help);
    let _ = writeln!(out, "windlass_router_{name} {value}");
}

/// Writing to a string cannot fail.
fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP windlass_router_{name} {help}");
    let _ = writeln!(out, "# TYPE windlass_router_{name} {kind}");
}

fn labels(app: &str, target: &str, class: &str) -> String {
    format!("app=\"{}\",dyno=\"{}\",status=\"{class}\"", escaped(app), escaped(target))
}

fn histogram(out: &mut String, labels: &str, sums: &Sums) {
    let name = "windlass_router_app_service_seconds";
    let mut below = 0;
    for (bound, count) in BOUNDS.iter().zip(&sums.times) {
        below += count;
        let bound = *bound as f64 / 1e6;
        let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}");
    }
    below += sums.times[BOUNDS.len()];
    let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {below}");
    let _ = writeln!(out, "{name}_sum{{{labels}}} {}", sums.micros as f64 / 1e6);
    let _ = writeln!(out, "{name}_count{{{labels}}} {below}");
}

/// Names are plain words, but nothing here depends on it.
fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::Sample;
    use super::*;
    use crate::access_log::ErrorCode;
    use std::time::Duration;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let metrics = Arc::new(AppMetrics::default());
        let sample = |status, millis| Sample {
            status,
            bytes: 1_000,
            service: Some(Duration::from_millis(millis)),
        };
        metrics.record(Some(&metrics.target("web.1")), None, &sample(200, 3));
        metrics.record(Some(&metrics.target("web.1")), None, &sample(200, 300));
        let refused = Sample { status: 503, bytes: 0, service: None };
        metrics.record(None, Some(ErrorCode::BacklogTooDeep), &refused);
        let in_flight = vec![("web.1".into(), 2), ("web.2".into(), 0)];
        let apps = [
            Named { name: "hello".to_owned(), metrics, in_flight, waiting: 1 },
            Named {
                name: "idle".to_owned(),
                metrics: Arc::default(),
                in_flight: Vec::new(),
                waiting: 0,
            },
        ];
        let whole =
            Whole { requests: 4, in_flight: 2, connections: 3, apps: 2, log_lines_dropped: 0 };
        let text = render(&whole, &apps);
        assert_eq!(text, include_str!("expected.txt"), "\n{text}");
    }
}
