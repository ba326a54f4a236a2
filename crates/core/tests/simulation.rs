//! The decisions under a clock of the test's own: `plan()` and `verdict()` drive a model of
//! instances that start slowly, crash, and whose messages are lost; the control plane itself ends
//! at any moment and takes over what runs. Equal seeds log equally.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use windlass_core::ids::InstanceId;
use windlass_core::instance::ExitStatus;
use windlass_core::limits::restart_delay;
use windlass_core::plan::{
    Action, Crash, Crashes, Desired, Live, Phase, Rollout, Slot, Verdict, Wanted, plan, verdict,
};

/// How many histories, unless `WINDLASS_SEEDS` says otherwise.
const SEEDS: u64 = 300;
/// Faults are made until then; afterwards everything must come to rest.
const FAULTS_UNTIL_MS: u64 = 120_000;
const END_MS: u64 = 900_000;
/// A control plane that lost a message looks for itself in this time.
const LOOK_EACH_MS: u64 = 5_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// The instance opens its port, or ends while it boots.
    Boots(usize),
    Ends(usize),
    /// The control plane learns of something about this instance.
    Message(usize),
    Wake,
    Look,
    ServerReturns,
    Fault,
}

/// What the driver knows; outlives the control plane.
#[derive(Clone, Debug)]
struct Instance {
    id: InstanceId,
    slot: Slot,
    release: u32,
    generation: u64,
    listens: bool,
    ended: bool,
    stopping: bool,
}

/// What the control plane holds in memory; gone when it ends.
#[derive(Clone, Debug, Default)]
struct Memory {
    phases: BTreeMap<usize, Phase>,
    /// Older than anything: to be replaced by a restart.
    superseded: BTreeSet<usize>,
    crashes: Crashes,
    candidate: Option<Wanted>,
}

/// What the store keeps.
#[derive(Default)]
struct Stored {
    current: Option<Wanted>,
    last_release: u32,
    surge: Option<u32>,
}

