use crate::tests::{app, store};
use crate::{
    DeliveryAttempt, DeliveryStatus, LogDrain, Store, Webhook, WebhookDelivery, WebhookEvent,
    WebhookTarget,
};
use serde_json::json;
use windlass_core::ids::{AppId, LogDrainId, WebhookEventId, WebhookId};
use windlass_core::webhook::{KEPT_DELIVERIES, Kind, Level, Resource, WAITING_DELIVERIES};

fn webhook(app: AppId, level: Level, include: &[&str]) -> Webhook {
    Webhook {
        id: WebhookId::random(),
        app,
        include: include.iter().map(|name| (*name).to_owned()).collect(),
        level,
        target: WebhookTarget {
            url: "https://example.com/hush".into(),
            secret: "hush".into(),
            authorization: None,
        },
        created_at: 1,
        updated_at: 1,
    }
}

fn event(app: AppId, include: &str, at: u64) -> WebhookEvent {
    WebhookEvent {
        id: WebhookEventId::random(),
        app,
        number: 0,
        include: include.into(),
        payload: json!({"at": at}),
        created_at: at,
    }
}

fn failed(at: u64) -> DeliveryAttempt {
    DeliveryAttempt {
        id: uuid::Uuid::new_v4(),
        code: Some(500),
        error: None,
        succeeded: false,
        started_at: at,
        ended_at: at,
    }
}

fn tell(store: &Store, app: AppId, events: &[WebhookEvent]) -> usize {
    let changes = store.watched_app(app).unwrap().unwrap().changes;
    store.tell(app, changes, &[], events, false).unwrap().unwrap()
}

fn due(store: &Store, now: u64) -> Vec<WebhookDelivery> {
    store.due_deliveries(now).unwrap()
}

#[test]
fn whatever_is_told_counts_as_a_change_whoever_writes_it() {
    let (directory, store, user) = store();
    let watched = app(&store, &user, "watched").id;
    let other = app(&store, &user, "other").id;
    store.save_webhook(&webhook(watched, Level::Notify, &["api:app"]), &[]).unwrap();
    let connection = rusqlite::Connection::open(directory.path().join("windlass.db")).unwrap();
    connection.pragma_update(None, "foreign_keys", true).unwrap();
    let changes = || store.watched_app(watched).unwrap().map(|app| app.changes);
    assert_eq!(changes(), Some(1), "the first round always comes");
    let (id, owner) = (watched.to_string(), user.id.to_string());
    let statements = [
        format!(
            "INSERT INTO builds (id, app, user, status, created_at, updated_at) VALUES ('b', '{id}', '{owner}', 'pending', 1, 1)"
        ),
        "UPDATE builds SET status = 'failed' WHERE id = 'b'".into(),
        format!(
            "INSERT INTO formation (id, app, process, quantity, updated_at) VALUES ('f', '{id}', 'web', 1, 1)"
        ),
        "UPDATE formation SET quantity = 2 WHERE id = 'f'".into(),
        "DELETE FROM formation WHERE id = 'f'".into(),
        format!(
            "INSERT INTO domains (id, app, hostname, created_at) VALUES ('d', '{id}', 'a.example', 1)"
        ),
        "UPDATE domains SET hostname = 'b.example' WHERE id = 'd'".into(),
        "DELETE FROM domains WHERE id = 'd'".into(),
        format!(
            "INSERT INTO certificates (id, app, name, origin, names, chain, key, not_after, created_at, updated_at) VALUES ('c', '{id}', 'n', 'imported', '[]', '', x'00', 1, 1, 1)"
        ),
        "UPDATE certificates SET not_after = 2 WHERE id = 'c'".into(),
        "DELETE FROM certificates WHERE id = 'c'".into(),
        format!(
            "INSERT INTO collaborators (id, app, user, permissions, created_at, updated_at) VALUES ('p', '{id}', '{owner}', '[]', 1, 1)"
        ),
        "UPDATE collaborators SET updated_at = 2 WHERE id = 'p'".into(),
        "DELETE FROM collaborators WHERE id = 'p'".into(),
        format!(
            "INSERT INTO releases (id, app, version, status, description, user, config_vars, processes, created_at, updated_at) VALUES ('r', '{id}', 90, 'pending', '', '{owner}', x'00', '{{}}', 1, 1)"
        ),
        "UPDATE releases SET status = 'succeeded' WHERE id = 'r'".into(),
        format!("UPDATE apps SET maintenance = 1 WHERE id = '{id}'"),
    ];
    for statement in statements {
        let before = changes();
        connection.execute(&statement, []).unwrap();
        assert!(changes() > before, "{statement}");
    }
    let before = changes();
    store.rename_app(other, &"another".parse().unwrap(), 2).unwrap();
    assert_eq!(changes(), before, "what happens to other apps does not count");
    store.delete_app(watched).unwrap();
    assert!(changes() > before, "that it is gone is to be told");
    assert_eq!(store.changed_apps().unwrap().len(), 1);
}

