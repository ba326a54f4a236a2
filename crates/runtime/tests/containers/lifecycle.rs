use crate::harness::{Machine, start_error, wait_for};
use std::time::{Duration, Instant};
use windlass_core::driver::{Driver, DriverError, InstanceEvent};
use windlass_core::ids::InstanceId;
use windlass_core::instance::InstanceState;

crate::tests![
    output_goes_to_the_log,
    exit_codes_and_signals,
    the_environment_is_the_specs,
    missing_commands_are_named,
    bad_specs_are_refused,
    stopping_lets_programs_end,
    stopping_kills_what_ignores_it,
    orphans_are_reaped_and_end_with_the_program,
    events_tell_of_ends,
    starting_twice_starts_once,
    forgetting_removes_everything,
    fifty_at_once,
    the_log_is_limited_and_followed_after_rotation,
];

/// A grace that is never needed.
const LONG: Duration = Duration::from_secs(60);

async fn output_goes_to_the_log() {
    let machine = Machine::start().await;
    let spec =
        machine.script("echo out; echo err >&2; echo via-dev > /dev/stdout; printf 'no end'");
    let (status, log) = machine.output_of(spec).await;
    assert_eq!((status.code, status.out_of_memory, &status.reason), (0, false, &None));
    assert_eq!(log, ["out", "err", "via-dev", "no end"], "in this order");
    machine.finish().await;
}

