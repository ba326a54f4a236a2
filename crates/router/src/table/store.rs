//! Changes of the table: in memory at once, then on disk.

use super::{App, CanaryTargets, Table, file};
use crate::target::{InFlight, Target};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::watch;
use windlass_core::ids::{AppId, InstanceId};
use windlass_core::route::AppRoute;

/// A change of the table.
pub(crate) enum Change {
    Sync(Vec<AppRoute>),
    Upsert(AppRoute),
    Remove(AppId),
}

/// Owns the table, its file and the counters of all instances in it or still draining.
pub(crate) struct TableStore {
    current: watch::Sender<Arc<Table>>,
    editor: Mutex<Editor>,
    path: PathBuf,
    /// Which start of the machine this is.
    boot: String,
    /// The generation on disk; held while the file is written.
    saved: tokio::sync::Mutex<u64>,
}

#[derive(Default)]
struct Editor {
    /// Grows with each change.
    generation: u64,
    routes: BTreeMap<AppId, Arc<AppRoute>>,
    /// Counters of instances in the table or with something in flight.
    instances: HashMap<InstanceId, Weak<InFlight>>,
}

impl TableStore {
    /// Opens the table last saved in `path`, or an empty one.
    pub fn open(path: PathBuf, boot: String) -> Self {
        let routes = file::load(&path, &boot);
        let store = Self {
            current: watch::Sender::new(Arc::default()),
            editor: Mutex::default(),
            path,
            boot,
            saved: tokio::sync::Mutex::new(0),
        };
        let generation = store.apply(Change::Sync(routes));
        Self { saved: tokio::sync::Mutex::new(generation), ..store }
    }

    /// Returns the table of this moment.
    pub fn current(&self) -> Arc<Table> {
        Arc::clone(&self.current.borrow())
    }

    /// Returns a receiver that learns of every later change.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Table>> {
        self.current.subscribe()
    }

    /// Changes the table in memory and returns its generation, to be saved. When this returns
    /// no request can begin at a target that the change took away.
    pub fn apply(&self, change: Change) -> u64 {
        let mut editor = self.editor();
        let changed = editor.edit(change);
        if changed.is_empty() {
            return editor.generation;
        }
        editor.generation += 1;
        editor.instances.retain(|_, counter| counter.strong_count() > 0);
        let old = self.current();
        let (table, kept) = editor.build(&old, &changed);
        self.current.send_replace(Arc::new(table));
        // Only now: a request that finds its target retired looks again and must find the new
        // table, not the one it came from.
        let left =
            changed.iter().filter_map(|app| old.apps.get(app)).flat_map(|app| app.all_targets());
        for target in left.filter(|target| !kept.iter().any(|other| Arc::ptr_eq(other, target))) {
            if !kept.iter().any(|other| Arc::ptr_eq(&other.in_flight, &target.in_flight)) {
                target.in_flight.retire();
            }
            target.pool.close();
        }
        editor.generation
    }

    /// Returns once `generation` or a later one is on disk. Changes that come in while the file
    /// is being written are saved together.
    pub async fn save(&self, generation: u64) -> io::Result<()> {
        let mut saved = self.saved.lock().await;
        if *saved >= generation {
            return Ok(());
        }
        let (generation, routes): (u64, Vec<_>) = {
            let editor = self.editor();
            (editor.generation, editor.routes.values().cloned().collect())
        };
        let (path, boot) = (self.path.clone(), self.boot.clone());
        let write = move || file::save(&path, &boot, routes.iter().map(AsRef::as_ref));
        tokio::task::spawn_blocking(write).await.map_err(io::Error::other)??;
        *saved = generation;
        Ok(())
    }

    /// Saves what is in force, whether it has changed or not.
    pub async fn save_now(&self) -> io::Result<()> {
        let generation = self.editor().generation;
        self.save(generation).await
    }

    /// Returns the counter of an instance that is in the table or has something in flight.
    pub fn instance(&self, instance: &InstanceId) -> Option<Arc<InFlight>> {
        self.editor().instances.get(instance).and_then(Weak::upgrade)
    }

    fn editor(&self) -> MutexGuard<'_, Editor> {
        self.editor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Editor {
    /// Applies the change to the routes and returns the apps whose route is another one now.
    fn edit(&mut self, change: Change) -> Vec<AppId> {
        match change {
            Change::Remove(app) => self.routes.remove(&app).map(|_| app).into_iter().collect(),
            Change::Upsert(route) => self.put(route).into_iter().collect(),
            Change::Sync(routes) => {
                let mut changed: Vec<AppId> = {
                    let wanted: std::collections::HashSet<AppId> =
                        routes.iter().map(|route| route.app).collect();
                    self.routes.keys().filter(|app| !wanted.contains(app)).copied().collect()
                };
                changed.iter().for_each(|app| drop(self.routes.remove(app)));
                changed.extend(routes.into_iter().filter_map(|route| self.put(route)));
                changed
            }
        }
    }

    fn put(&mut self, route: AppRoute) -> Option<AppId> {
        let app = route.app;
        if self.routes.get(&app).is_some_and(|old| **old == route) {
            return None;
        }
        self.routes.insert(app, Arc::new(route));
        Some(app)
    }

    /// Returns the new table and the targets that the changed apps have in it.
    fn build(&mut self, old: &Table, changed: &[AppId]) -> (Table, Vec<Arc<Target>>) {
        let mut apps = old.apps.clone();
        let mut kept = Vec::new();
        for app in changed {
            let Some(route) = self.routes.get(app).cloned() else {
                apps.remove(app);
                continue;
            };
            let before = old.apps.get(app);
            let known: Vec<_> = before.map(|app| app.all_targets().collect()).unwrap_or_default();
            let mut made = |wanted: &[windlass_core::route::Target]| -> Vec<_> {
                wanted.iter().map(|target| self.target(&known, target)).collect()
            };
            let targets = made(&route.targets);
            let canary = route.canary.as_ref().map(|canary| CanaryTargets {
                percent: u32::from(canary.percent),
                targets: made(&canary.targets),
                turns: AtomicU32::new(0),
            });
            let held = before.map(|app| Arc::clone(&app.held)).unwrap_or_default();
            let log_file = route.log_file.as_deref().map(Arc::from);
            let app_route = App { route, targets, canary, log_file, held };
            kept.extend(app_route.all_targets().cloned());
            apps.insert(*app, Arc::new(app_route));
        }
        (Table::new(apps), kept)
    }

    /// Returns the target that is already there, or a new one that shares the instance's count.
    fn target(
        &mut self,
        known: &[&Arc<Target>],
        wanted: &windlass_core::route::Target,
    ) -> Arc<Target> {
        let same = |target: &&&Arc<Target>| {
            target.in_flight.instance() == &wanted.instance
                && target.address == wanted.address
                && *target.name == *wanted.name
        };
        if let Some(target) = known.iter().find(same) {
            return Arc::clone(target);
        }
        let counter = self.instances.get(&wanted.instance).and_then(Weak::upgrade);
        let counter = counter.unwrap_or_else(|| Arc::new(InFlight::new(wanted.instance.clone())));
        // An instance that comes back before its drain was over takes requests again.
        counter.revive();
        self.instances.insert(wanted.instance.clone(), Arc::downgrade(&counter));
        Arc::new(Target::new(&wanted.name, wanted.address, counter))
    }
}
