//! Commands beside an instance's own processes.

use crate::attached::{collect, job_control, read_until};
use crate::harness::{Machine, wait_for};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use windlass_core::driver::{AttachedInput, AttachedOutput, Driver, DriverError, ExecCommand};
use windlass_core::ids::InstanceId;
use windlass_core::instance::{InstanceSpec, TerminalSize};

crate::tests![
    it_is_no_more_and_no_less_than_the_instances_own_processes,
    root_inside_is_no_more_than_the_instances_own_root,
    no_file_of_the_host_is_open_inside,
    output_input_and_exit_code_arrive,
    a_terminal_has_a_size_and_job_control,
    signals_reach_it_and_not_the_instance,
    a_client_that_goes_away_ends_all_of_it,
    what_it_leaves_behind_ends_with_it,
    a_fork_bomb_is_held_by_the_instances_limit,
    it_ends_with_its_instance,
    instances_taken_over_have_it_too,
    what_cannot_be_run_is_said,
    a_shim_that_is_killed_leaves_nothing,
    starting_is_quick,
];

fn command(words: &[&str], terminal: Option<TerminalSize>) -> ExecCommand {
    let command = words.iter().map(ToString::to_string).collect();
    ExecCommand { command, environment: BTreeMap::new(), terminal }
}

fn script(text: &str) -> ExecCommand {
    command(&["/bin/sh", "-c", text], None)
}

/// An instance that waits.
async fn waiting(machine: &Machine) -> InstanceId {
    started(machine, machine.script("exec sleep 1000")).await
}

async fn started(machine: &Machine, spec: InstanceSpec) -> InstanceId {
    let id = spec.id.clone();
    machine.driver.start(spec).await.unwrap();
    id
}

async fn output_of(machine: &Machine, id: &InstanceId, text: &str) -> (String, i32) {
    let mut attached = machine.driver.exec(id, script(text)).await.unwrap();
    let (out, err, status) = collect(&mut attached).await;
    (out + &err, status.code)
}

/// Returns the group of the instance in the tree by which processes are counted.
fn group(machine: &Machine, id: &InstanceId) -> PathBuf {
    let name = format!("windlass-{}/{id}", machine.config.name);
    let v1 = PathBuf::from("/sys/fs/cgroup/pids");
    if v1.exists() { v1.join(name) } else { PathBuf::from("/sys/fs/cgroup").join(name) }
}

/// Returns the processes of the instance, and those of commands beside it, as the host sees them.
fn processes(machine: &Machine, id: &InstanceId) -> (Vec<i32>, Vec<i32>) {
    let read = |directory: PathBuf| -> Vec<i32> {
        let text = std::fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        text.lines().map(|line| line.parse().unwrap()).collect()
    };
    let group = group(machine, id);
    let below = std::fs::read_dir(&group).unwrap().flatten().filter(|e| e.path().is_dir());
    (read(group.clone()), below.flat_map(|entry| read(entry.path())).collect())
}

/// Returns what the kernel says a process may do and sees.
fn identity(pid: i32) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let wanted = ["Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Umask"];
    for line in status.lines() {
        let (name, value) = line.split_once(':').unwrap();
        if wanted.contains(&name) || name.starts_with("Cap") || name.starts_with("Sig") {
            all.insert(name.to_owned(), value.trim().to_owned());
        }
    }
    // Of signals only how they are handled: which are pending, and how many may be, is nothing.
    all.retain(|name, _| !["SigQ", "SigPnd"].contains(&name.as_str()));
    for name in ["pid", "mnt", "net", "user", "ipc", "uts", "cgroup"] {
        let link = std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
        all.insert(format!("ns {name}"), link.display().to_string());
    }
    for name in ["limits", "oom_score_adj", "mountinfo"] {
        all.insert(
            name.to_owned(),
            std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap(),
        );
    }
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let without_own = |line: &str| line.split("/exec-").next().unwrap().to_owned();
    all.insert("cgroup".to_owned(), groups.lines().map(without_own).collect());
    let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    let mut variables: Vec<_> = environment.split('\0').collect();
    variables.sort_unstable();
    all.insert("environment".to_owned(), variables.join(" "));
    let directory = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
    all.insert("directory".to_owned(), directory.display().to_string());
    all
}

