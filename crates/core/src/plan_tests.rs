use super::*;
use proptest::prelude::*;

fn slot(process: &str, index: u32) -> Slot {
    Slot { process: process.parse().unwrap(), index }
}

fn wanted(release: u32, generation: u64, quantities: &[(&str, u32)]) -> Wanted {
    let quantities = quantities.iter().map(|(process, n)| (process.parse().unwrap(), *n)).collect();
    Wanted { release, generation, quantities }
}

fn live(id: &str, at: Slot, release: u32, generation: u64, phase: Phase) -> Live {
    Live { id: InstanceId(id.into()), slot: at, release, generation, phase }
}

fn crash(release: u32, next_attempt_ms: u64) -> Crash {
    let status = ExitStatus {
        code: 1,
        out_of_memory: false,
        out_of_processes: false,
        reason: None,
        at_ms: 0,
    };
    Crash { release, generation: 0, count: 1, next_attempt_ms, status }
}

fn current(wanted: Wanted) -> Desired {
    Desired { current: Some(wanted), ..Desired::default() }
}

#[test]
fn fills_empty_slots() {
    let actions = plan(
        &current(wanted(3, 0, &[("web", 2)])),
        &[live("a", slot("web", 2), 3, 0, Phase::Up)],
        &Crashes::new(),
        0,
    );
    assert_eq!(actions, [Action::Start { slot: slot("web", 1), release: 3, generation: 0 }]);
}

#[test]
fn a_candidate_runs_beside_the_current_release() {
    let desired = Desired {
        current: Some(wanted(3, 0, &[("web", 1)])),
        candidate: Some(wanted(4, 0, &[("web", 1)])),
        ..Desired::default()
    };
    let there = [live("a", slot("web", 1), 3, 0, Phase::Up)];
    assert_eq!(
        plan(&desired, &there, &Crashes::new(), 0),
        [Action::Start { slot: slot("web", 1), release: 4, generation: 0 }]
    );
    let there = [there[0].clone(), live("b", slot("web", 1), 4, 0, Phase::Up)];
    assert_eq!(plan(&desired, &there, &Crashes::new(), 0), []);
    assert_eq!(
        verdict(desired.candidate.as_ref().unwrap(), &there, &Crashes::new()),
        Verdict::Ready
    );
    // Committed: the old one goes.
    assert_eq!(
        plan(&current(wanted(4, 0, &[("web", 1)])), &there, &Crashes::new(), 0),
        [Action::Retire(InstanceId("a".into()))]
    );
    // Dropped: the new one goes.
    assert_eq!(
        plan(&current(wanted(3, 0, &[("web", 1)])), &there, &Crashes::new(), 0),
        [Action::Retire(InstanceId("b".into()))]
    );
}

#[test]
fn a_crashed_candidate_fails_and_is_not_started_again() {
    let candidate = wanted(4, 0, &[("web", 1)]);
    let desired = Desired { candidate: Some(candidate.clone()), ..Desired::default() };
    let crashes = Crashes::from([(slot("web", 1), crash(4, 0))]);
    assert_eq!(plan(&desired, &[], &crashes, 10), []);
    assert!(
        matches!(verdict(&candidate, &[], &crashes), Verdict::Failed(at, _) if at == slot("web", 1))
    );
}

#[test]
fn a_crash_of_another_release_does_not_hold_back() {
    let crashes = Crashes::from([(slot("web", 1), crash(3, 1_000))]);
    let desired = current(wanted(4, 0, &[("web", 1)]));
    assert_eq!(
        plan(&desired, &[], &crashes, 0),
        [Action::Start { slot: slot("web", 1), release: 4, generation: 0 }]
    );
}

#[test]
fn back_off_is_kept() {
    let crashes = Crashes::from([(slot("web", 1), crash(4, 1_000))]);
    let desired = current(wanted(4, 0, &[("web", 1)]));
    assert_eq!(plan(&desired, &[], &crashes, 999), [Action::WakeAt(1_000)]);
    assert!(matches!(plan(&desired, &[], &crashes, 1_000)[..], [Action::Start { .. }]));
}

#[test]
fn a_restart_keeps_the_old_instance_until_the_new_one_is_up() {
    let desired = current(wanted(4, 1, &[("web", 1)]));
    let old = live("old", slot("web", 1), 4, 0, Phase::Up);
    assert!(matches!(
        plan(&desired, std::slice::from_ref(&old), &Crashes::new(), 0)[..],
        [Action::Start { .. }]
    ));
    let starting = [old.clone(), live("new", slot("web", 1), 4, 1, Phase::Starting)];
    assert_eq!(plan(&desired, &starting, &Crashes::new(), 0), []);
    let up = [old, live("new", slot("web", 1), 4, 1, Phase::Up)];
    assert_eq!(plan(&desired, &up, &Crashes::new(), 0), [Action::Retire(InstanceId("old".into()))]);
}

