use crate::harness::Machine;
use bytes::Bytes;
use std::time::Duration;
use windlass_core::driver::{Attached, AttachedInput, AttachedOutput, Driver, DriverError};
use windlass_core::instance::{ExitStatus, InstanceSpec, InstanceState, Output, TerminalSize};

crate::tests![
    output_and_exit_code_arrive,
    input_is_forwarded_and_ends,
    a_terminal_has_a_size,
    large_output_waits_for_its_reader,
    signals_reach_it,
    going_away_kills_it,
    a_restart_kills_it,
    commands_not_found_are_said,
];

fn attached(machine: &Machine, script: &str, terminal: Option<TerminalSize>) -> InstanceSpec {
    let mut spec = machine.script(script);
    spec.output = Output::Attached { terminal };
    spec
}

/// Collects everything until the end.
pub async fn collect(attached: &mut Attached) -> (String, String, ExitStatus) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    loop {
        match attached.output.recv().await.expect("an exit before the end") {
            AttachedOutput::Stdout(bytes) => out.extend_from_slice(&bytes),
            AttachedOutput::Stderr(bytes) => err.extend_from_slice(&bytes),
            AttachedOutput::Exited(status) => {
                assert!(attached.output.recv().await.is_none());
                let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                return (text(out), text(err), status);
            }
        }
    }
}

/// Waits until the output contains `part`; returns all of it so far.
pub async fn read_until(attached: &mut Attached, part: &str) -> String {
    let mut text = String::new();
    while !text.contains(part) {
        match attached.output.recv().await.unwrap() {
            AttachedOutput::Stdout(bytes) => text += &String::from_utf8_lossy(&bytes),
            other => panic!("{other:?} after {text:?}"),
        }
    }
    text
}

/// Interrupts a command of an interactive shell, which goes on, and ends the shell.
pub async fn job_control(shell: &mut Attached) {
    let mut out = String::new();
    // The terminal echoes what is typed: only what is run can say the answers. Each is waited for.
    // A moment before, Ctrl-C would reach the shell, which would then wait for the command; and the
    // end of input would be read as a character, since the shell's prompt changes the terminal.
    let dialogue = [
        ("PS1=\"at $((20+1))> \"\n", "at 21> "),
        ("sh -c 'echo runs $((30+1)); exec sleep 1000'\n", "runs 31"),
        ("\x03", "at 21> "),
        ("echo still $((40+2))\n", "still 42\r\nat 21> "),
    ];
    for (text, answer) in dialogue {
        shell.input.send(AttachedInput::Stdin(Bytes::from(text))).await.unwrap();
        out += &read_until(shell, answer).await;
    }
    shell.input.send(AttachedInput::StdinClosed).await.unwrap();
    out += &collect(shell).await.0;
    assert!(!out.contains("job control turned off"), "{out:?}");
}

async fn output_and_exit_code_arrive() {
    let machine = Machine::start().await;
    let spec = attached(&machine, "echo out; echo err >&2; exit 9", None);
    let id = spec.id.clone();
    let mut attached = machine.driver.start_attached(spec).await.unwrap();
    let (out, err, status) = collect(&mut attached).await;
    assert_eq!((out.as_str(), err.as_str(), status.code), ("out\n", "err\n", 9));
    machine.driver.forget(&id).await.unwrap();
    machine.finish().await;
}

async fn input_is_forwarded_and_ends() {
    let machine = Machine::start().await;
    let mut attached =
        machine.driver.start_attached(attached(&machine, "md5sum; echo end", None)).await.unwrap();
    let data = vec![b'x'; 3_000_000];
    attached.input.send(AttachedInput::Stdin(Bytes::from(data))).await.unwrap();
    attached.input.send(AttachedInput::StdinClosed).await.unwrap();
    let (out, _, status) = collect(&mut attached).await;
    assert_eq!(out, format!("{}  -\nend\n", md5_of_x()));
    assert_eq!(status.code, 0);
    machine.finish().await;
}