/// Compares a command beside the instance with the instance's own.
async fn same_as_the_instances_own(machine: &Machine, spec: InstanceSpec) {
    let id = started(machine, spec).await;
    let attached = machine.driver.exec(&id, command(&["/bin/sleep", "500"], None)).await.unwrap();
    let (own, beside) = processes(machine, &id);
    assert_eq!((own.len(), beside.len()), (2, 1), "{own:?} {beside:?}");
    let (own, beside) = (identity(own[1]), identity(beside[0]));
    for (name, value) in &own {
        assert_eq!(Some(value), beside.get(name), "{name}");
    }
    assert_eq!(own["Seccomp"], "2");
    assert_eq!(own["NoNewPrivs"], "1");
    drop(attached);
}

async fn it_is_no_more_and_no_less_than_the_instances_own_processes() {
    let machine = Machine::start().await;
    let mut spec = machine.command(&["/bin/sleep", "1000"]);
    spec.environment.insert("COLOUR".to_owned(), "green".to_owned());
    spec.working_directory = "/home/app".to_owned();
    let id = spec.id.clone();
    same_as_the_instances_own(&machine, spec).await;
    let mut with_more = script("echo $COLOUR $MORE; pwd; id -u; hostname");
    with_more.environment.insert("MORE".to_owned(), "of it".to_owned());
    let mut attached = machine.driver.exec(&id, with_more).await.unwrap();
    let (out, _, _) = collect(&mut attached).await;
    assert_eq!(out, format!("green of it\n/home/app\n1000\n{id}\n"));
    machine.finish().await;
}

async fn root_inside_is_no_more_than_the_instances_own_root() {
    let machine = Machine::start().await;
    let mut spec = machine.command(&["/bin/sleep", "1000"]);
    spec.user = 0;
    let id = spec.id.clone();
    same_as_the_instances_own(&machine, spec).await;
    let attempts = "mount -t tmpfs x /tmp || mount --bind / /tmp || mknod /tmp/x b 7 0 || \
        ls /proc/1/fd || echo 1 > /proc/sys/kernel/panic || echo held";
    let (out, _) = output_of(&machine, &id, attempts).await;
    assert!(out.lines().any(|line| line == "held"), "{out}");
    machine.finish().await;
}

async fn no_file_of_the_host_is_open_inside() {
    let machine = Machine::start().await;
    let id = waiting(&machine).await;
    let (out, _) =
        output_of(&machine, &id, "cd /proc/self/fd && for f in *; do readlink $f; done").await;
    let files: Vec<_> = out.lines().filter(|line| !line.starts_with("pipe:")).collect();
    assert!(files.is_empty(), "{out}");
    assert_eq!(out.lines().count(), 3, "{out}");
    let size = TerminalSize { rows: 10, columns: 10 };
    let shell = ["/bin/sh", "-c", "cd /proc/self/fd && for f in *; do readlink $f; done"];
    let mut attached = machine.driver.exec(&id, command(&shell, Some(size))).await.unwrap();
    let (out, _, _) = collect(&mut attached).await;
    assert_eq!(out.lines().collect::<Vec<_>>(), ["/dev/pts/0"; 3], "{out}");
    machine.finish().await;
}

