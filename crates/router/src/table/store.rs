//! Changes of the table: in memory at once, then on disk.

use super::file::{self, Content, Journal};
use super::{App, CanaryTargets, Table};
use crate::metrics::AppMetrics;
use crate::policy::Policy;
use crate::target::health::{Ejection, Health};
use crate::target::{InFlight, Queue, Shared, Target};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::{OwnedMutexGuard, watch};
use windlass_core::challenges::{AlpnCertificate, Challenges};
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
    /// What is answered to certificate authorities; in memory only.
    challenges: watch::Sender<Arc<Challenges>>,
    /// Which start of the machine this is.
    boot: String,
    /// What is on disk; held while the file is written.
    saved: Arc<tokio::sync::Mutex<Saved>>,
}

#[derive(Default)]
struct Saved {
    generation: u64,
    journal: Journal,
}

#[derive(Default)]
struct Editor {
    /// Grows with each change.
    generation: u64,
    routes: BTreeMap<AppId, Arc<AppRoute>>,
    /// Apps that have changed since they were last saved.
    unsaved: HashSet<AppId>,
    /// Counters of instances in the table or with something in flight.
    instances: HashMap<InstanceId, Weak<InFlight>>,
    /// With so many, those that are gone are looked for.
    many_instances: usize,
    ejection: Ejection,
}

/// So few instances are never looked through.
const FEW_INSTANCES: usize = 256;

impl TableStore {
    /// Opens the table last saved in `path`, or an empty one.
    pub fn open(path: PathBuf, boot: String, ejection: Ejection) -> Self {
        let routes = file::load(&path, &boot);
        let store = Self {
            current: watch::Sender::new(Arc::default()),
            editor: Mutex::new(Editor { ejection, ..Editor::default() }),
            challenges: watch::Sender::default(),
            path,
            boot,
            saved: Arc::default(),
        };
        let generation = store.apply(Change::Sync(routes));
        let saved = Saved { generation, journal: Journal::default() };
        Self { saved: Arc::new(tokio::sync::Mutex::new(saved)), ..store }
    }

    /// The same with a place where others in this process see the challenges that are open.
    pub fn with_challenges(self, challenges: watch::Sender<Arc<Challenges>>) -> Self {
        Self { challenges, ..self }
    }

    /// Replaces all challenges.
    pub fn set_challenges(&self, challenges: Challenges) {
        self.challenges.send_replace(Arc::new(challenges));
    }

    /// Returns the key authorisation to answer to this host's challenge, if it is open.
    pub fn challenge(&self, host: &str, token: &str) -> Option<String> {
        self.challenges.borrow().key_authorization(host, token).map(str::to_owned)
    }

    /// Returns the certificate to show in this host's TLS-ALPN-01 challenge, if it is open.
    pub fn alpn_certificate(&self, host: &str) -> Option<AlpnCertificate> {
        self.challenges.borrow().alpn.get(host).cloned()
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
        editor.unsaved.extend(&changed);
        editor.forget_instances();
        let old = self.current();
        let (table, kept) = editor.build(&old, &changed);
        self.current.send_replace(Arc::new(table));
        // Only now: a request that finds its target retired looks again and must find the new
        // table, not the one it came from.
        let left = changed.iter().filter_map(|app| old.app(app)).flat_map(|app| app.all_targets());
        for target in left.filter(|target| !kept.targets.contains(&Arc::as_ptr(target))) {
            if !kept.counters.contains(&Arc::as_ptr(&target.in_flight)) {
                target.in_flight.retire();
            }
            target.pool.close();
            target.streams.close();
            target.shared.close();
        }
        editor.generation
    }

    /// Returns once `generation` or a later one is on disk. Changes that come in while the file
    /// is being written are saved together.
    pub async fn save(&self, generation: u64) -> io::Result<()> {
        let saved = Arc::clone(&self.saved).lock_owned().await;
        if saved.generation >= generation {
            return Ok(());
        }
        let is_whole = saved.journal.wants_whole();
        self.write(saved, is_whole).await
    }

    /// Saves all that is in force, in one piece that every version reads.
    pub async fn save_now(&self) -> io::Result<()> {
        let saved = Arc::clone(&self.saved).lock_owned().await;
        self.write(saved, true).await
    }