struct World {
    random: fastrand::Rng,
    now_ms: u64,
    sequence: u64,
    /// By time, then by the order in which they were made.
    events: BTreeMap<(u64, u64), Event>,
    instances: Vec<Instance>,
    server: Option<Memory>,
    stored: Stored,
    routed: BTreeSet<usize>,
    /// In half of the histories releases give way slot by slot now and then.
    allows_surge: bool,
    was_gradual: bool,
    /// Releases whose instances end while they boot.
    broken: BTreeSet<u32>,
    log: String,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            random: fastrand::Rng::with_seed(seed),
            now_ms: 0,
            sequence: 0,
            events: BTreeMap::new(),
            instances: Vec::new(),
            server: Some(Memory::default()),
            stored: Stored::default(),
            routed: BTreeSet::new(),
            allows_surge: seed % 2 == 1,
            was_gradual: false,
            broken: BTreeSet::new(),
            log: String::new(),
        };
        world.after(0, Event::Fault);
        world.after(LOOK_EACH_MS, Event::Look);
        world
    }

    fn note(&mut self, what: impl std::fmt::Display) {
        writeln!(self.log, "{:>7} {what}", self.now_ms).unwrap();
    }

    fn after(&mut self, delay_ms: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now_ms + delay_ms, self.sequence), event);
    }

    fn run(&mut self) {
        while let Some(((at, _), event)) = self.events.pop_first() {
            if at > END_MS {
                return;
            }
            self.now_ms = at;
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Boots(number) => self.boots(number),
            Event::Ends(number) => self.ends(number),
            Event::Message(number) => {
                self.learn(number);
                self.settle();
            }
            Event::Wake => self.settle(),
            Event::Look => {
                (0..self.instances.len()).for_each(|number| self.learn(number));
                self.settle();
                self.after(LOOK_EACH_MS, Event::Look);
            }
            Event::ServerReturns => self.take_over(),
            Event::Fault => self.fault(),
        }
    }

    fn boots(&mut self, number: usize) {
        if self.instances[number].ended {
            return;
        }
        if self.broken.contains(&self.instances[number].release) {
            return self.ends(number);
        }
        self.instances[number].listens = true;
        self.tell(number);
    }

    fn ends(&mut self, number: usize) {
        if !self.instances[number].ended {
            self.instances[number].ended = true;
            self.instances[number].listens = false;
            self.note(format!("{} ended", self.instances[number].id));
            self.tell(number);
        }
    }

    /// Sends the control plane a message, which may be late or lost.
    fn tell(&mut self, number: usize) {
        let is_calm = self.now_ms >= FAULTS_UNTIL_MS;
        if is_calm || self.random.u32(..10) > 0 {
            let delay = if is_calm { 1 } else { self.random.u64(1..800) };
            self.after(delay, Event::Message(number));
        } else {
            self.note(format!("a message of {} is lost", self.instances[number].id));
        }
    }

    /// The control plane takes note of how an instance is.
    fn learn(&mut self, number: usize) {
        let (instance, now_ms) = (self.instances[number].clone(), self.now_ms);
        let Some(memory) = &mut self.server else { return };
        let Some(phase) = memory.phases.get(&number).copied() else { return };
        if instance.ended {
            memory.phases.remove(&number);
            if phase != Phase::Retiring {
                note_crash(&mut memory.crashes, &instance, now_ms);
            }
        } else if instance.listens && phase == Phase::Starting {
            memory.phases.insert(number, Phase::Up);
            self.note(format!("{} is up", instance.id));
        }
    }

    /// A new control plane finds what runs, and knows nothing of crashes and candidate.
    fn take_over(&mut self) {
        self.note("the server is back");
        let mut memory = Memory::default();
        for (number, instance) in self.instances.iter().enumerate().filter(|(_, i)| !i.ended) {
            let phase = match (instance.stopping, instance.listens) {
                (true, _) => Phase::Retiring,
                (false, true) => Phase::Up,
                (false, false) => Phase::Starting,
            };
            memory.phases.insert(number, phase);
        }
        self.server = Some(memory);
        self.settle();
    }

    fn live(&self, memory: &Memory) -> Vec<Live> {
        let newest_first = memory.phases.iter().rev();
        let live = newest_first.map(|(number, phase)| {
            let Instance { id, slot, release, generation, .. } = self.instances[*number].clone();
            let is_old = memory.superseded.contains(number);
            let generation = if is_old { u64::MAX } else { generation };
            Live { id, slot, release, generation, phase: *phase }
        });
        live.collect()
    }

    /// As an app's task does: judge the candidate, plan, act. The server may end after each step.
    fn settle(&mut self) {
        self.judge();
        let Some(memory) = &self.server else { return };
        let desired = Desired {
            current: self.stored.current.clone(),
            candidate: memory.candidate.clone(),
            rollout: Rollout { surge: self.stored.surge, ..Rollout::default() },
        };
        let mut retired = Vec::new();
        for action in plan(&desired, &self.live(memory), &memory.crashes, self.now_ms) {
            match action {
                Action::Start { slot, release, generation } => {
                    self.start(slot, release, generation);
                    if self.may_end("a start") {
                        return;
                    }
                }
                Action::Retire(id) => retired.push(id),
                Action::WakeAt(at) => self.after(at.saturating_sub(self.now_ms), Event::Wake),
            }
        }
        self.retire(&retired);
    }

    fn start(&mut self, slot: Slot, release: u32, generation: u64) {
        let number = self.instances.len();
        let id = InstanceId(format!("{slot}-v{release}-{number}"));
        self.note(format!("start {id}"));
        let (listens, ended, stopping) = (false, false, false);
        self.instances.push(Instance { id, slot, release, generation, listens, ended, stopping });
        if let Some(memory) = &mut self.server {
            memory.phases.insert(number, Phase::Starting);
        }
        let slowly = self.random.u64(20..6_000);
        self.after(slowly, Event::Boots(number));
    }

    /// Out of the table first, then stopped.
    fn retire(&mut self, ids: &[InstanceId]) {
        let numbers: Vec<usize> =
            (0..self.instances.len()).filter(|n| ids.contains(&self.instances[*n].id)).collect();
        if let Some(memory) = &mut self.server {
            memory.phases.extend(numbers.iter().map(|number| (*number, Phase::Retiring)));
        }
        self.route();
        if self.may_end("the swap") {
            return;
        }
        for number in numbers {
            self.note(format!("stop {}", self.instances[number].id));
            assert!(!self.routed.contains(&number), "stopped while it is routed\n{}", self.log);
            self.instances[number].stopping = true;
            let grace = self.random.u64(1..3_000);
            self.after(grace, Event::Ends(number));
            if self.may_end("a stop") {
                return;
            }
        }
    }

    /// Puts what is up of the current release, and of a gradual candidate, into the table.
    fn route(&mut self) {
        let Some(memory) = &self.server else { return };
        let gradual = memory.candidate.as_ref().filter(|_| self.stored.surge.is_some());
        let releases: BTreeSet<u32> =
            self.stored.current.iter().chain(gradual).map(|wanted| wanted.release).collect();
        let is_target = |(number, phase): &(&usize, &Phase)| {
            **phase == Phase::Up && releases.contains(&self.instances[**number].release)
        };
        let table: BTreeSet<usize> =
            memory.phases.iter().filter(is_target).map(|(number, _)| *number).collect();
        let before = std::mem::replace(&mut self.routed, table);
        // The last one that serves may not go; what has ended is gone anyway. Slot by slot, what a
        // failed or forgotten candidate had taken over is empty until the current release is back.
        let serves = |number: &usize| {
            let Instance { slot, listens, .. } = &self.instances[*number];
            let is_wanted = |wanted: &Wanted| wanted.slots().any(|one| one == *slot);
            *listens && self.stored.current.as_ref().is_some_and(is_wanted)
        };
        assert!(
            self.was_gradual
                || !before.iter().any(serves)
                || self.routed.iter().any(|n| !before.contains(n) || serves(n)),
            "the last one that served was taken out\n{}",
            self.log
        );
    }

    fn judge(&mut self) {
        let Some(memory) = &self.server else { return };
        let Some(candidate) = memory.candidate.clone() else { return };
        match verdict(&candidate, &self.live(memory), &memory.crashes) {
            Verdict::Pending => {}
            Verdict::Failed(slot, _) => {
                self.note(format!("v{} failed at {slot}", candidate.release));
                if let Some(memory) = &mut self.server {
                    memory.candidate = None;
                    memory.crashes.clear();
                }
            }
            Verdict::Ready => {
                self.note(format!("v{} is current", candidate.release));
                self.stored.current = Some(candidate);
                if !self.may_end("the commit")
                    && let Some(memory) = &mut self.server
                {
                    memory.candidate = None;
                }
            }
        }
    }

    /// Ends the control plane here, now and then; true if it is away.
    fn may_end(&mut self, after: &str) -> bool {
        if self.now_ms < FAULTS_UNTIL_MS && self.random.u32(..25) == 0 {
            self.end_server(after);
        }
        self.server.is_none()
    }

    fn end_server(&mut self, after: &str) {
        if self.server.take().is_some() {
            self.note(format!("the server ends after {after}"));
            let away = self.random.u64(100..4_000);
            self.after(away, Event::ServerReturns);
        }
    }

    fn fault(&mut self) {
        if self.now_ms >= FAULTS_UNTIL_MS {
            return;
        }
        match self.random.u32(..8) {
            0..=2 => self.deploy(),
            3 => self.scale(),
            4 => self.restart(),
            5 => self.end_server("a kill"),
            6 if self.allows_surge => {
                self.stored.surge = [None, Some(1), Some(2)][self.random.usize(..3)];
                self.was_gradual |= self.stored.surge.is_some();
                self.note(format!("surge {:?}", self.stored.surge));
            }
            _ => self.crash_one(),
        }
        self.settle();
        let next = self.random.u64(50..5_000);
        self.after(next, Event::Fault);
    }

    fn deploy(&mut self) {
        if self.server.as_ref().is_none_or(|memory| memory.candidate.is_some()) {
            return;
        }
        self.stored.last_release += 1;
        let release = self.stored.last_release;
        if self.random.u32(..4) == 0 {
            self.broken.insert(release);
        }
        let quantities = self.stored.current.as_ref().map_or_else(
            || BTreeMap::from([("web".parse().unwrap(), 2), ("worker".parse().unwrap(), 1)]),
            |current| current.quantities.clone(),
        );
        let generation = self.stored.current.as_ref().map_or(0, |current| current.generation);
        self.note(format!("deploy v{release}"));
        let Some(memory) = &mut self.server else { return };
        memory.crashes.clear();
        memory.candidate = Some(Wanted { release, generation, quantities });
    }

    /// What is scaled while a candidate comes up holds for it too.
    fn scale(&mut self) {
        let count = self.random.u32(1..5);
        let Some(memory) = &mut self.server else { return };
        for wanted in self.stored.current.iter_mut().chain(&mut memory.candidate) {
            wanted.quantities.insert("web".parse().unwrap(), count);
        }
        self.note(format!("scale web={count}"));
    }

    fn restart(&mut self) {
        let Some(memory) = &mut self.server else { return };
        memory.superseded.extend(memory.phases.keys());
        memory.crashes.clear();
        self.note("restart");
    }

    fn crash_one(&mut self) {
        let running: Vec<usize> =
            (0..self.instances.len()).filter(|n| !self.instances[*n].ended).collect();
        if !running.is_empty() {
            let victim = running[self.random.usize(..running.len())];
            self.after(0, Event::Ends(victim));
        }
    }

    /// After the faults: one instance in each wanted slot, of the current release, and no other.
    fn assert_at_rest(&self) {
        let running: Vec<&Instance> = self.instances.iter().filter(|i| !i.ended).collect();
        let Some(current) = &self.stored.current else {
            return assert!(running.is_empty(), "{running:?}\n{}", self.log);
        };
        let slots: BTreeSet<Slot> = current.slots().collect();
        let found: BTreeSet<Slot> = running.iter().map(|i| i.slot.clone()).collect();
        assert_eq!(found, slots, "{}", self.log);
        assert_eq!(running.len(), slots.len(), "two in one slot\n{}", self.log);
        let is_current = |i: &&Instance| {
            (i.release, i.generation, i.listens) == (current.release, current.generation, true)
        };
        assert!(running.iter().all(is_current), "{running:?}\n{}", self.log);
        assert_eq!(self.routed.len(), running.len(), "not all of it is routed\n{}", self.log);
    }
}

