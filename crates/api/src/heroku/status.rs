//! The status page that `heroku status` reads: without a login, so it says no more than colours.

use crate::convention::{Control, Endpoints, Needs, now};
use axum::Json;
use serde_json::{Value, json};
use windlass_control::observe::Health;

pub(super) fn endpoints() -> Endpoints {
    Endpoints::new().get("/api/v4/current-status", Needs::Nobody, current)
}

async fn current(Control(platform): Control) -> Json<Value> {
    Json(shape(platform.health().await, &now(), &platform.settings().api_url))
}

/// Apps run while tools do not; there is no managed data.
fn shape(health: Health, now: &str, url: &str) -> Value {
    let apps = if health.router_is_away { "red" } else { "green" };
    let tools = if health.driver_is_away {
        "red"
    } else if health.disk_is_full {
        "yellow"
    } else {
        "green"
    };
    let faults = [
        (health.router_is_away, "Apps are not reached: the router does not answer."),
        (health.driver_is_away, "Deploys, restarts and scaling fail: what runs cannot be seen."),
        (health.disk_is_full, "Deploys are refused: the disk is nearly full."),
    ];
    let incidents = faults.into_iter().enumerate().filter(|(_, (is_so, _))| *is_so);
    let incidents: Vec<Value> = incidents
        .map(|(number, (_, title))| {
            json!({
                "id": number, "state": "open", "title": title, "created_at": now, "updated_at": now,
                "full_url": format!("{url}/api/v4/current-status"), "updates": [],
            })
        })
        .collect();
    json!({
        "status": [
            {"system": "Apps", "status": apps},
            {"system": "Data", "status": "green"},
            {"system": "Tools", "status": tools},
        ],
        "incidents": incidents,
        "scheduled": [],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_has_a_colour_and_a_sentence() {
        let colours = |health| {
            let page = shape(health, "2026-01-02T03:04:05Z", "http://a");
            let of = |at: usize| page["status"][at]["status"].as_str().unwrap().to_owned();
            (of(0), of(2), page["incidents"].as_array().unwrap().len())
        };
        let well = Health::default();
        assert_eq!(colours(well), ("green".into(), "green".into(), 0));
        let full = Health { disk_is_full: true, ..well };
        assert_eq!(colours(full), ("green".into(), "yellow".into(), 1));
        let down = Health { router_is_away: true, driver_is_away: true, disk_is_full: true };
        assert_eq!(colours(down), ("red".into(), "red".into(), 3));
    }
}