    /// The lock goes with the writing, which goes on even if nobody waits for it any more.
    async fn write(&self, mut saved: OwnedMutexGuard<Saved>, is_whole: bool) -> io::Result<()> {
        let (generation, content) = {
            let mut editor = self.editor();
            (editor.generation, editor.content(is_whole))
        };
        let (path, boot) = (self.path.clone(), self.boot.clone());
        let write = move || {
            saved.journal.write(&path, &boot, &content)?;
            saved.generation = generation;
            Ok(())
        };
        tokio::task::spawn_blocking(write).await.map_err(io::Error::other)?
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

    /// Returns what is to be written: all routes, or those that have changed.
    fn content(&mut self, is_whole: bool) -> Content {
        let unsaved = std::mem::take(&mut self.unsaved);
        if is_whole {
            return Content::Whole(self.routes.values().cloned().collect());
        }
        let route = |app| (app, self.routes.get(&app).cloned());
        Content::Changes(unsaved.into_iter().map(route).collect())
    }

    /// Forgets the counters of instances that are gone, when there may be many of them.
    fn forget_instances(&mut self) {
        if self.instances.len() < self.many_instances.max(FEW_INSTANCES) {
            return;
        }
        self.instances.retain(|_, counter| counter.strong_count() > 0);
        self.many_instances = 2 * self.instances.len();
    }

    /// Returns the new table and the targets that the changed apps have in it.
    fn build(&mut self, old: &Table, changed: &[AppId]) -> (Table, Kept) {
        let mut kept = Kept::default();
        let changes: Vec<(AppId, Option<Arc<App>>)> = changed
            .iter()
            .map(|id| {
                let route = self.routes.get(id).cloned();
                (*id, route.map(|route| Arc::new(self.app(route, old.app(id).map(AsRef::as_ref)))))
            })
            .collect();
        for app in changes.iter().filter_map(|(_, app)| app.as_ref()) {
            for target in app.all_targets() {
                kept.targets.insert(Arc::as_ptr(target));
                kept.counters.insert(Arc::as_ptr(&target.in_flight));
            }
        }
        (old.with(changes), kept)
    }

    /// Makes an app of a route; what outlives the change is taken from the app as it was.
    fn app(&mut self, route: Arc<AppRoute>, before: Option<&App>) -> App {
        let known: Vec<_> = before.map(|app| app.all_targets().collect()).unwrap_or_default();
        let queue = before.map(|app| Arc::clone(&app.queue)).unwrap_or_default();
        let metrics = before.map(|app| Arc::clone(&app.metrics)).unwrap_or_default();
        let targets = self.targets(&route.targets, &known, &queue, &metrics);
        let canary = route.canary.as_ref().map(|canary| CanaryTargets {
            percent: u32::from(canary.percent),
            targets: self.targets(&canary.targets, &known, &queue, &metrics),
            turns: AtomicU32::new(0),
        });
        let is_logged = route.settings().access_log != Some(false);
        let log_file = route.log_file.as_deref().filter(|_| is_logged).map(Arc::from);
        // Its counts and what it knows of passwords live on with the settings.
        let policy = match before.filter(|app| app.route.settings == route.settings) {
            Some(app) => app.policy.clone(),
            None => Policy::of(route.settings()),
        };
        let app = App { route, targets, canary, log_file, queue, metrics, policy };
        app.metrics.retain(|name| app.all_targets().any(|target| *target.name == *name));
        app
    }

    /// Returns the targets that are there already, and new ones for the others. A new one that
    /// comes beside one that stays begins slowly.
    fn targets(
        &mut self,
        wanted: &[windlass_core::route::Target],
        known: &[&Arc<Target>],
        queue: &Arc<Queue>,
        metrics: &AppMetrics,
    ) -> Vec<Arc<Target>> {
        let find = |wanted: &windlass_core::route::Target| {
            known.iter().copied().find(|target| {
                target.in_flight.instance() == &wanted.instance
                    && target.address == wanted.address
                    && *target.name == *wanted.name
            })
        };
        let is_beside_others = wanted.iter().any(|wanted| find(wanted).is_some());
        let make = |wanted: &windlass_core::route::Target| {
            if let Some(target) = find(wanted) {
                return Arc::clone(target);
            }
            let shared = Shared {
                in_flight: self.counter(&wanted.instance),
                metrics: metrics.target(&wanted.name),
                queue: Arc::clone(queue),
            };
            let health = Health::new(self.ejection, is_beside_others);
            Arc::new(Target::new(&wanted.name, wanted.address, shared, health))
        };
        wanted.iter().map(make).collect()
    }

    /// Returns the count of an instance that still has something in flight, or a new one.
    fn counter(&mut self, instance: &InstanceId) -> Arc<InFlight> {
        let known = self.instances.get(instance).and_then(Weak::upgrade);
        let counter = known.unwrap_or_else(|| Arc::new(InFlight::new(instance.clone())));
        // An instance that comes back before its drain was over takes requests again.
        counter.revive();
        self.instances.insert(instance.clone(), Arc::downgrade(&counter));
        counter
    }
}

/// What the changed apps have in the new table.
#[derive(Default)]
struct Kept {
    targets: HashSet<*const Target>,
    counters: HashSet<*const InFlight>,
}