async fn exit_codes_and_signals() {
    let machine = Machine::start().await;
    for (script, code) in
        [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
    {
        assert_eq!(machine.run(machine.script(script)).await.code, code, "{script}");
    }
    machine.finish().await;
}

async fn the_environment_is_the_specs() {
    let machine = Machine::start().await;
    let mut spec = machine.script("pwd; id -u; id -g; echo \"$GREETING\"; env | sort; hostname; touch /home/app/x && echo wrote; touch /etc/x || echo refused");
    spec.environment.insert("GREETING".to_owned(), "hello\tworld = ü".to_owned());
    spec.working_directory = "/app".to_owned();
    let name = spec.id.to_string();
    let (_, log) = machine.output_of(spec).await;
    assert_eq!(log[..4], ["/app", "1000", "1000", "hello\tworld = ü"]);
    assert!(log.contains(&"HOME=/home/app".to_owned()), "{log:?}");
    assert!(log.contains(&name) && log.contains(&"wrote".to_owned()), "{log:?}");
    assert!(log.contains(&"refused".to_owned()), "{log:?}");
    let leaked = log.iter().find(|line| line.starts_with("CARGO"));
    assert_eq!(leaked, None, "the server's environment");
    machine.finish().await;
}

async fn missing_commands_are_named() {
    let machine = Machine::start().await;
    for (command, part) in [
        ("no-such-program", "not found in PATH"),
        ("/bin/no-such-program", "no such file"),
        ("/etc/notexecutable", "permission denied"),
        ("/etc", "is a directory"),
    ] {
        match start_error(machine.driver.start(machine.command(&[command])).await) {
            DriverError::CommandNotFound(text) => {
                assert!(text.starts_with(command) && text.contains(part), "{text}");
            }
            other => panic!("{command}: {other}"),
        }
    }
    assert!(machine.driver.observe().await.unwrap().is_empty());
    machine.finish().await;
}

async fn bad_specs_are_refused() {
    let machine = Machine::start().await;
    let mut nowhere = machine.script("true");
    nowhere.working_directory = "/nowhere".to_owned();
    let error = start_error(machine.driver.start(nowhere).await).to_string();
    assert!(error.contains("working directory \"/nowhere\""), "{error}");

    let mut traversal = machine.script("true");
    traversal.id = InstanceId("../../etc".to_owned());
    let error = start_error(machine.driver.start(traversal).await).to_string();
    assert!(error.contains("not an instance identifier"), "{error}");

    let mut no_image = machine.script("true");
    no_image.image = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
    let error = start_error(machine.driver.start(no_image).await);
    assert!(matches!(error, DriverError::NoSuchImage(_)), "{error}");

    let unknown = InstanceId::random("web", 1);
    let error = machine.driver.stop(&unknown, Duration::ZERO).await.unwrap_err();
    assert!(matches!(error, DriverError::NoSuchInstance(_)), "{error}");
    machine.driver.forget(&unknown).await.unwrap();
    machine.finish().await;
}

async fn stopping_lets_programs_end() {
    let machine = Machine::start().await;
    // No handler at all: must end by SIGTERM although it runs in a process namespace of its own.
    let plain = machine.command(&["/bin/sleep", "1000"]);
    let id = plain.id.clone();
    machine.driver.start(plain).await.unwrap();
    let stopped = machine.driver.stop(&id, LONG).await.unwrap();
    assert_eq!((stopped.status.code, stopped.killed), (143, false), "no need to kill it");

    let graceful =
        machine.script("trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done");
    let id = graceful.id.clone();
    machine.driver.start(graceful).await.unwrap();
    machine.wait_for_log("ready").await;
    let stopped = machine.driver.stop(&id, LONG).await.unwrap();
    assert_eq!((stopped.status.code, stopped.killed), (3, false));
    machine.wait_for_log("bye").await;
    let again = machine.driver.stop(&id, LONG).await.unwrap();
    assert_eq!(again, stopped);
    machine.finish().await;
}

async fn stopping_kills_what_ignores_it() {
    let machine = Machine::start().await;
    let spec = machine.script("trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo ready; while :; do sleep 1; done");
    let id = spec.id.clone();
    machine.driver.start(spec).await.unwrap();
    machine.wait_for_log("ready").await;
    let start = Instant::now();
    let stopped = machine.driver.stop(&id, Duration::from_millis(300)).await.unwrap();
    assert_eq!((stopped.status.code, stopped.killed), (137, true));
    assert!(start.elapsed() >= Duration::from_millis(300), "it gets its grace");
    machine.finish().await;
}

async fn orphans_are_reaped_and_end_with_the_program() {
    let machine = Machine::start().await;
    let spec = machine.script(
        "(sleep 0.1 & ) ; sleep 0.5; ps -o stat,args | grep -c '^Z'; (sleep 1000 &); exit 0",
    );
    let (status, log) = machine.output_of(spec).await;
    assert_eq!((status.code, log.as_slice()), (0, &["0".to_owned()][..]));
    machine.finish().await;
}

async fn events_tell_of_ends() {
    let machine = Machine::start().await;
    let mut events = machine.driver.events();
    let spec = machine.script("exit 5");
    let expected = spec.id.clone();
    machine.driver.start(spec).await.unwrap();
    let InstanceEvent::Exited { id, status } = events.recv().await.unwrap();
    assert_eq!((id, status.code), (expected, 5));
    machine.finish().await;
}

async fn starting_twice_starts_once() {
    let machine = Machine::start().await;
    let spec = machine.script("echo once; sleep 1000");
    let (first, second) =
        tokio::join!(machine.driver.start(spec.clone()), machine.driver.start(spec.clone()));
    assert_eq!(first.unwrap().started_at_ms, second.unwrap().started_at_ms);
    machine.wait_for_log("once").await;
    assert_eq!(machine.log().len(), 1);
    let observed = machine.driver.observe().await.unwrap();
    assert_eq!(observed.len(), 1);
    assert_eq!((&observed[0].spec, &observed[0].state), (&spec, &InstanceState::Running));
    machine.finish().await;
}

async fn forgetting_removes_everything() {
    let machine = Machine::start().await;
    let spec = machine.script("echo x > /tmp/x; sleep 1000");
    let id = spec.id.clone();
    machine.driver.start(spec).await.unwrap();
    let error = machine.driver.forget(&id).await.unwrap_err().to_string();
    assert!(error.contains("has not ended"), "{error}");
    machine.driver.stop(&id, Duration::from_secs(5)).await.unwrap();
    assert!(machine.observe(&id).await.is_some());
    machine.driver.forget(&id).await.unwrap();
    assert!(machine.observe(&id).await.is_none());
    assert!(!machine.config.run_directory.join("instances").join(id.as_str()).exists());
    let writable = machine.config.work_directory.join("writable").join(id.as_str());
    wait_for("the writable layer to go", || !writable.exists()).await;
    machine.finish().await;
}

async fn fifty_at_once() {
    let machine = Machine::start().await;
    let starts = (0..50).map(|number| {
        let driver = machine.driver.clone();
        let spec = machine.script(&format!("echo number {number}.; sleep 1000"));
        tokio::spawn(async move { driver.start(spec).await })
    });
    for start in starts.collect::<Vec<_>>() {
        start.await.unwrap().unwrap();
    }
    wait_for("fifty lines", || machine.log().len() == 50).await;
    for number in 0..50 {
        assert!(machine.log().contains(&format!("number {number}.")));
    }
    machine.finish().await;
}

async fn the_log_is_limited_and_followed_after_rotation() {
    let machine = Machine::start().await;
    let spec = machine.script("yes | head -n 200000; sleep 1.2; echo after; sleep 1000");
    let id = spec.id.clone();
    machine.driver.start(spec).await.unwrap();
    machine.wait_for_log("after").await;
    let log = machine.log();
    let notice = log.iter().find(|l| l.starts_with("Error L10 (output buffer overflow): "));
    assert!(notice.is_some(), "of {} lines none is the notice", log.len());
    assert!(log.len() < 100_000, "{} lines", log.len());

    let old = machine.path().join("logs/app.log.1");
    std::fs::rename(machine.log_file(), &old).unwrap();
    machine.driver.stop(&id, Duration::from_secs(5)).await.unwrap();
    let spec = machine.script("while :; do echo tick; sleep 0.1; done");
    machine.driver.start(spec).await.unwrap();
    machine.wait_for_log("tick").await;
    std::fs::rename(machine.log_file(), &old).unwrap();
    machine.wait_for_log("tick").await;
    machine.finish().await;
}
