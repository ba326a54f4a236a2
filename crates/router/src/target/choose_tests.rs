use super::*;
use crate::target::health::{Ejection, Health, Outcome};
use crate::target::{Guard, InFlight, Shared};
use std::time::Duration;
use windlass_core::ids::InstanceId;

fn target(name: &str) -> Arc<Target> {
    fresh(name, false)
}

fn fresh(name: &str, is_fresh: bool) -> Arc<Target> {
    let in_flight = Arc::new(InFlight::new(InstanceId(name.to_owned())));
    let shared = Shared { in_flight, metrics: Arc::default(), queue: Arc::default() };
    let health = Health::new(Ejection::default(), is_fresh);
    Arc::new(Target::new(name, "127.0.0.1:1".parse().unwrap(), shared, health))
}

#[test]
fn of_two_targets_the_idle_one_is_chosen() {
    let targets = [target("web.1"), target("web.2")];
    let _busy = Guard::enter(&targets[0], None).unwrap();
    for _ in 0..50 {
        assert!(Arc::ptr_eq(choose(&targets, &[], None).unwrap(), &targets[1]));
    }
}

#[test]
fn load_spreads_over_many_targets() {
    let targets: Vec<_> = (0..8).map(|i| target(&i.to_string())).collect();
    let guards: Vec<_> = (0..800)
        .map(|_| Guard::enter(choose(&targets, &[], None).unwrap(), None).unwrap())
        .collect();
    for target in &targets {
        assert!((80..=120).contains(&target.in_flight.count()), "{}", target.in_flight.count());
    }
    drop(guards);
    assert!(targets.iter().all(|t| t.in_flight.count() == 0));
}

#[test]
fn excluded_targets_are_never_chosen_and_ejected_ones_last() {
    let targets = [target("web.1"), target("web.2")];
    targets[1].report(Outcome::Unreachable);
    for _ in 0..50 {
        assert!(Arc::ptr_eq(choose(&targets, &[], None).unwrap(), &targets[0]));
    }
    let excluded = [Arc::clone(&targets[0])];
    assert!(Arc::ptr_eq(choose(&targets, &excluded, None).unwrap(), &targets[1]));
    assert!(choose(&targets[..1], &excluded, None).is_none());
    assert!(choose(&[], &[], None).is_none());
}

#[test]
fn when_all_are_ejected_all_of_them_are_used() {
    let targets: Vec<_> = (0..4).map(|i| target(&i.to_string())).collect();
    targets.iter().for_each(|target| target.report(Outcome::Unreachable));
    let guards: Vec<_> = (0..40)
        .map(|_| Guard::enter(choose(&targets, &[], None).unwrap(), None).unwrap())
        .collect();
    assert!(targets.iter().all(|target| target.in_flight.count() == 10));
    drop(guards);
}

#[test]
fn full_targets_are_passed_over_while_another_has_room() {
    let targets: Vec<_> = (0..5).map(|i| target(&i.to_string())).collect();
    let guards: Vec<_> = (0..10)
        .map(|_| Guard::enter(choose(&targets, &[], Some(2)).unwrap(), Some(2)).unwrap())
        .collect();
    assert!(targets.iter().all(|target| target.in_flight.count() == 2));
    // There is no room: the caller sees it by the count.
    assert!(choose(&targets, &[], Some(2)).unwrap().in_flight.count() >= 2);
    drop(guards);
}

#[test]
fn a_new_target_gets_a_small_share_and_the_only_one_all() {
    let targets = [target("web.1"), target("web.2"), target("web.3"), fresh("web.4", true)];
    let counted =
        (0..10_000).filter(|_| Arc::ptr_eq(choose(&targets, &[], None).unwrap(), &targets[3]));
    let share = counted.count() as f64 / 10_000.0;
    // A quarter is its full share; at the beginning it gets a tenth of that, or somewhat more.
    assert!((0.01..0.12).contains(&share), "{share}");
    assert!(Arc::ptr_eq(choose(&targets[3..], &[], None).unwrap(), &targets[3]));
}

/// A simulation of balancing: requests arrive at random, targets take their time, some fail.
struct Simulation {
    random: fastrand::Rng,
    targets: Vec<Simulated>,
    policy: Ejection,
    /// Microseconds.
    now: u64,
    arrived: u64,
}

struct Simulated {
    health: SimulatedHealth,
    /// When each of its requests ends, and how.
    running: Vec<(u64, Outcome)>,
    /// Microseconds for a request.
    service: u64,
    is_dead: bool,
    served: u64,
    failed: u64,
    most: usize,
}

#[derive(Default)]
struct SimulatedHealth {
    until: u64,
    warm_at: u64,
    record: crate::target::health::Record,
}