#[test]
fn events_go_to_whoever_asked_for_them_and_are_told_once() {
    let (_directory, store, user) = store();
    let app = app(&store, &user, "told").id;
    store.save_webhook(&webhook(app, Level::Notify, &["api:app", "dyno"]), &[]).unwrap();
    store.save_webhook(&webhook(app, Level::Sync, &["api:app"]), &[]).unwrap();
    assert_eq!(store.apps_that_tell(&["dyno", "api:dyno"]).unwrap(), [app]);
    assert_eq!(store.apps_that_tell(&["api:build"]).unwrap(), []);

    let watched = store.changed_apps().unwrap().remove(0);
    let resources = [Resource { kind: Kind::App, data: json!({"id": app}) }];
    let events = [event(app, "api:app", 5), event(app, "dyno", 6), event(app, "api:build", 7)];
    let told = store.tell(app, watched.changes, &resources, &events, false).unwrap();
    assert_eq!(told, Some(3));
    assert_eq!(store.changed_apps().unwrap(), []);
    assert_eq!(store.watched_app(app).unwrap().unwrap().resources, resources);
    let stored = store.webhook_events(app).unwrap();
    let names: Vec<_> = stored.iter().map(|event| event.include.as_str()).collect();
    assert_eq!(names, ["dyno", "api:app"], "what nobody asked for is not kept");
    assert_eq!(store.webhook_event(stored[0].id).unwrap().unwrap().payload, json!({"at": 6}));
    assert_eq!(due(&store, 4), []);
    assert_eq!(due(&store, 6).len(), 2, "one of each webhook");
    assert_eq!(due(&store, 6)[0].app_owner, Some(user.id));
    assert_eq!(store.webhook_deliveries(app, Some(DeliveryStatus::Pending)).unwrap().len(), 3);
    assert_eq!(store.webhook_deliveries(app, Some(DeliveryStatus::Failed)).unwrap(), []);
}

#[test]
fn only_ordered_deliveries_wait_for_those_before_them() {
    let (_directory, store, user) = store();
    let app = app(&store, &user, "order").id;
    for level in [Level::Notify, Level::Sync] {
        store.save_webhook(&webhook(app, level, &["api:app"]), &[]).unwrap();
    }
    assert_eq!(tell(&store, app, &[event(app, "api:app", 1), event(app, "api:app", 2)]), 4);
    let first = due(&store, 10);
    assert!(first.iter().all(|delivery| delivery.created_at == 1), "{first:?}");
    for delivery in &first {
        let retry = DeliveryStatus::Retrying;
        store.note_attempt(delivery.id, &failed(10), retry, Some(100)).unwrap();
    }
    let next = due(&store, 10);
    assert_eq!(next.len(), 1);
    assert_eq!((next[0].level, next[0].created_at), (Level::Notify, 2));
    let later = due(&store, 100);
    let waited = later.iter().find(|delivery| delivery.level == Level::Sync).unwrap();
    assert_eq!((waited.created_at, waited.attempts), (1, 1));
    assert_eq!(waited.last_attempt.as_ref().unwrap().code, Some(500));
    store.note_attempt(waited.id, &failed(100), DeliveryStatus::Failed, None).unwrap();
    let next = due(&store, 100);
    assert!(next.iter().any(|delivery| delivery.level == Level::Sync && delivery.created_at == 2));
}

