use crate::harness::{Machine, leftovers, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;
use windlass_core::driver::{Driver, InstanceEvent};
use windlass_core::ids::InstanceId;
use windlass_core::instance::InstanceState;

crate::tests![
    a_killed_shim_ends_its_instance,
    a_killed_first_process_ends_its_instance,
    a_new_driver_finds_what_runs,
    a_new_driver_finds_what_ended,
    a_new_driver_ends_what_has_no_shim,
    two_servers_do_not_meet,
];

fn instance_file(machine: &Machine, id: &InstanceId, file: &str) -> String {
    let path = machine.config.run_directory.join("instances").join(id.as_str()).join(file);
    std::fs::read_to_string(path).unwrap()
}

fn shim_of(machine: &Machine, id: &InstanceId) -> Pid {
    Pid::from_raw(instance_file(machine, id, "lock").parse().unwrap())
}

/// The processes in the instance's cgroup.
fn processes_of(machine: &Machine, id: &InstanceId) -> usize {
    let group = format!("windlass-{}/{id}/cgroup.procs", machine.config.name);
    ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"]
        .into_iter()
        .filter_map(|root| std::fs::read_to_string(format!("{root}/{group}")).ok())
        .map(|text| text.lines().count())
        .sum()
}

async fn a_killed_shim_ends_its_instance() {
    let machine = Machine::start().await;
    let mut events = machine.driver.events();
    let spec = machine.script("trap '' TERM; (sleep 1000 &); echo ready; sleep 1000");
    let id = spec.id.clone();
    machine.driver.start(spec).await.unwrap();
    machine.wait_for_log("ready").await;
    assert!(processes_of(&machine, &id) >= 3);
    kill(shim_of(&machine, &id), Signal::SIGKILL).unwrap();
    let InstanceEvent::Exited { id: ended, status } = events.recv().await.unwrap();
    assert_eq!((&ended, status.code), (&id, 137));
    assert_eq!(status.reason.as_deref(), Some("its shim was killed"));
    assert_eq!(processes_of(&machine, &id), 0);
    machine.finish().await;
}

async fn a_killed_first_process_ends_its_instance() {
    let machine = Machine::start().await;
    let spec = machine.script("(sleep 1000 &); sleep 1000");
    let id = spec.id.clone();
    machine.driver.start(spec).await.unwrap();
    let status: serde_json::Value =
        serde_json::from_str(&instance_file(&machine, &id, "status.json")).unwrap();
    let pid = status["running"]["pid"].as_i64().unwrap();
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();
    let status = machine.exited(&id).await;
    assert_eq!((status.code, status.reason), (137, None));
    machine.finish().await;
}

async fn a_new_driver_finds_what_runs() {
    let machine = Machine::start().await;
    let mut spec = machine.script("i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done");
    spec.port = Some(5000);
    let id = spec.id.clone();
    let before = machine.driver.start(spec).await.unwrap();
    machine.wait_for_log("tick 2").await;
    let machine = machine.restart().await;
    let after = machine.observe(&id).await.unwrap();
    assert_eq!(after, before);
    let lines = machine.log().len();
    wait_for("more lines", || machine.log().len() > lines + 3).await;
    let numbers: Vec<u32> =
        machine.log().iter().map(|l| l.strip_prefix("tick ").unwrap().parse().unwrap()).collect();
    assert!(numbers.iter().zip(1..).all(|(have, want)| *have == want), "{numbers:?}");

    let other = machine.driver.start(machine.script("sleep 1000")).await.unwrap();
    assert_ne!(other.spec.id, id);
    let mut events = machine.driver.events();
    let stopped = machine.driver.stop(&id, Duration::from_secs(10)).await.unwrap();
    assert_eq!((stopped.status.code, stopped.killed), (143, false));
    let InstanceEvent::Exited { id: ended, .. } = events.recv().await.unwrap();
    assert_eq!(ended, id);
    machine.finish().await;
}

async fn a_new_driver_finds_what_ended() {
    let machine = Machine::start().await;
    let spec = machine.script("sleep 0.3; exit 6");
    let id = spec.id.clone();
    machine.driver.start(spec).await.unwrap();
    let Machine { driver, config, image, directory, app, patience } = machine;
    drop(driver);
    // Its shim writes the end down and lets go of the lock with its own end.
    let lock = config.run_directory.join("instances").join(id.as_str()).join("lock");
    wait_for("the shim's end", || std::fs::File::open(&lock).unwrap().try_lock().is_ok()).await;
    let driver = windlass_runtime::EmbeddedDriver::open(config.clone()).await.unwrap();
    let machine = Machine { driver, config, image, directory, app, patience };
    match machine.observe(&id).await.unwrap().state {
        InstanceState::Exited(status) => assert_eq!((status.code, status.reason), (6, None)),
        InstanceState::Running => panic!("it has ended long ago"),
    }
    machine.finish().await;
}

async fn a_new_driver_ends_what_has_no_shim() {
    let machine = Machine::start().await;
    let spec = machine.script("sleep 1000");
    let id = spec.id.clone();
    machine.driver.start(spec).await.unwrap();
    let shim = shim_of(&machine, &id);
    let Machine { driver, config, image, directory, app, patience } = machine;
    drop(driver);
    kill(shim, Signal::SIGKILL).unwrap();
    let driver = windlass_runtime::EmbeddedDriver::open(config.clone()).await.unwrap();
    let machine = Machine { driver, config, image, directory, app, patience };
    let status = machine.exited(&id).await;
    assert_eq!((status.code, status.reason.as_deref()), (137, Some("its shim was killed")));
    assert_eq!(processes_of(&machine, &id), 0);
    machine.finish().await;
}

async fn two_servers_do_not_meet() {
    let (one, two) = (Machine::start().await, Machine::start().await);
    let mut spec = one.script("sleep 1000");
    spec.port = Some(1);
    let first = one.driver.start(spec).await.unwrap();
    let mut spec = two.script("sleep 1000");
    spec.port = Some(1);
    let second = two.driver.start(spec).await.unwrap();
    assert_ne!(first.address, second.address);
    one.driver.shutdown_everything().await;
    assert!(leftovers(&one.config).is_empty());
    let still = two.observe(&second.spec.id).await.unwrap();
    assert_eq!(still.state, InstanceState::Running);
    two.finish().await;
}
