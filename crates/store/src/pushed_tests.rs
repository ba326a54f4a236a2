//! What was pushed to the registry, and what of it goes.

use crate::tests::{app, store};
use crate::{PushedManifest, Store};
use rusqlite::Connection;
use windlass_core::ids::{AppId, Digest};
use windlass_core::names::ProcessType;

fn digest(digit: char) -> Digest {
    format!("sha256:{}", digit.to_string().repeat(64)).parse().unwrap()
}

fn web() -> ProcessType {
    "web".parse().unwrap()
}

/// Stores the manifest with this digest, which names these others.
fn push(store: &Store, app: AppId, own: char, names: &str, image: Option<char>, tag: Option<&str>) {
    let names: Vec<Digest> = names.chars().map(digest).collect();
    let pushed = PushedManifest {
        app,
        process: web(),
        digest: digest(own),
        media_type: "application/x".into(),
        document: format!("{names:?}").into_bytes(),
        config: image.map(digest),
        image: image.map(digest),
        pushed_at: 10,
    };
    store.save_pushed_manifest(&pushed, tag).unwrap();
    assert_eq!(store.pushed_manifest(app, &web(), &digest(own)).unwrap(), Some(pushed));
}

fn untagged(store: &Store, before: u64) -> String {
    let mut found = store.untagged_manifests(before).unwrap();
    found.sort_by(|a, b| a.digest.as_str().cmp(b.digest.as_str()));
    found.iter().filter_map(|old| old.digest.hex().chars().next()).collect()
}

#[test]
fn what_an_index_names_stays_as_long_as_the_index() {
    let (_directory, store, owner) = store();
    let shop = app(&store, &owner, "shop").id;
    push(&store, shop, 'a', "123", Some('f'), None);
    push(&store, shop, 'b', "45", None, None);
    push(&store, shop, 'c', "ab", Some('f'), Some("latest"));
    push(&store, shop, 'd', "6", Some('e'), None);
    for blob in "123456789".chars() {
        store.save_registry_blob(shop, &web(), &digest(blob), 1, 10).unwrap();
    }
    assert_eq!(untagged(&store, 11), "d", "what the tagged index names stays");
    assert_eq!(untagged(&store, 10), "", "what is young stays");
    let used: Vec<char> = store
        .drop_unused_registry_blobs(11)
        .unwrap()
        .iter()
        .filter_map(|blob| blob.hex().chars().next())
        .collect();
    assert_eq!(used, ['1', '2', '3', '4', '5', '6']);
    // Only what can be run keeps an image.
    let images = store.images_in_use(1).unwrap();
    assert!(images.contains(&digest('f')) && images.contains(&digest('e')), "{images:?}");
    assert!(store.delete_registry_tag(shop, &web(), "latest").unwrap());
    assert_eq!(untagged(&store, 11), "cd");
    assert!(store.delete_pushed_manifest(shop, &web(), &digest('c')).unwrap());
    assert_eq!(untagged(&store, 11), "abd", "then its parts");
}

#[test]
fn what_was_pushed_before_indexes_were_taken_is_kept() {
    let connection = Connection::open_in_memory().unwrap();
    connection.pragma_update(None, "foreign_keys", true).unwrap();
    connection.execute_batch("CREATE TABLE apps (id TEXT PRIMARY KEY);").unwrap();
    let made = include_str!("migrations/0014_slugs.sql");
    connection.execute_batch(made).unwrap();
    connection
        .execute_batch(
            "INSERT INTO apps VALUES ('shop');
             INSERT INTO registry_manifests VALUES ('shop', 'web', 'd', 'm', x'00', 'c', 'i', 7);
             INSERT INTO registry_tags VALUES ('shop', 'web', 'latest', 'd', 7);",
        )
        .unwrap();
    connection.execute_batch(include_str!("migrations/0018_indexes.sql")).unwrap();
    let kept: (String, String) = connection
        .query_row(
            "SELECT config, image FROM registry_manifests JOIN registry_tags USING (app, process, digest)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(kept, ("c".to_owned(), "i".to_owned()));
}
