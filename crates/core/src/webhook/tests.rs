use super::*;
use serde_json::json;

fn resource(kind: Kind, data: Value) -> Resource {
    Resource { kind, data }
}

fn app(maintenance: bool) -> Resource {
    resource(Kind::App, json!({"id": "a", "maintenance": maintenance}))
}

fn release(version: u32, status: &str, current: bool) -> Resource {
    let second = version % 60;
    resource(
        Kind::Release,
        json!({"id": format!("r{version}"), "version": version, "status": status, "current": current,
               "created_at": format!("2026-01-01T00:00:{second:02}Z"), "updated_at": "later"}),
    )
}

/// Kind, action and the id of each change.
fn told(changes: &[Change]) -> Vec<String> {
    let line = |change: &Change| {
        let id = change.data["id"].as_str().unwrap();
        format!("{} {} {id}", change.kind.as_str(), change.action.as_str())
    };
    changes.iter().map(line).collect()
}

#[test]
fn a_change_is_told_with_what_was_before() {
    let told = changes(&[app(false)], &[app(true)]);
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].action, &told[0].previous),
        (Action::Update, &json!({"maintenance": false}))
    );
    assert_eq!(changes(&[app(true)], &[app(true)]), []);
}

#[test]
fn a_release_that_came_and_succeeded_is_told_as_pending_first() {
    let before = [app(false), release(1, "succeeded", true)];
    let after = [app(false), release(1, "succeeded", false), release(2, "succeeded", true)];
    let changes = changes(&before, &after);
    assert_eq!(told(&changes), ["release create r2", "release update r2"], "v1 only ceased to be");
    assert_eq!(changes[0].data["status"], "pending");
    assert_eq!(changes[0].data["current"], false);
    assert_eq!(changes[1].data["status"], "succeeded");
    assert_eq!(changes[1].previous["status"], "pending");
    let pending = super::changes(&before, &[app(false), release(2, "pending", false)]);
    assert_eq!(told(&pending), ["release create r2"]);
}

#[test]
fn old_releases_that_go_out_of_view_or_come_into_it_are_not_told() {
    let before = [app(false), release(3, "succeeded", true), release(2, "succeeded", false)];
    let after = [app(false), release(3, "succeeded", true), release(1, "succeeded", false)];
    assert_eq!(changes(&before, &after), []);
}

#[test]
fn what_is_gone_is_told_and_of_a_gone_app_only_that() {
    let domain = resource(Kind::Domain, json!({"id": "d"}));
    let before = [app(false), domain];
    assert_eq!(told(&changes(&before, &[app(false)])), ["domain destroy d"]);
    assert_eq!(told(&changes(&before, &[])), ["app destroy a"]);
}

#[test]
fn dynos_are_told_from_their_start() {
    let up = resource(Kind::Dyno, json!({"id": "w", "state": "up", "created_at": "1"}));
    let changes = changes(&[app(false)], &[app(false), up]);
    assert_eq!(told(&changes), ["dyno create w", "dyno update w"]);
    assert_eq!(changes[0].data["state"], "starting");
}

#[test]
fn attempts_are_repeated_ever_later_and_come_to_an_end() {
    let mut now = 0;
    let mut waits = Vec::new();
    let mut attempts = 1;
    while let Next::RetryAt(at) = after_attempt(Level::Notify, false, attempts, 0, now) {
        waits.push((at - now) / 1_000);
        (now, attempts) = (at, attempts + 1);
    }
    assert_eq!(waits, [10, 60, 300]);

    (now, attempts) = (0, 1);
    let mut waits = Vec::new();
    while let Next::RetryAt(at) = after_attempt(Level::Sync, false, attempts, 0, now) {
        waits.push((at - now) / 1_000);
        (now, attempts) = (at, attempts + 1);
    }
    assert_eq!(waits[..5], [5, 10, 20, 40, 80]);
    assert_eq!(waits.last(), Some(&3_600));
    let hours = waits.iter().sum::<u64>() / 3_600;
    assert!((70..=72).contains(&hours), "{hours} h");
    assert_eq!(after_attempt(Level::Sync, true, 9, 0, SYNC_MS * 2), Next::Succeeded);
    assert_eq!(after_attempt(Level::Sync, false, u32::MAX, 0, SYNC_MS), Next::Failed);
}

#[test]
fn webhooks_are_checked() {
    let include = |names: &[&str]| checked_include(names.iter().map(|n| (*n).into()).collect());
    assert_eq!(
        include(&["dyno", "api:app", "dyno"]).unwrap(),
        ["api:app", "dyno"],
        "sorted and once each"
    );
    assert_eq!(include(&[]), Err(WebhookError::NothingIncluded));
    assert_eq!(include(&["api:apps"]), Err(WebhookError::UnknownEntity("api:apps".into())));
    assert_eq!("sync".parse(), Ok(Level::Sync));
    assert!("Sync".parse::<Level>().is_err());
    assert!(checked_text("secret", "a b~").is_ok());
    for bad in ["", "a\r\nX: y", "é", &"x".repeat(SECRET_BYTES + 1)] {
        assert!(checked_text("secret", bad).is_err(), "{bad:?}");
    }
    for kind in [Kind::App, Kind::Dyno, Kind::SniEndpoint, Kind::Collaborator, Kind::Formation] {
        assert!(kind.entities().iter().all(|name| ENTITIES.contains(name)), "{kind:?}");
    }
}