#[test]
fn what_waits_and_what_is_over_is_bounded() {
    let (_directory, store, user) = store();
    let app = app(&store, &user, "bounds").id;
    let hook = webhook(app, Level::Sync, &["api:app"]);
    store.save_webhook(&hook, &[]).unwrap();
    let many = u64::from(WAITING_DELIVERIES) + 5;
    let events: Vec<_> = (1..=many).map(|at| event(app, "api:app", at)).collect();
    tell(&store, app, &events);
    let failed = store.webhook_deliveries(app, Some(DeliveryStatus::Failed)).unwrap();
    let numbers: Vec<u64> = failed.iter().map(|delivery| delivery.created_at).collect();
    assert_eq!(numbers, [5, 4, 3, 2, 1], "the oldest are given up");
    assert_eq!(due(&store, many)[0].created_at, 6);

    assert!(store.delete_webhook(app, hook.id).unwrap());
    assert_eq!(due(&store, u64::MAX / 2), [], "nothing waits for a webhook that is gone");
    assert_eq!(store.watched_app(app).unwrap(), None);
    store.prune_webhooks(0).unwrap();
    let kept = store.webhook_deliveries(app, None).unwrap().len();
    assert_eq!(kept, KEPT_DELIVERIES as usize);
    store.prune_webhooks(many + 10).unwrap();
    assert_eq!(store.webhook_events(app).unwrap(), []);
}

#[test]
fn webhooks_of_a_gone_app_stay_until_they_are_told() {
    let (_directory, store, user) = store();
    let app = app(&store, &user, "gone").id;
    let hook = webhook(app, Level::Notify, &["api:app"]);
    store.save_webhook(&hook, &[]).unwrap();
    store.delete_app(app).unwrap();
    let changes = store.changed_apps().unwrap()[0].changes;
    store.prune_webhooks(0).unwrap();
    store.tell(app, changes, &[], &[event(app, "api:app", 5)], true).unwrap();
    store.prune_webhooks(0).unwrap();
    assert_eq!(store.webhook(hook.id).unwrap().unwrap().target, hook.target);
    let delivery = due(&store, 5).remove(0);
    assert_eq!(delivery.app_owner, None);
    store.note_attempt(delivery.id, &failed(6), DeliveryStatus::Succeeded, None).unwrap();
    store.prune_webhooks(0).unwrap();
    assert_eq!(store.webhook(hook.id).unwrap(), None);
    assert_eq!(store.webhook_events(app).unwrap(), []);
}

#[test]
fn urls_and_secrets_are_sealed_and_drains_go_with_their_app() {
    let (directory, store, user) = store();
    let app = app(&store, &user, "sealed").id;
    let hook = webhook(app, Level::Notify, &["api:app"]);
    store.save_webhook(&hook, &[]).unwrap();
    let mut drain = LogDrain {
        id: LogDrainId::random(),
        app,
        token: "d.1".into(),
        url: "https://me:hush@example.com/".into(),
        created_at: 1,
        updated_at: 1,
    };
    store.save_log_drain(&drain).unwrap();
    drain.url = "https://me:hush@example.com/2".into();
    store.save_log_drain(&drain).unwrap();
    assert_eq!(store.log_drains(app).unwrap(), [drain.clone()]);
    assert_eq!(store.webhooks(app).unwrap(), [hook]);
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        assert!(!text.contains("hush"), "{}", path.display());
    }
    store.delete_app(app).unwrap();
    assert_eq!(store.all_log_drains().unwrap(), []);
    assert!(!store.delete_log_drain(app, drain.id).unwrap());
}
