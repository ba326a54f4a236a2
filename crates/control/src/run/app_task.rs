//! The task of one app: holds what is known of its instances, asks `windlass_core::plan` what to
//! do, and does it. It alone changes the app's instances and route, so there is nothing to lock.

use super::check_operations::CheckTarget;
use super::deploy::{Candidate, Deploy, Deployed};
use super::operations::Selection;
use super::views::InstanceView;
use crate::platform::now_ms;
use crate::records::{App, Release};
use crate::{Platform, Result};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use windlass_core::ids::{AppId, InstanceId};
use windlass_core::instance::ExitStatus;
use windlass_core::names::ProcessType;
use windlass_core::plan::{self, Action, Crashes, Desired, Live, Phase, Slot, Wanted};
use windlass_core::routing_settings::RoutingSettings;

/// What an app's task is asked or told.
pub(crate) enum Message {
    Deploy(Box<Deploy>),
    /// The app's record, formation or domains changed: read them again.
    Refresh(oneshot::Sender<Result<()>>),
    Instance(InstanceId, Event),
    /// Replace instances without losing a request.
    Restart(Selection, oneshot::Sender<usize>),
    /// Give the canary the current release's place.
    Promote(oneshot::Sender<Result<Deployed>>),
    /// Take the canary out of service, in the name of this person.
    AbortCanary(String, oneshot::Sender<Result<u32>>),
    /// Stop instances now; wanted ones come back.
    Stop(Selection, oneshot::Sender<usize>),
    View(oneshot::Sender<Vec<InstanceView>>),
    /// What there is to check.
    CheckTargets(oneshot::Sender<Vec<CheckTarget>>),
    /// Run no instance of these process types, and say when none is left; none to go on.
    Hold(BTreeSet<ProcessType>, Option<oneshot::Sender<()>>),
    /// Stop everything and end.
    Destroy(oneshot::Sender<()>),
    Wake,
}

/// What happened to an instance.
pub(crate) enum Event {
    Started {
        address: Option<SocketAddr>,
        private_address: Option<IpAddr>,
        at_ms: u64,
    },
    StartFailed(String),
    Healthy,
    /// And what it did instead of answering at its port, where that can be seen.
    BootTimedOut(Option<String>),
    /// A check before it counted as up failed, in words.
    CheckFailed(String),
    /// A readiness check has failed (with the problem), or passes again.
    Readiness {
        check: String,
        problem: Option<String>,
    },
    /// A liveness check has failed, in words.
    NotAlive(String),
    /// A check that only warns has failed.
    Warning(String),
    Exited(ExitStatus),
    /// It is ended for what it does to the machine, in words.
    Evicted(String),
    /// Drained, stopped and forgotten.
    Retired,
}

pub(super) struct Tracked {
    pub live: Live,
    pub address: Option<SocketAddr>,
    pub private_address: Option<IpAddr>,
    pub command: String,
    pub started_at_ms: u64,
    pub changed_at_ms: u64,
    /// Readiness checks that fail: it gets no requests meanwhile.
    pub failing: BTreeSet<String>,
    /// Its readiness and liveness checks; they end with it.
    pub monitors: JoinSet<()>,
}

impl Tracked {
    /// Where requests may be sent; `None` while it is not ready.
    pub fn ready_address(&self) -> Option<SocketAddr> {
        self.address.filter(|_| self.failing.is_empty())
    }
}

pub(crate) struct AppTask {
    pub(super) platform: Platform,
    pub(super) app: App,
    pub(super) current: Option<Arc<Release>>,
    pub(super) quantities: BTreeMap<ProcessType, u32>,
    pub(super) hosts: Vec<String>,
    /// How its requests are routed.
    routing: RoutingSettings,
    /// The apps that it is linked with on the private network.
    pub(super) linked: BTreeSet<AppId>,
    /// Process types that only one release at a time may run, for their volumes.
    pub(super) single_writers: BTreeSet<ProcessType>,
    pub(super) held: super::hold::Held,
    pub(super) candidate: Option<Candidate>,
    pub(super) waiting: VecDeque<Box<Deploy>>,
    pub(super) instances: HashMap<InstanceId, Tracked>,
    pub(super) crashes: Crashes,
    wake: Option<(u64, Instant)>,
    /// Who waits for the route to follow what the store says.
    refreshed: Vec<(oneshot::Sender<Result<()>>, Result<()>)>,
    destroyed: Option<oneshot::Sender<()>>,
    /// Until it has decided for the first time: what it starts then waits for its turn.
    pub(super) is_beginning: bool,
    /// The task's own messages: from the effects it starts.
    pub(super) sender: mpsc::UnboundedSender<Message>,
    receiver: mpsc::UnboundedReceiver<Message>,
}

