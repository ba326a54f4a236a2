use crate::harness::Machine;
use std::time::Duration;
use windlass_core::driver::Driver;
use windlass_core::instance::InstanceKind;

crate::tests![
    memory_is_limited,
    a_killed_child_is_noticed,
    a_build_is_ended_before_what_is_served,
    the_memory_limit_can_be_read,
    processes_are_limited,
    a_fork_bomb_can_be_stopped,
    cpu_is_limited,
];

async fn memory_is_limited() {
    let machine = Machine::start().await;
    let mut spec = machine.script("x=a; while :; do x=$x$x; done");
    spec.resources.memory_bytes = Some(48 << 20);
    let status = machine.run(spec).await;
    assert_eq!((status.code, status.out_of_memory), (137, true));
    machine.finish().await;
}

async fn a_killed_child_is_noticed() {
    let machine = Machine::start().await;
    let mut spec =
        machine.script("sh -c 'x=a; while :; do x=$x$x; done'; echo child ended with $?; exit 4");
    spec.resources.memory_bytes = Some(48 << 20);
    let (status, log) = machine.output_of(spec).await;
    assert_eq!((status.code, status.out_of_memory), (4, true));
    assert!(log.iter().any(|line| line == "child ended with 137"), "{log:?}");
    machine.finish().await;
}

async fn a_build_is_ended_before_what_is_served() {
    let machine = Machine::start().await;
    let script = "cat /proc/self/oom_score_adj; sh -c 'cat /proc/self/oom_score_adj'";
    let mut scores = Vec::new();
    for kind in [InstanceKind::Build, InstanceKind::Formation] {
        let mut spec = machine.script(script);
        spec.labels.kind = kind;
        scores.push(machine.output_of(spec).await.1);
    }
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    assert_eq!(scores[0], ["900", "900"]);
    assert_eq!(scores[1], [own.trim(), own.trim()]);
    machine.finish().await;
}

async fn the_memory_limit_can_be_read() {
    let machine = Machine::start().await;
    let mut spec = machine.script("cat /sys/fs/cgroup/memory/memory.limit_in_bytes");
    spec.resources.memory_bytes = Some(512 << 20);
    let (_, log) = machine.output_of(spec).await;
    assert_eq!(log, ["536870912"]);
    machine.finish().await;
}

async fn processes_are_limited() {
    let machine = Machine::start().await;
    let mut spec = machine.script("for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; echo all");
    spec.resources.processes = Some(6);
    let (status, log) = machine.output_of(spec).await;
    assert_ne!(status.code, 0);
    assert!(log.iter().any(|line| line.contains("can't fork")), "{log:?}");
    let mut spec = machine.script("for i in 1 2 3 4 5; do sleep 1000 & done; echo all");
    spec.resources.processes = Some(6);
    let (status, log) = machine.output_of(spec).await;
    assert_eq!((status.code, log), (0, vec!["all".to_owned()]), "itself and five children");
    machine.finish().await;
}

async fn a_fork_bomb_can_be_stopped() {
    let machine = Machine::start().await;
    let mut spec = machine.script(
        "trap '' TERM; echo boom; f() { f | f & f; }; (while :; do f; done) & while :; do :; done",
    );
    spec.resources.processes = Some(60);
    let id = spec.id.clone();
    machine.driver.start(spec).await.unwrap();
    // How long it takes until a process cannot be made depends on the machine.
    machine.wait_for_log("fork").await;
    let stopped = machine.driver.stop(&id, Duration::from_millis(100)).await.unwrap();
    assert_eq!((stopped.status.code, stopped.killed), (137, true));
    assert!(stopped.status.out_of_processes, "it is told from other ends");
    machine.finish().await;
}

async fn cpu_is_limited() {
    let machine = Machine::start().await;
    let mut spec = machine.script(
        "exec 2>/dev/null; read before _ </proc/uptime; timeout 1 sh -c 'while :; do :; done'; \
         read after _ </proc/uptime; echo $before $after; times",
    );
    spec.resources.cpu_millis = Some(200);
    spec.resources.cpu_shares = Some(64);
    let (_, log) = machine.output_of(spec).await;
    assert_eq!(log.len(), 3, "times, its own use, its children's: {log:?}");
    let number = |text: &str| text.parse::<f64>().unwrap();
    let (before, after) = log[0].split_once(' ').unwrap();
    // `times` prints the user time of the children in its second line: 0m0.20s.
    let user = number(log[2].split(['m', 's']).nth(1).unwrap());
    let share = user / (number(after) - number(before));
    assert!(share < 0.5, "of one processor, where 0.2 is the limit: {log:?}");
    machine.finish().await;
}
