//! A table that was changed step by step is the one that would have been made at once.

use super::tests::app;
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Says for each host that may occur which app has it.
fn answers(table: &Table) -> Vec<Option<AppId>> {
    let hosts = ["a.test", "b.test", "c.test", "x.b.test", "y.x.b.test", "x.c.test"];
    hosts.iter().map(|host| table.find(host).map(|app| app.route.app)).collect()
}

fn host() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a.test", "B.test", "c.test", "*.b.test", "*.x.b.test", "*.C.test"])
        .prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn steps_lead_to_the_same_table(
        steps in prop::collection::vec((0..5usize, prop::option::of(prop::collection::vec(host(), 0..4))), 1..30),
    ) {
        let mut ids: Vec<AppId> = (0..5).map(|_| AppId::random()).collect();
        ids.sort();
        let (mut table, mut apps) = (Table::default(), BTreeMap::new());
        for (number, hosts) in steps {
            let id = ids[number];
            let after = hosts.map(|hosts| Arc::new(app(id, &format!("app{number}"), &hosts)));
            match &after {
                Some(after) => apps.insert(id, Arc::clone(after)),
                None => apps.remove(&id),
            };
            let before = table.clone();
            let answers_before = answers(&before);
            table = table.with([(id, after)]);
            prop_assert_eq!(answers(&before), answers_before, "the one before is as it was");
            let at_once = Table::default().with(apps.iter().map(|(id, app)| (*id, Some(Arc::clone(app)))));
            prop_assert_eq!(answers(&table), answers(&at_once));
            prop_assert_eq!(table.len(), apps.len());
            prop_assert_eq!(table.apps().count(), apps.len());
        }
    }
}

#[test]
fn a_change_copies_only_what_it_touches() {
    let ids: Vec<AppId> = (0..3_000).map(|_| AppId::random()).collect();
    let made = |number: usize, name: &str| {
        let hosts: Vec<String> = (0..10).map(|at| format!("h{at}.app{number}.test")).collect();
        (ids[number], Some(Arc::new(app(ids[number], name, &hosts))))
    };
    let table = Table::default().with((0..ids.len()).map(|number| made(number, "before")));
    let changed = table.with([made(7, "after")]);
    assert_eq!(found(&changed, "h3.app7.test"), "after");
    assert_eq!(found(&table, "h3.app7.test"), "before");
    assert_eq!(found(&changed, "h9.app2999.test"), "before");
    let copied = changed.exact.parts_not_in(&table.exact);
    assert!((1..=10).contains(&copied), "{copied} of 512 parts");
    assert_eq!(changed.apps.parts_not_in(&table.apps), 1);
}

fn found<'a>(table: &'a Table, host: &str) -> &'a str {
    table.find(host).map(|app| app.route.app_name.as_str()).unwrap_or_default()
}