fn apply(there: &mut Vec<Live>, actions: Vec<Action>, number: &mut u32) {
    for action in actions {
        match action {
            Action::Start { slot, release, generation } => {
                *number += 1;
                let id = format!("n{number}");
                there.push(live(&id, slot, release, generation, Phase::Starting));
            }
            Action::Retire(id) => {
                there.iter_mut().filter(|i| i.id == id).for_each(|i| i.phase = Phase::Retiring);
            }
            Action::WakeAt(_) => {}
        }
    }
}

/// What started is up, what retired is gone.
fn time_passes(there: &mut Vec<Live>) {
    there.retain(|instance| instance.phase != Phase::Retiring);
    there.iter_mut().for_each(|instance| instance.phase = Phase::Up);
}

#[test]
fn a_surge_of_one_replaces_one_after_the_other() {
    let desired = Desired {
        current: Some(wanted(3, 0, &[("web", 3)])),
        candidate: Some(wanted(4, 0, &[("web", 3)])),
        rollout: Rollout { surge: Some(1), ..Rollout::default() },
    };
    let mut there: Vec<Live> =
        (1..=3).map(|n| live(&format!("o{n}"), slot("web", n), 3, 0, Phase::Up)).collect();
    let (mut number, mut seen) = (0, Vec::new());
    for _ in 0..12 {
        let actions = plan(&desired, &there, &Crashes::new(), 0);
        apply(&mut there, actions, &mut number);
        let of = |release| {
            there.iter().filter(|i| i.phase != Phase::Retiring && i.release == release).count()
        };
        seen.push((of(3), of(4)));
        time_passes(&mut there);
    }
    seen.dedup();
    assert_eq!(seen, [(3, 1), (2, 2), (1, 3), (0, 3)]);
}

#[test]
fn an_exclusive_type_ends_before_it_starts_and_comes_back_when_the_candidate_is_dropped() {
    let exclusive = Rollout { exclusive: ["web".parse().unwrap()].into(), ..Rollout::default() };
    let mut desired = Desired {
        current: Some(wanted(3, 0, &[("web", 1), ("worker", 1)])),
        candidate: Some(wanted(4, 0, &[("web", 1), ("worker", 1)])),
        rollout: exclusive,
    };
    let mut there = vec![
        live("w", slot("web", 1), 3, 0, Phase::Up),
        live("k", slot("worker", 1), 3, 0, Phase::Up),
    ];
    let start = |process, release| Action::Start { slot: slot(process, 1), release, generation: 0 };
    let retire = |id: &str| Action::Retire(InstanceId(id.into()));
    let actions = plan(&desired, &there, &Crashes::new(), 0);
    assert_eq!(actions, [start("worker", 4), retire("w")]);
    apply(&mut there, actions, &mut 0);
    assert_eq!(plan(&desired, &there, &Crashes::new(), 0), [], "the old one has not ended");
    time_passes(&mut there);
    assert_eq!(plan(&desired, &there, &Crashes::new(), 0), [start("web", 4)]);
    desired.candidate = None;
    assert_eq!(plan(&desired, &there, &Crashes::new(), 0), [start("web", 3), retire("n1")]);
}

#[test]
fn an_exclusive_type_is_restarted_by_stopping_first() {
    let mut desired = current(wanted(4, 1, &[("web", 1)]));
    desired.rollout.exclusive.insert("web".parse().unwrap());
    let old = live("old", slot("web", 1), 4, 0, Phase::Up);
    let actions = plan(&desired, &[old], &Crashes::new(), 0);
    assert_eq!(actions, [Action::Retire(InstanceId("old".into()))]);
    assert!(matches!(plan(&desired, &[], &Crashes::new(), 0)[..], [Action::Start { .. }]));
}

#[test]
fn a_canary_replaces_nothing() {
    let desired = Desired {
        current: Some(wanted(3, 0, &[("web", 2)])),
        candidate: Some(wanted(4, 0, &[("web", 1)])),
        rollout: Rollout { surge: Some(1), canary: true, ..Rollout::default() },
    };
    let mut there = vec![
        live("a", slot("web", 1), 3, 0, Phase::Up),
        live("b", slot("web", 2), 3, 0, Phase::Up),
    ];
    let actions = plan(&desired, &there, &Crashes::new(), 0);
    assert_eq!(actions, [Action::Start { slot: slot("web", 1), release: 4, generation: 0 }]);
    apply(&mut there, actions, &mut 0);
    time_passes(&mut there);
    assert_eq!(plan(&desired, &there, &Crashes::new(), 0), []);
}

fn any_phase() -> impl Strategy<Value = Phase> {
    prop_oneof![Just(Phase::Starting), Just(Phase::Up), Just(Phase::Retiring)]
}

prop_compose! {
    fn any_live()(index in 1u32..4, web: bool, release in 1u32..4, generation in 0u64..2, phase in any_phase(), n: u32) -> Live {
        live(&format!("i{n}"), slot(if web { "web" } else { "worker" }, index), release, generation, phase)
    }
}