fn md5_of_x() -> String {
    use std::io::Write;
    let mut child = std::process::Command::new("md5sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&vec![b'x'; 3_000_000]).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout)[..32].to_owned()
}

async fn a_terminal_has_a_size() {
    let machine = Machine::start().await;
    let size = TerminalSize { rows: 33, columns: 99 };
    let script =
        "tty; stty size; trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done";
    let mut attached =
        machine.driver.start_attached(self::attached(&machine, script, Some(size))).await.unwrap();
    let text = read_until(&mut attached, "ready").await;
    assert!(text.contains("/dev/pts/0\r\n33 99\r\n"), "{text:?}");
    let size = TerminalSize { rows: 40, columns: 120 };
    attached.input.send(AttachedInput::Resize(size)).await.unwrap();
    let (out, _, status) = collect(&mut attached).await;
    assert_eq!((out.as_str(), status.code), ("40 120\r\n", 0));

    // A shell with job control, ended by its input's end; Ctrl-C ends only what it runs.
    let size = TerminalSize { rows: 24, columns: 80 };
    let mut shell = machine
        .driver
        .start_attached(self::attached(&machine, "exec sh -i", Some(size)))
        .await
        .unwrap();
    job_control(&mut shell).await;
    machine.finish().await;
}

async fn large_output_waits_for_its_reader() {
    let machine = Machine::start().await;
    let spec = attached(&machine, "head -c 20000000 /dev/zero; echo end >&2", None);
    let mut attached = machine.driver.start_attached(spec).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (out, err, status) = collect(&mut attached).await;
    assert_eq!((out.len(), err.as_str(), status.code), (20_000_000, "end\n", 0));
    machine.finish().await;
}

async fn signals_reach_it() {
    let machine = Machine::start().await;
    let script = "trap 'echo got it; exit 2' USR1; echo ready; while :; do sleep 0.05; done";
    let mut attached =
        machine.driver.start_attached(attached(&machine, script, None)).await.unwrap();
    assert!(matches!(attached.output.recv().await, Some(AttachedOutput::Stdout(_))));
    attached.input.send(AttachedInput::Signal(10)).await.unwrap();
    let (out, _, status) = collect(&mut attached).await;
    assert_eq!((out.as_str(), status.code), ("got it\n", 2));
    machine.finish().await;
}

async fn going_away_kills_it() {
    let machine = Machine::start().await;
    let spec = attached(&machine, "sleep 1000", None);
    let id = spec.id.clone();
    let attached = machine.driver.start_attached(spec).await.unwrap();
    drop(attached);
    let status = machine.exited(&id).await;
    assert_eq!(status.code, 137);
    assert!(status.reason.unwrap().contains("went away"));
    machine.finish().await;
}

async fn a_restart_kills_it() {
    let machine = Machine::start().await;
    let spec = attached(&machine, "sleep 1000", None);
    let id = spec.id.clone();
    let attached = machine.driver.start_attached(spec).await.unwrap();
    // Only the kernel closes the sockets of a server that is gone; here the tasks have to.
    drop(attached);
    let machine = machine.restart().await;
    assert_eq!(machine.exited(&id).await.code, 137);
    let observed = machine.observe(&id).await.unwrap();
    assert!(matches!(observed.state, InstanceState::Exited(_)));
    machine.finish().await;
}

async fn commands_not_found_are_said() {
    let machine = Machine::start().await;
    let mut spec = attached(&machine, "", Some(TerminalSize { rows: 24, columns: 80 }));
    spec.command = vec!["nope".to_owned()];
    match machine.driver.start_attached(spec).await {
        Err(DriverError::CommandNotFound(text)) => assert_eq!(text, "nope: not found in PATH"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it has started"),
    }
    // A program whose interpreter is missing is only found out by executing it.
    let spec = attached(
        &machine,
        "printf '#!/no/interpreter\\n' > /tmp/x; chmod +x /tmp/x; /tmp/x; echo $?",
        None,
    );
    let mut attached = machine.driver.start_attached(spec).await.unwrap();
    let (out, _, _) = collect(&mut attached).await;
    assert_eq!(out, "127\n");
    machine.finish().await;
}