impl Simulation {
    fn new(seed: u64, services: &[u64]) -> Self {
        let targets = services
            .iter()
            .map(|service| Simulated {
                health: SimulatedHealth::default(),
                running: Vec::new(),
                service: *service,
                is_dead: false,
                served: 0,
                failed: 0,
                most: 0,
            })
            .collect();
        let random = fastrand::Rng::with_seed(seed);
        Self { random, targets, policy: Ejection::default(), now: 0, arrived: 0 }
    }

    /// Lets requests arrive for so many milliseconds, on average one each `every` microseconds.
    fn run(&mut self, millis: u64, every: u64) {
        let end = self.now + millis * 1_000;
        while self.now < end {
            self.now += 1 + self.random.u64(..2 * every);
            self.end_requests();
            self.arrived += 1;
            let view = |at: usize| {
                let target: &Simulated = &self.targets[at];
                let slow_start = self.policy.slow_start.as_micros() as u64;
                let of = &target.health;
                let fitness =
                    crate::target::health::fitness(of.until, of.warm_at, slow_start, self.now);
                Some(View { in_flight: target.running.len() as u64, fitness, is_full: false })
            };
            let at = pick(self.targets.len(), view, |below| self.random.usize(..below)).unwrap();
            let target = &mut self.targets[at];
            let time = target.service / 2 + self.random.u64(..target.service.max(1));
            let (time, outcome) = if target.is_dead {
                (200, Outcome::Unreachable)
            } else {
                (time, Outcome::Answered)
            };
            target.running.push((self.now + time, outcome));
            target.most = target.most.max(target.running.len());
        }
    }

    fn end_requests(&mut self) {
        let now = self.now;
        for target in &mut self.targets {
            let mut ended: Vec<_> = target.running.extract_if(.., |(end, _)| *end <= now).collect();
            ended.sort_unstable_by_key(|(end, _)| *end);
            for (end, outcome) in ended {
                let is_good = outcome == Outcome::Answered;
                *(if is_good { &mut target.served } else { &mut target.failed }) += 1;
                if !is_good && end < target.health.until {
                    continue;
                }
                let (record, ejected) = target.health.record.after(outcome, &self.policy);
                target.health.record = record;
                if let Some(time) = ejected {
                    target.health.until = end + time.as_micros() as u64;
                    target.health.warm_at =
                        target.health.until + self.policy.slow_start.as_micros() as u64;
                }
            }
        }
    }

    fn served(&self) -> Vec<u64> {
        self.targets.iter().map(|target| target.served).collect()
    }
}

const SEEDS: std::ops::Range<u64> = 0..5;

#[test]
fn simulated_load_is_spread_and_slow_targets_get_less() {
    for seed in SEEDS {
        let mut even = Simulation::new(seed, &[10_000; 8]);
        even.run(20_000, 250);
        let served = even.served();
        let (least, most) = (served.iter().min().unwrap(), served.iter().max().unwrap());
        assert!(most - least < most / 10, "seed {seed}: {served:?}");
        // 40 in flight at a time over 8: one choice at random would have peaks of about 17.
        let peak = even.targets.iter().map(|target| target.most).max().unwrap();
        assert!(peak <= 11, "seed {seed}: {peak}");

        let mut uneven = Simulation::new(seed, &[10_000, 10_000, 10_000, 50_000]);
        uneven.run(20_000, 500);
        let served = uneven.served();
        assert!(served[3] * 2 < served[0], "seed {seed}: {served:?}");
    }
}

#[test]
fn simulated_dead_target_is_found_left_alone_and_used_again() {
    for seed in SEEDS {
        let mut simulation = Simulation::new(seed, &[10_000; 4]);
        simulation.run(5_000, 500);
        simulation.targets[0].is_dead = true;
        simulation.run(40_000, 500);
        let failed = simulation.targets[0].failed;
        // A failure or a few at once, then one try after 1, 2, 4, 8, 16 s.
        assert!((4..80).contains(&failed), "seed {seed}: {failed} of {}", simulation.arrived);
        simulation.targets[0].is_dead = false;
        let before = simulation.served()[0];
        simulation.run(60_000, 500);
        let back = simulation.served()[0] - before;
        assert!(back > 10_000, "seed {seed}: only {back}");
    }
}

#[test]
fn simulated_last_target_is_never_taken_away() {
    let mut simulation = Simulation::new(7, &[10_000, 10_000]);
    simulation.targets.iter_mut().for_each(|target| target.is_dead = true);
    simulation.run(1_000, 1_000);
    simulation.targets[1].is_dead = false;
    simulation.run(1_000, 1_000);
    assert!(simulation.targets[1].served > 300, "{:?}", simulation.served());
    assert_eq!(simulation.policy.longest, Duration::from_secs(30));
}