async fn output_input_and_exit_code_arrive() {
    let machine = Machine::start().await;
    let id = waiting(&machine).await;
    let mut attached =
        machine.driver.exec(&id, script("wc -c; echo wrong >&2; exit 9")).await.unwrap();
    attached.input.send(AttachedInput::Stdin(Bytes::from(vec![b'x'; 3_000_000]))).await.unwrap();
    attached.input.send(AttachedInput::StdinClosed).await.unwrap();
    let (out, err, status) = collect(&mut attached).await;
    assert_eq!((out.as_str(), err.as_str(), status.code), ("3000000\n", "wrong\n", 9));
    let (_, code) = output_of(&machine, &id, "kill -KILL $$").await;
    assert_eq!(code, 137);
    let mut large =
        machine.driver.exec(&id, script("head -c 20000000 /dev/zero; echo end >&2")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (out, err, status) = collect(&mut large).await;
    assert_eq!((out.len(), err.as_str(), status.code), (20_000_000, "end\n", 0));
    machine.finish().await;
}

async fn a_terminal_has_a_size_and_job_control() {
    let machine = Machine::start().await;
    let id = waiting(&machine).await;
    let text =
        "tty; stty size; trap 'stty size; exit 3' WINCH; echo ready; while :; do sleep 0.05; done";
    let size = TerminalSize { rows: 33, columns: 99 };
    let shell = ["/bin/sh", "-c", text];
    let mut attached = machine.driver.exec(&id, command(&shell, Some(size))).await.unwrap();
    let said = read_until(&mut attached, "ready").await;
    assert!(said.contains("/dev/pts/0\r\n33 99\r\n"), "{said:?}");
    let size = TerminalSize { rows: 40, columns: 120 };
    attached.input.send(AttachedInput::Resize(size)).await.unwrap();
    let (out, _, status) = collect(&mut attached).await;
    assert_eq!((out.trim(), status.code), ("40 120", 3));

    let mut shell =
        machine.driver.exec(&id, command(&["/bin/sh", "-i"], Some(size))).await.unwrap();
    job_control(&mut shell).await;
    machine.finish().await;
}

async fn signals_reach_it_and_not_the_instance() {
    let machine = Machine::start().await;
    let id = waiting(&machine).await;
    let text = "trap 'echo got it; exit 2' USR1; echo ready; while :; do sleep 0.05; done";
    let mut attached = machine.driver.exec(&id, script(text)).await.unwrap();
    read_until(&mut attached, "ready").await;
    attached.input.send(AttachedInput::Signal(10)).await.unwrap();
    let (out, _, status) = collect(&mut attached).await;
    assert_eq!((out.as_str(), status.code), ("got it\n", 2));
    assert_eq!(processes(&machine, &id).0.len(), 2);
    machine.finish().await;
}

async fn a_client_that_goes_away_ends_all_of_it() {
    let machine = Machine::start().await;
    let id = waiting(&machine).await;
    // One that has left the session, one that ignores being told.
    let text = "setsid sleep 1000 & trap '' TERM HUP; echo ready; sleep 1000; true";
    let mut attached = machine.driver.exec(&id, script(text)).await.unwrap();
    read_until(&mut attached, "ready").await;
    wait_for("three processes", || processes(&machine, &id).1.len() == 3).await;
    drop(attached);
    wait_for("their end", || processes(&machine, &id).1.is_empty()).await;
    assert_eq!(processes(&machine, &id).0.len(), 2);
    machine.finish().await;
}

async fn what_it_leaves_behind_ends_with_it() {
    let machine = Machine::start().await;
    let id = waiting(&machine).await;
    let text = "mkfifo /tmp/runs; setsid sh -c 'echo y; echo > /tmp/runs; exec yes' & \
        read _ < /tmp/runs; exit 4";
    let (out, code) = output_of(&machine, &id, text).await;
    assert_eq!(code, 4);
    assert!(out.starts_with("y\n"));
    assert_eq!(processes(&machine, &id).1, Vec::<i32>::new());
    let groups = || std::fs::read_dir(group(&machine, &id)).unwrap().flatten();
    wait_for("its group to go", || !groups().any(|e| e.path().is_dir())).await;
    machine.finish().await;
}

async fn a_fork_bomb_is_held_by_the_instances_limit() {
    let machine = Machine::start().await;
    // It starts no process of its own: a shell that cannot fork ends, and the instance with it.
    let mut spec = machine.script("exec sleep 1000");
    spec.resources.processes = Some(30);
    let id = started(&machine, spec).await;
    let bomb = "bomb() { bomb & bomb & sleep 1000; }; bomb 2>&1; sleep 1000";
    let mut attached = machine.driver.exec(&id, script(bomb)).await.unwrap();
    read_until(&mut attached, "can't fork").await;
    let most = |(own, beside): (Vec<i32>, Vec<i32>)| own.len() + beside.len();
    assert!(most(processes(&machine, &id)) <= 31);
    drop(attached);
    wait_for("its end", || processes(&machine, &id).1.is_empty()).await;
    let (out, code) = output_of(&machine, &id, "echo again").await;
    assert_eq!((out.as_str(), code), ("again\n", 0));
    machine.finish().await;
}

async fn it_ends_with_its_instance() {
    let machine = Machine::start().await;
    let id = waiting(&machine).await;
    let mut attached =
        machine.driver.exec(&id, script("echo ready; exec sleep 500")).await.unwrap();
    read_until(&mut attached, "ready").await;
    machine.driver.stop(&id, Duration::from_secs(5)).await.unwrap();
    let (_, _, status) = collect(&mut attached).await;
    assert!(matches!(status.code, 137 | 143), "{status:?}");
    match machine.driver.exec(&id, script("true")).await {
        Err(DriverError::Other(text)) => assert!(text.contains("has ended"), "{text}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it has started"),
    }
    machine.driver.forget(&id).await.unwrap();
    let unknown = machine.driver.exec(&id, script("true")).await.err().unwrap();
    assert!(matches!(unknown, DriverError::NoSuchInstance(_)), "{unknown}");
    machine.finish().await;
}

async fn instances_taken_over_have_it_too() {
    let machine = Machine::start().await;
    let id = waiting(&machine).await;
    let machine = machine.restart().await;
    let (out, code) = output_of(&machine, &id, "echo hello; exit 5").await;
    assert_eq!((out.as_str(), code), ("hello\n", 5));
    machine.finish().await;
}

async fn what_cannot_be_run_is_said() {
    let machine = Machine::start().await;
    let id = waiting(&machine).await;
    let size = TerminalSize { rows: 24, columns: 80 };
    for terminal in [None, Some(size)] {
        for (word, expected) in [
            ("nope", "nope: not found in PATH"),
            ("/etc/notexecutable", "/etc/notexecutable: permission denied: it is not executable"),
            ("", ": not found in PATH"),
        ] {
            match machine.driver.exec(&id, command(&[word], terminal)).await {
                Err(DriverError::CommandNotFound(text)) => assert_eq!(text, expected),
                Err(other) => panic!("{other}"),
                Ok(_) => panic!("it has started"),
            }
        }
    }
    assert_eq!(processes(&machine, &id).1, Vec::<i32>::new());
    machine.finish().await;
}

async fn a_shim_that_is_killed_leaves_nothing() {
    let machine = Machine::start().await;
    let id = waiting(&machine).await;
    let text = "setsid sleep 1000 & echo ready; sleep 1000; true";
    let mut attached = machine.driver.exec(&id, script(text)).await.unwrap();
    read_until(&mut attached, "ready").await;
    let command = processes(&machine, &id).1[0];
    let stat = std::fs::read_to_string(format!("/proc/{command}/stat")).unwrap();
    let shim: i32 = stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(shim > 1, "{stat}");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim), nix::sys::signal::SIGKILL).unwrap();
    let (_, _, status) = collect(&mut attached).await;
    assert_eq!(status.reason.as_deref(), Some("its shim was killed"));
    wait_for("their end", || processes(&machine, &id).1.is_empty()).await;
    assert_eq!(processes(&machine, &id).0.len(), 2);
    machine.finish().await;
}

async fn starting_is_quick() {
    let machine = Machine::start().await;
    let id = waiting(&machine).await;
    let mut times = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        let mut attached =
            machine.driver.exec(&id, command(&["/bin/echo", "x"], None)).await.unwrap();
        assert!(matches!(attached.output.recv().await, Some(AttachedOutput::Stdout(_))));
        times.push(start.elapsed());
        collect(&mut attached).await;
    }
    times.sort_unstable();
    println!("exec to first output: median {:?}, worst {:?}", times[10], times[19]);
    assert!(times[10] < Duration::from_secs(5), "{times:?}");
    machine.finish().await;
}
