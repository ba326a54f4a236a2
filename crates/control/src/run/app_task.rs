//! The task of one app: holds what is known of its instances, asks `windlass_core::plan` what to
//! do, and does it. It alone changes the app's instances and route, so there is nothing to lock.

use super::deploy::{Candidate, Deploy};
use super::operations::Selection;
use super::views::{InstanceDisplayState, InstanceView, instance_uuid};
use crate::platform::now_ms;
use crate::records::{App, Release};
use crate::{Platform, Result};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use windlass_core::driver::Driver;
use windlass_core::ids::{AppId, InstanceId};
use windlass_core::instance::{ExitStatus, InstanceSpec};
use windlass_core::limits;
use windlass_core::names::ProcessType;
use windlass_core::plan::{self, Action, Crash, Crashes, Desired, Live, Phase, Slot, Wanted};

/// What an app's task is asked or told.
pub(crate) enum Message {
    Deploy(Box<Deploy>),
    /// The app's record, formation or domains changed: read them again.
    Refresh(oneshot::Sender<Result<()>>),
    Instance(InstanceId, Event),
    /// Replace instances without losing a request.
    Restart(Selection, oneshot::Sender<usize>),
    /// Stop instances now; wanted ones come back.
    Stop(Selection, oneshot::Sender<usize>),
    View(oneshot::Sender<Vec<InstanceView>>),
    /// Stop everything and end.
    Destroy(oneshot::Sender<()>),
    Wake,
}

/// What happened to an instance.
pub(crate) enum Event {
    Started(Option<SocketAddr>),
    StartFailed(String),
    Healthy,
    BootTimedOut,
    Exited(ExitStatus),
    /// Drained, stopped and forgotten.
    Retired,
}

/// The generation of an instance that somebody asked to restart: older than any other.
const SUPERSEDED: u64 = u64::MAX;

pub(super) struct Tracked {
    pub live: Live,
    pub address: Option<SocketAddr>,
    pub command: String,
    pub started_at_ms: u64,
    pub changed_at_ms: u64,
}

