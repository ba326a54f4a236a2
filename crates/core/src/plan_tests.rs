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
    let status = ExitStatus { code: 1, out_of_memory: false, reason: None, at_ms: 0 };
    Crash { release, generation: 0, count: 1, next_attempt_ms, status }
}

fn current(wanted: Wanted) -> Desired {
    Desired { current: Some(wanted), candidate: None }
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
    let desired = Desired { current: None, candidate: Some(candidate.clone()) };
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

proptest! {
    /// Whatever is there, doing what the plan says ends with exactly one instance up a slot.
    #[test]
    fn converges(target in any_wanted(), start in proptest::collection::vec(any_live(), 0..12)) {
        let desired = current(target.clone());
        let mut there = start;
        let mut number = 0;
        for _ in 0..6 {
            for action in plan(&desired, &there, &Crashes::new(), 0) {
                match action {
                    Action::Start { slot, release, generation } => {
                        number += 1;
                        there.push(live(&format!("n{number}"), slot, release, generation, Phase::Starting));
                    }
                    Action::Retire(id) => there.retain(|instance| instance.id != id),
                    Action::WakeAt(_) => {}
                }
            }
            for instance in &mut there {
                if instance.phase == Phase::Starting { instance.phase = Phase::Up; }
            }
        }
        prop_assert_eq!(plan(&desired, &there, &Crashes::new(), 0), []);
        let mut slots: Vec<Slot> = there.iter().filter(|i| i.phase == Phase::Up).map(|i| i.slot.clone()).collect();
        slots.sort();
        prop_assert_eq!(slots, target.slots().collect::<Vec<_>>());
    }

    /// An instance of the current release that is up and wanted is never retired by a deploy or a
    /// restart before another one is up in its slot.
    #[test]
    fn never_leaves_a_served_slot_empty(now in any_wanted(), next in any_wanted(), there in proptest::collection::vec(any_live(), 0..12)) {
        let desired = Desired { candidate: Some(next), current: Some(now.clone()) };
        let retired: BTreeSet<InstanceId> = plan(&desired, &there, &Crashes::new(), 0).into_iter()
            .filter_map(|action| if let Action::Retire(id) = action { Some(id) } else { None }).collect();
        for slot in now.slots() {
            let up = |i: &&Live| i.slot == slot && i.phase == Phase::Up && i.release == now.release;
            if there.iter().any(|i| up(&i)) {
                prop_assert!(there.iter().filter(up).any(|i| !retired.contains(&i.id)), "{} emptied", slot);
            }
        }
    }
}