prop_compose! {
    fn any_wanted()(release in 1u32..4, generation in 0u64..2, web in 0u32..4, worker in 0u32..4) -> Wanted {
        wanted(release, generation, &[("web", web), ("worker", worker)])
    }
}

prop_compose! {
    fn any_rollout()(surge in proptest::option::of(1u32..3), web: bool, worker: bool) -> Rollout {
        let names = [("web", web), ("worker", worker)];
        let exclusive = names.iter().filter(|(_, on)| *on).map(|(name, _)| name.parse().unwrap()).collect();
        Rollout { surge, exclusive, canary: false }
    }
}

prop_compose! {
    /// A deploy under way: the candidate is of a release of its own.
    fn any_deploy()(now in any_wanted(), next in any_wanted(), rollout in any_rollout()) -> Desired {
        Desired { current: Some(now), candidate: Some(Wanted { release: 7, ..next }), rollout }
    }
}

fn plan_many(desired: &Desired, there: &mut Vec<Live>) {
    let mut number = 0;
    for _ in 0..20 {
        let actions = plan(desired, there, &Crashes::new(), 0);
        apply(there, actions, &mut number);
        time_passes(there);
    }
}

proptest! {
    /// Whatever is there, doing what the plan says ends with exactly one instance up a slot.
    #[test]
    fn converges(target in any_wanted(), rollout in any_rollout(), mut there in proptest::collection::vec(any_live(), 0..12)) {
        let desired = Desired { current: Some(target.clone()), candidate: None, rollout };
        plan_many(&desired, &mut there);
        prop_assert_eq!(plan(&desired, &there, &Crashes::new(), 0), []);
        let mut slots: Vec<Slot> = there.iter().map(|i| i.slot.clone()).collect();
        slots.sort();
        prop_assert_eq!(slots, target.slots().collect::<Vec<_>>());
    }

    /// Every deploy of a release that can run gets ready, whatever its rollout.
    #[test]
    fn every_candidate_gets_ready(desired in any_deploy(), mut there in proptest::collection::vec(any_live(), 0..12)) {
        plan_many(&desired, &mut there);
        prop_assert_eq!(verdict(desired.candidate.as_ref().unwrap(), &there, &Crashes::new()), Verdict::Ready);
    }

    /// An instance of the current release that is up and wanted is never retired by a deploy or a
    /// restart before another one is up in its slot: of the current release, or, in a gradual
    /// deploy, of the candidate. Exclusive types are the exception.
    #[test]
    fn never_leaves_a_served_slot_empty(desired in any_deploy(), there in proptest::collection::vec(any_live(), 0..12)) {
        let retired: BTreeSet<InstanceId> = plan(&desired, &there, &Crashes::new(), 0).into_iter()
            .filter_map(|action| if let Action::Retire(id) = action { Some(id) } else { None }).collect();
        let now = desired.current.as_ref().unwrap();
        for slot in now.slots().filter(|slot| !desired.rollout.exclusive.contains(&slot.process)) {
            let up = |i: &&Live| i.slot == slot && i.phase == Phase::Up && i.release == now.release;
            let replaces = |i: &&Live| i.slot == slot && i.phase == Phase::Up
                && desired.rollout.surge.is_some() && serves(desired.candidate.as_ref().unwrap(), i);
            if there.iter().any(|i| up(&i)) {
                let stays = |i: &&Live| (up(i) || replaces(i)) && !retired.contains(&i.id);
                prop_assert!(there.iter().any(|i| stays(&i)), "{} emptied", slot);
            }
        }
    }

    /// An instance of an exclusive type never starts beside one of another release or generation,
    /// not even beside one that is still stopping.
    #[test]
    fn exclusive_types_never_run_twice(desired in any_deploy(), there in proptest::collection::vec(any_live(), 0..12)) {
        let mut begun = BTreeSet::new();
        for action in plan(&desired, &there, &Crashes::new(), 0) {
            let Action::Start { slot, release, generation } = action else { continue };
            if desired.rollout.exclusive.contains(&slot.process) {
                begun.insert((slot.process.clone(), release, generation));
                for other in there.iter().filter(|i| i.slot.process == slot.process) {
                    prop_assert_eq!((other.release, other.generation), (release, generation));
                }
            }
        }
        let types: BTreeSet<_> = begun.iter().map(|(process, _, _)| process).collect();
        prop_assert_eq!(types.len(), begun.len());
    }

    /// A surge limit holds, unless there were more before.
    #[test]
    fn surge_is_limited(desired in any_deploy(), mut there in proptest::collection::vec(any_live(), 0..12)) {
        let count = |there: &[Live], process: &str| there.iter()
            .filter(|i| i.phase != Phase::Retiring && i.slot.process.as_str() == process).count();
        let before = ["web", "worker"].map(|process| count(&there, process));
        let actions = plan(&desired, &there, &Crashes::new(), 0);
        apply(&mut there, actions, &mut 0);
        for (process, before) in ["web", "worker"].into_iter().zip(before) {
            let most = desired.most(&process.parse().unwrap());
            prop_assert!(count(&there, process) <= most.max(before));
        }
    }
}