impl AppTask {
    pub(super) fn new(platform: Platform, app: App) -> Result<Self> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut task = Self {
            platform,
            app,
            current: None,
            quantities: BTreeMap::new(),
            hosts: Vec::new(),
            routing: RoutingSettings::default(),
            linked: BTreeSet::new(),
            single_writers: BTreeSet::new(),
            held: super::hold::Held::default(),
            candidate: None,
            waiting: VecDeque::new(),
            instances: HashMap::new(),
            crashes: Crashes::new(),
            wake: None,
            refreshed: Vec::new(),
            destroyed: None,
            is_beginning: true,
            sender,
            receiver,
        };
        task.read_store()?;
        task.restore_canary()?;
        Ok(task)
    }

    pub(super) fn app_id(&self) -> AppId {
        self.app.id
    }

    /// Runs until the app is destroyed.
    pub(super) async fn run(mut self, mut requests: mpsc::UnboundedReceiver<Message>) {
        self.settle().await;
        self.is_beginning = false;
        loop {
            let wake_at = self.wake.map(|(_, at)| at);
            let message = tokio::select! {
                Some(message) = self.receiver.recv() => message,
                request = requests.recv() => match request {
                    Some(request) => request,
                    None => return,
                },
                () = sleep_until(wake_at) => Message::Wake,
            };
            self.handle(message);
            // Take what is there already, then decide once.
            while let Ok(message) = self.receiver.try_recv() {
                self.handle(message);
            }
            self.settle().await;
            self.tell_who_waits_for_held();
            for (reply, outcome) in self.refreshed.drain(..) {
                let _ = reply.send(outcome);
            }
            if self.destroyed.is_some() && self.instances.is_empty() {
                let _ = self.destroyed.take().map(|done| done.send(()));
                return;
            }
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Deploy(deploy) => self.waiting.push_back(deploy),
            Message::Refresh(reply) => {
                let outcome = self.read_store();
                self.refreshed.push((reply, outcome));
            }
            Message::Instance(id, event) => self.handle_event(&id, event),
            Message::Restart(selection, reply) => {
                let _ = reply.send(self.supersede(&selection));
            }
            Message::Stop(selection, reply) => {
                let _ = reply.send(self.stop_selected(&selection));
            }
            Message::Promote(reply) => self.promote_canary(reply),
            Message::AbortCanary(by, reply) => self.abort_canary(&by, reply),
            Message::CheckTargets(reply) => {
                let _ = reply.send(self.check_targets());
            }
            Message::View(reply) => {
                let _ = reply.send(self.view());
            }
            Message::Hold(processes, ended) => self.hold(processes, ended),
            Message::Destroy(done) => {
                self.abandon_candidate("the app is being destroyed");
                self.destroyed = Some(done);
            }
            Message::Wake => self.wake = None,
        }
    }

    /// Reads what the store says about the app.
    fn read_store(&mut self) -> Result<()> {
        let store = self.platform.store();
        let Some(app) = store.app(self.app.id)? else { return Ok(()) };
        let has_other_checks = self.app.deploys.checks != app.deploys.checks;
        let limits_before = std::mem::replace(&mut self.app, app).deploys.limits;
        if self.current.as_ref().map_or(0, |release| release.version) != self.app.current_release {
            self.current = store.release(self.app.id, self.app.current_release)?.map(Arc::new);
        }
        self.quantities = store
            .formation(self.app.id)?
            .into_iter()
            .map(|entry| (entry.process, entry.quantity))
            .collect();
        let links = store.network_links(self.app.id)?;
        self.linked = links.into_iter().map(|link| link.other_than(self.app.id)).collect();
        let custom = store.domains(self.app.id)?;
        self.hosts = std::iter::once(self.platform.default_hostname(&self.app))
            .chain(custom.into_iter().map(|domain| domain.hostname.as_str().to_owned()))
            .collect();
        self.routing = self.platform.routing_in_force(&self.app)?;
        if has_other_checks {
            self.monitor_all();
        }
        self.follow_limits(&limits_before);
        self.note_single_writers(&BTreeMap::new())
    }

    /// Brings the instances nearer to what is wanted; called after everything that happens.
    async fn settle(&mut self) {
        if self.destroyed.is_none() {
            self.next_deploy().await;
            self.judge_candidate().await;
        }
        let desired = Desired {
            current: self.wanted(),
            candidate: self.candidate.as_ref().map(|c| c.wanted.clone()),
            rollout: self.rollout(),
        };
        let mut retiring = Vec::new();
        for action in plan::plan(&desired, &self.live(), &self.crashes, now_ms()) {
            match action {
                Action::Start { slot, release, generation } => {
                    self.start(&slot, release, generation)
                }
                Action::Retire(id) => retiring.push(id),
                Action::WakeAt(at_ms) => self.wake_at(at_ms),
            }
        }
        for id in &retiring {
            if let Some(tracked) = self.instances.get_mut(id) {
                tracked.live.phase = Phase::Retiring;
                tracked.changed_at_ms = now_ms();
            }
        }
        if self.publish_route().await {
            for id in retiring {
                self.retire(id);
            }
        } else {
            // The router still has them: they stay in service until it can be told.
            for id in &retiring {
                if let Some(tracked) = self.instances.get_mut(id) {
                    tracked.live.phase = Phase::Up;
                }
            }
            self.wake_at(now_ms() + 1_000);
        }
    }

    /// The current release as the planner wants it; `None` before the first deploy and once the
    /// app is being destroyed, though the store still has it.
    pub(super) fn wanted(&self) -> Option<Wanted> {
        if self.destroyed.is_some() {
            return None;
        }
        let release = self.current.as_ref().filter(|release| release.image.is_some())?;
        Some(Wanted {
            release: release.version,
            generation: self.app.restart_generation,
            quantities: if self.app.deploys.stopped {
                BTreeMap::new()
            } else {
                let mut quantities = runnable(&self.quantities);
                quantities.retain(|process, _| !self.held.processes.contains(process));
                quantities
            },
        })
    }

    /// The instances in the planner's words, newest first.
    pub(super) fn live(&self) -> Vec<Live> {
        let mut tracked: Vec<&Tracked> = self.instances.values().collect();
        tracked.sort_by(|a, b| (b.started_at_ms, &b.live.id).cmp(&(a.started_at_ms, &a.live.id)));
        tracked.into_iter().map(|tracked| tracked.live.clone()).collect()
    }

    /// Puts the route in force; false when the router could not be told.
    pub(super) async fn publish_route(&self) -> bool {
        if self.destroyed.is_some() {
            return self.platform.routes().remove(self.app.id).await.is_ok();
        }
        match self.platform.routes().upsert(self.route(self.wanted().as_ref())).await {
            Ok(_) => true,
            Err(error) => {
                tracing::error!(app = %self.app.name, %error, "the route could not be put in force");
                false
            }
        }
    }

    /// Returns the route with `current` as the release that is served.
    pub(super) fn route(&self, current: Option<&Wanted>) -> windlass_core::route::AppRoute {
        let live: Vec<_> =
            self.instances.values().map(|t| (t.live.clone(), t.ready_address())).collect();
        let mut route = super::routing::route(&super::routing::RouteInput {
            app: &self.app,
            hosts: self.hosts.clone(),
            current,
            newer: self.newer(),
            live: &live,
            crashes: &self.crashes,
            log_file: self.platform.logs().file(self.app.id),
        });
        route.private = self.private_names(&route, current);
        route.log_file = route.log_file.filter(|_| self.routing.has_access_log());
        route.settings = (!self.routing.is_default()).then(|| Box::new(self.routing.clone()));
        route
    }

    /// The candidate, if it takes requests already: as a canary, or slot by slot.
    fn newer(&self) -> Option<super::routing::Newer<'_>> {
        let candidate = self.candidate.as_ref()?;
        match &candidate.canary {
            Some(canary) => Some(super::routing::Newer {
                wanted: &candidate.wanted,
                canary_percent: Some(canary.percent),
            }),
            None if self.app.deploys.settings.surge.is_some() => {
                Some(super::routing::Newer { wanted: &candidate.wanted, canary_percent: None })
            }
            None => None,
        }
    }

    fn wake_at(&mut self, at_ms: u64) {
        if self.wake.is_none_or(|(before, _)| at_ms < before) {
            let delay = Duration::from_millis(at_ms.saturating_sub(now_ms()));
            self.wake = Some((at_ms, Instant::now() + delay));
        }
    }

    pub(super) fn release_of(&self, version: u32) -> Option<Arc<Release>> {
        let candidate = self.candidate.as_ref().map(|candidate| &candidate.release);
        [self.current.as_ref(), candidate]
            .into_iter()
            .flatten()
            .find(|r| r.version == version)
            .cloned()
    }

    pub(super) fn log(&self, slot: &Slot, message: &str) {
        self.platform.logs().append(self.app.id, &format!("heroku[{slot}]"), message);
    }
}

/// The process types that instances are kept of: all but the release command.
pub(super) fn runnable(quantities: &BTreeMap<ProcessType, u32>) -> BTreeMap<ProcessType, u32> {
    quantities
        .iter()
        .filter(|(process, _)| !process.is_release())
        .map(|(p, n)| (p.clone(), *n))
        .collect()
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
