//! A map of apps of which a changed copy costs little: it is in many small parts, and a copy shares
//! those that it does not change.

use crate::table::App;
use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use windlass_core::ids::AppId;

/// With 100,000 entries a part has about 200.
const PARTS: usize = 512;

/// Apps by a key. Several may have the same one; the one with the greatest id is found.
#[derive(Clone)]
pub(super) struct Shards<K> {
    parts: Vec<Arc<Vec<Entry<K>>>>,
    hasher: RandomState,
    len: usize,
}

#[derive(Clone)]
struct Entry<K> {
    hash: u64,
    key: K,
    app: Arc<App>,
}

impl<K> Entry<K> {
    /// A part is in this order.
    fn order(&self) -> (u64, AppId) {
        (self.hash, self.app.route.app)
    }
}

impl<K> Default for Shards<K> {
    fn default() -> Self {
        let none = Arc::new(Vec::new());
        Self { parts: vec![none; PARTS], hasher: RandomState::new(), len: 0 }
    }
}

impl<K: Eq + Hash + Clone> Shards<K> {
    /// Returns the app that has this key.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&Arc<App>>
    where
        K: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(key);
        let part = &self.parts[part(hash)];
        let after = part.partition_point(|entry| entry.hash <= hash);
        let same = part[..after].iter().rev().take_while(|entry| entry.hash == hash);
        same.into_iter().find(|entry| entry.key.borrow() == key).map(|entry| &entry.app)
    }

    /// Puts an app in under a key, in the place of the same app under this key.
    pub fn insert(&mut self, key: K, app: Arc<App>) {
        let entry = Entry { hash: self.hasher.hash_one(&key), key, app };
        let part = Arc::make_mut(&mut self.parts[part(entry.hash)]);
        let at = part.partition_point(|other| other.order() < entry.order());
        let mut same = part[at..].iter_mut().take_while(|other| other.order() == entry.order());
        if let Some(known) = same.find(|other| other.key == entry.key) {
            *known = entry;
            return;
        }
        part.insert(at, entry);
        self.len += 1;
    }

    /// Takes the app with this id away from a key.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q, app: AppId)
    where
        K: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(key);
        let part = &mut self.parts[part(hash)];
        let is_it = |entry: &Entry<K>| entry.order() == (hash, app) && entry.key.borrow() == key;
        if let Some(at) = part.iter().position(is_it) {
            Arc::make_mut(part).remove(at);
            self.len -= 1;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn len(&self) -> usize {
        self.len
    }

    #[cfg(test)]
    pub fn parts_not_in(&self, other: &Self) -> usize {
        let pairs = self.parts.iter().zip(&other.parts);
        pairs.filter(|(ours, theirs)| !Arc::ptr_eq(ours, theirs)).count()
    }

    /// All of them, in an order that stays the same.
    pub fn values(&self) -> impl Iterator<Item = &Arc<App>> {
        self.parts.iter().flat_map(|part| part.iter()).map(|entry| &entry.app)
    }
}

/// Which part: by other bits than those that its order begins with.
fn part(hash: u64) -> usize {
    (hash % PARTS as u64) as usize
}