fn note_crash(crashes: &mut Crashes, instance: &Instance, now_ms: u64) {
    let (release, generation) = (instance.release, instance.generation);
    let before = crashes
        .get(&instance.slot)
        .filter(|crash| (crash.release, crash.generation) == (release, generation));
    let count = before.map_or(0, |crash| crash.count) + 1;
    let wait = u64::try_from(restart_delay(count).as_millis()).unwrap();
    let status = ExitStatus {
        code: 1,
        out_of_memory: false,
        out_of_processes: false,
        reason: None,
        at_ms: now_ms,
    };
    let crash = Crash { release, generation, count, next_attempt_ms: now_ms + wait, status };
    crashes.insert(instance.slot.clone(), crash);
}

/// Plays a history and returns what happened in it.
fn play(seed: u64) -> String {
    let mut world = World::new(seed);
    world.run();
    world.assert_at_rest();
    world.log
}

#[test]
fn histories_with_faults_come_to_rest_and_equal_seeds_log_equally() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    if let Some(seed) = number("WINDLASS_SEED") {
        return println!("{}", play(seed));
    }
    let seeds = number("WINDLASS_SEEDS").unwrap_or(SEEDS);
    let mut lines = 0;
    for seed in 0..seeds {
        let log = std::panic::catch_unwind(|| play(seed));
        let log = log.unwrap_or_else(|_| panic!("run one again with WINDLASS_SEED={seed}"));
        assert_eq!(log, play(seed), "seed {seed} logged two things");
        lines += log.lines().count();
    }
    println!("{seeds} histories, {lines} lines of log, each played twice with the same log");
}