pub(crate) struct AppTask {
    pub(super) platform: Platform,
    pub(super) app: App,
    pub(super) current: Option<Arc<Release>>,
    pub(super) quantities: BTreeMap<ProcessType, u32>,
    pub(super) hosts: Vec<String>,
    pub(super) candidate: Option<Candidate>,
    pub(super) waiting: VecDeque<Box<Deploy>>,
    pub(super) instances: HashMap<InstanceId, Tracked>,
    pub(super) crashes: Crashes,
    wake: Option<(u64, Instant)>,
    destroyed: Option<oneshot::Sender<()>>,
    /// The task's own messages: from the effects it starts.
    sender: mpsc::UnboundedSender<Message>,
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
            candidate: None,
            waiting: VecDeque::new(),
            instances: HashMap::new(),
            crashes: Crashes::new(),
            wake: None,
            destroyed: None,
            sender,
            receiver,
        };
        task.read_store()?;
        Ok(task)
    }

    pub(super) fn app_id(&self) -> AppId {
        self.app.id
    }

    /// Runs until the app is destroyed.
    pub(super) async fn run(mut self, mut requests: mpsc::UnboundedReceiver<Message>) {
        self.settle().await;
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
                let _ = reply.send(self.read_store());
            }
            Message::Instance(id, event) => self.handle_event(&id, event),
            Message::Restart(selection, reply) => {
                let _ = reply.send(self.supersede(&selection));
            }
            Message::Stop(selection, reply) => {
                let _ = reply.send(self.stop_selected(&selection));
            }
            Message::View(reply) => {
                let _ = reply.send(self.view());
            }
            Message::Destroy(done) => {
                self.current = None;
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
        self.app = app;
        if self.current.as_ref().map_or(0, |release| release.version) != self.app.current_release {
            self.current = store.release(self.app.id, self.app.current_release)?.map(Arc::new);
        }
        self.quantities =
            store.formation(self.app.id)?.into_iter().map(|entry| (entry.process, entry.quantity)).collect();
        let custom = store.domains(self.app.id)?;
        self.hosts = std::iter::once(self.platform.default_hostname(&self.app))
            .chain(custom.into_iter().map(|domain| domain.hostname.as_str().to_owned()))
            .collect();
        Ok(())
    }

    /// Brings the instances nearer to what is wanted; called after everything that happens.
    async fn settle(&mut self) {
        if self.destroyed.is_none() {
            self.next_deploy().await;
            self.judge_candidate().await;
        }
        let desired = Desired { current: self.wanted(), candidate: self.candidate.as_ref().map(|c| c.wanted.clone()) };
        let mut retiring = Vec::new();
        for action in plan::plan(&desired, &self.live(), &self.crashes, now_ms()) {
            match action {
                Action::Start { slot, release, generation } => self.start(&slot, release, generation),
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

    /// The current release as the planner wants it; `None` before the first deploy.
    pub(super) fn wanted(&self) -> Option<Wanted> {
        let release = self.current.as_ref().filter(|release| release.image.is_some())?;
        Some(Wanted {
            release: release.version,
            generation: self.app.restart_generation,
            quantities: runnable(&self.quantities),
        })
    }

    /// The instances in the planner's words, newest first.
    pub(super) fn live(&self) -> Vec<Live> {
        let mut tracked: Vec<&Tracked> = self.instances.values().collect();
        tracked.sort_by(|a, b| (b.started_at_ms, &b.live.id).cmp(&(a.started_at_ms, &a.live.id)));
        tracked.into_iter().map(|tracked| tracked.live.clone()).collect()
    }

    /// Puts the route in force; false when the router could not be told.
    async fn publish_route(&self) -> bool {
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
        let live: Vec<_> = self.instances.values().map(|t| (t.live.clone(), t.address)).collect();
        super::routing::route(&super::routing::RouteInput {
            app: &self.app,
            hosts: self.hosts.clone(),
            current,
            live: &live,
            crashes: &self.crashes,
            log_file: self.platform.logs().file(self.app.id),
        })
    }

    fn wake_at(&mut self, at_ms: u64) {
        if self.wake.is_none_or(|(before, _)| at_ms < before) {
            let delay = Duration::from_millis(at_ms.saturating_sub(now_ms()));
            self.wake = Some((at_ms, Instant::now() + delay));
        }
    }

    fn release_of(&self, version: u32) -> Option<Arc<Release>> {
        let candidate = self.candidate.as_ref().map(|candidate| &candidate.release);
        [self.current.as_ref(), candidate].into_iter().flatten().find(|r| r.version == version).cloned()
    }

    fn start(&mut self, slot: &Slot, version: u32, generation: u64) {
        let Some(release) = self.release_of(version) else { return };
        let Some(image) = release.image.clone() else { return };
        let spec = self.platform.formation_spec(&self.app, &release, &image, slot, generation);
        let command = release.processes.get(&slot.process).cloned().unwrap_or_default();
        self.log(slot, &format!("Starting process with command `{command}`"));
        let live = Live { id: spec.id.clone(), slot: slot.clone(), release: version, generation, phase: Phase::Starting };
        let now = now_ms();
        self.platform.app_tasks().owners().insert(spec.id.clone(), self.app.id);
        self.instances.insert(
            spec.id.clone(),
            Tracked { live, address: None, command, started_at_ms: now, changed_at_ms: now },
        );
        let settle_time = self.candidate.as_ref().filter(|c| c.release.version == version).map(|_| limits::SETTLE_TIME);
        let boot_timeout = self.platform.settings().boot_timeout;
        let driver = self.platform.driver().clone();
        tokio::spawn(start_and_check(driver, spec, self.sender.clone(), boot_timeout, settle_time));
    }

    /// Checks an instance that was found running: it is up once its port opens.
    pub(super) fn check_again(&self, id: InstanceId, address: Option<SocketAddr>) {
        let (sender, boot_timeout) = (self.sender.clone(), self.platform.settings().boot_timeout);
        tokio::spawn(async move { check(&id, address, &sender, boot_timeout, None).await });
    }

    fn retire(&mut self, id: InstanceId) {
        let Some(tracked) = self.instances.get(&id) else { return };
        self.log(&tracked.live.slot, "Stopping all processes with SIGTERM");
        let (platform, sender) = (self.platform.clone(), self.sender.clone());
        let (app, slot) = (self.app.id, tracked.live.slot.clone());
        tokio::spawn(async move {
            platform.drain_and_stop(app, &slot, &id).await;
            let _ = sender.send(Message::Instance(id, Event::Retired));
        });
    }

    fn handle_event(&mut self, id: &InstanceId, event: Event) {
        let now = now_ms();
        let Some(tracked) = self.instances.get_mut(id) else { return };
        let starting = tracked.live.phase == Phase::Starting;
        match event {
            Event::Started(address) => tracked.address = address,
            Event::Healthy if starting => {
                tracked.live.phase = Phase::Up;
                tracked.changed_at_ms = now;
                let slot = tracked.live.slot.clone();
                self.crashes.remove(&slot);
                self.log(&slot, "State changed from starting to up");
            }
            Event::BootTimedOut if starting => self.boot_timed_out(id),
            Event::StartFailed(reason) => {
                let status = ExitStatus { code: 127, out_of_memory: false, reason: Some(reason), at_ms: now };
                self.crashed(id, status);
            }
            Event::Exited(status) if tracked.live.phase != Phase::Retiring => self.crashed(id, status),
            Event::Retired => {
                self.instances.remove(id);
                self.platform.app_tasks().owners().remove(id);
            }
            Event::Healthy | Event::BootTimedOut | Event::Exited(_) => {}
        }
    }

    fn boot_timed_out(&mut self, id: &InstanceId) {
        let Some(tracked) = self.instances.get(id) else { return };
        let seconds = self.platform.settings().boot_timeout.as_secs();
        let reason = format!("Error R10 (Boot timeout) -> Web process failed to bind to $PORT within {seconds} seconds of launch");
        self.log(&tracked.live.slot, &reason);
        self.log(&tracked.live.slot, "Stopping process with SIGKILL");
        let (driver, doomed) = (self.platform.driver().clone(), id.clone());
        tokio::spawn(async move {
            if let Err(error) = driver.stop(&doomed, Duration::ZERO).await {
                tracing::warn!(instance = %doomed, %error, "an instance that did not boot could not be stopped");
            }
        });
        self.crashed(id, ExitStatus { code: 137, out_of_memory: false, reason: Some(reason), at_ms: now_ms() });
    }

    /// An instance ended by itself: any exit of a formation's process is a crash.
    fn crashed(&mut self, id: &InstanceId, status: ExitStatus) {
        let Some(tracked) = self.instances.remove(id) else { return };
        self.platform.app_tasks().owners().remove(id);
        let (live, now) = (tracked.live, now_ms());
        let state = if live.phase == Phase::Up { "up" } else { "starting" };
        if status.out_of_memory {
            let megabytes = self.platform.settings().instance.memory_bytes >> 20;
            self.log(&live.slot, &format!("Error R15 (Memory quota vastly exceeded) -> killed at its limit of {megabytes}M"));
        }
        if let Some(reason) = &status.reason {
            self.log(&live.slot, reason);
        }
        self.log(&live.slot, &format!("Process exited with status {}", status.code));
        self.log(&live.slot, &format!("State changed from {state} to crashed"));
        let stable = now.saturating_sub(tracked.started_at_ms) > limits::STABLE_AFTER.as_millis() as u64;
        let before = self.crashes.get(&live.slot).filter(|crash| {
            (crash.release, crash.generation) == (live.release, live.generation) && !stable
        });
        let count = before.map_or(0, |crash| crash.count) + 1;
        let next_attempt_ms = now + limits::restart_delay(count).as_millis() as u64;
        self.crashes.insert(
            live.slot,
            Crash { release: live.release, generation: live.generation, count, next_attempt_ms, status },
        );
        let (driver, gone) = (self.platform.driver().clone(), id.clone());
        tokio::spawn(async move { forget(&driver, &gone).await });
    }

    /// Marks the selected instances as older than what is wanted.
    fn supersede(&mut self, selection: &Selection) -> usize {
        self.crashes.retain(|slot, _| !selection.includes(slot));
        let selected = self.instances.values_mut().filter(|t| selection.includes(&t.live.slot));
        selected.map(|tracked| tracked.live.generation = SUPERSEDED).count()
    }

    fn stop_selected(&mut self, selection: &Selection) -> usize {
        let selected: Vec<InstanceId> = self
            .instances
            .values()
            .filter(|t| selection.includes(&t.live.slot) && t.live.phase != Phase::Retiring)
            .map(|tracked| tracked.live.id.clone())
            .collect();
        for id in &selected {
            // Of no release at all: the planner retires it at once and fills its slot.
            if let Some(tracked) = self.instances.get_mut(id) {
                tracked.live.release = 0;
            }
        }
        selected.len()
    }

    fn view(&self) -> Vec<InstanceView> {
        let current = self.current.as_ref().map_or(0, |release| release.version);
        let mut views: Vec<InstanceView> = self
            .instances
            .values()
            .filter(|t| t.live.phase != Phase::Retiring && t.live.release == current)
            .map(|tracked| tracked_view(tracked, &self.app))
            .collect();
        let crashed = self.crashes.iter().filter(|(slot, crash)| {
            crash.release == current && self.quantities.get(&slot.process).is_some_and(|n| slot.index <= *n)
        });
        for (slot, crash) in crashed {
            if !views.iter().any(|view| view.name == slot.to_string()) {
                views.push(self.crashed_view(slot, crash));
            }
        }
        views
    }

    fn crashed_view(&self, slot: &Slot, crash: &Crash) -> InstanceView {
        let command = self.current.as_ref().and_then(|release| release.processes.get(&slot.process).cloned());
        InstanceView {
            id: instance_uuid(&InstanceId(format!("{}-{slot}", self.app.id))),
            name: slot.to_string(),
            process: slot.process.clone(),
            state: InstanceDisplayState::Crashed,
            command: command.unwrap_or_default(),
            release: crash.release,
            created_at: crash.status.at_ms,
            updated_at: crash.status.at_ms,
        }
    }

    pub(super) fn log(&self, slot: &Slot, message: &str) {
        self.platform.logs().append(self.app.id, &format!("heroku[{slot}]"), message);
    }
}

fn tracked_view(tracked: &Tracked, _app: &App) -> InstanceView {
    InstanceView {
        id: instance_uuid(&tracked.live.id),
        name: tracked.live.slot.to_string(),
        process: tracked.live.slot.process.clone(),
        state: if tracked.live.phase == Phase::Up { InstanceDisplayState::Up } else { InstanceDisplayState::Starting },
        command: tracked.command.clone(),
        release: tracked.live.release,
        created_at: tracked.started_at_ms,
        updated_at: tracked.changed_at_ms,
    }
}

/// The process types that instances are kept of: all but the release command.
pub(super) fn runnable(quantities: &BTreeMap<ProcessType, u32>) -> BTreeMap<ProcessType, u32> {
    quantities.iter().filter(|(process, _)| !process.is_release()).map(|(p, n)| (p.clone(), *n)).collect()
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn start_and_check(
    driver: Arc<dyn Driver>,
    spec: InstanceSpec,
    sender: mpsc::UnboundedSender<Message>,
    boot_timeout: Duration,
    settle_time: Option<Duration>,
) {
    let id = spec.id.clone();
    let tell = |event| {
        let _ = sender.send(Message::Instance(id.clone(), event));
    };
    match driver.start(spec).await {
        Err(error) => tell(Event::StartFailed(error.to_string())),
        Ok(observed) => {
            tell(Event::Started(observed.address));
            check(&id, observed.address, &sender, boot_timeout, settle_time).await;
        }
    }
}

/// Waits until the port opens (or, without one, for the settle time) and tells the task.
async fn check(
    id: &InstanceId,
    address: Option<SocketAddr>,
    sender: &mpsc::UnboundedSender<Message>,
    boot_timeout: Duration,
    settle_time: Option<Duration>,
) {
    let event = match address {
        Some(address) => match tokio::time::timeout(boot_timeout, port_opens(address)).await {
            Ok(()) => Event::Healthy,
            Err(_) => Event::BootTimedOut,
        },
        None => {
            tokio::time::sleep(settle_time.unwrap_or_default()).await;
            Event::Healthy
        }
    };
    let _ = sender.send(Message::Instance(id.clone(), event));
}

/// Returns once something accepts connections: tried often at first, for apps that boot fast.
async fn port_opens(address: SocketAddr) {
    let mut pause = Duration::from_millis(4);
    loop {
        let attempt = tokio::time::timeout(Duration::from_secs(1), TcpStream::connect(address));
        if matches!(attempt.await, Ok(Ok(_))) {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(Duration::from_millis(100));
    }
}

pub(super) async fn forget(driver: &Arc<dyn Driver>, id: &InstanceId) {
    if let Err(error) = driver.forget(id).await {
        tracing::warn!(instance = %id, %error, "an ended instance could not be forgotten");
    }
}

impl Platform {
    /// Waits until nothing is in flight on an instance that is out of the routes, then stops it.
    async fn drain_and_stop(&self, app: AppId, slot: &Slot, id: &InstanceId) {
        if slot.process.is_web() {
            let open = self.routes().drain(id.clone(), self.settings().drain_timeout).await;
            if open > 0 {
                tracing::warn!(instance = %id, open, "stopped with requests still in flight: the drain limit was reached");
            }
        }
        match self.driver().stop(id, self.settings().stop_grace).await {
            Ok(stopped) => {
                let source = format!("heroku[{slot}]");
                if stopped.killed {
                    let seconds = self.settings().stop_grace.as_secs();
                    self.logs().append(app, &source, &format!("Error R12 (Exit timeout) -> At least one process failed to exit within {seconds} seconds of SIGTERM"));
                    self.logs().append(app, &source, "Stopping remaining processes with SIGKILL");
                }
                self.logs().append(app, &source, &format!("Process exited with status {}", stopped.status.code));
            }
            Err(error) => tracing::error!(instance = %id, %error, "an instance could not be stopped"),
        }
        forget(self.driver(), id).await;
    }
}
