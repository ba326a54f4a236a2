use super::*;
use std::collections::BTreeMap;
use tokio::sync::mpsc;
use windlass_core::ids::{AppId, Digest, InstanceId};
use windlass_core::instance::{
    ExitStatus, InstanceKind, InstanceLabels, InstanceSpec, InstanceState, ObservedInstance,
    Output, Resources,
};

pub(crate) struct Process {
    pub(crate) output: mpsc::Sender<AttachedOutput>,
    pub(crate) input: mpsc::Receiver<AttachedInput>,
}

fn process() -> (Process, Attached) {
    process_with(None)
}

pub(crate) fn process_with(terminal: Option<TerminalSize>) -> (Process, Attached) {
    let (output, outputs) = mpsc::channel(8);
    let (inputs, input) = mpsc::channel(8);
    let spec = InstanceSpec {
        id: InstanceId::random("run", 1),
        labels: InstanceLabels {
            app: AppId::random(),
            app_name: "bibly".parse().unwrap(),
            kind: InstanceKind::OneOff,
            process: "run".parse().unwrap(),
            index: 1,
            release: Some(1),
            time_limit_ms: None,
            generation: 0,
        },
        image: Digest::from_sha256(&[0; 32]),
        command: vec!["cat".into()],
        working_directory: "/app".into(),
        environment: BTreeMap::new(),
        user: 1000,
        group: None,
        mounts: Vec::new(),
        resources: Resources::default(),
        port: None,
        output: Output::Attached { terminal },
    };
    let instance = ObservedInstance {
        spec,
        state: InstanceState::Running,
        started_at_ms: 0,
        address: None,
        private_address: None,
    };
    (Process { output, input }, Attached { instance, output: outputs, input: inputs })
}

pub(crate) fn exited(code: i32) -> AttachedOutput {
    AttachedOutput::Exited(ExitStatus {
        code,
        out_of_memory: false,
        out_of_processes: false,
        reason: None,
        at_ms: 0,
    })
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
    frame.extend_from_slice(payload);
    frame
}

#[tokio::test]
async fn frames_go_both_ways_and_the_exit_code_comes_last() {
    let (mut process, attached) = process();
    let (client, server) = tokio::io::duplex(1 << 16);
    let serving = tokio::spawn(exchange(server, attached));
    let (mut reader, mut writer) = tokio::io::split(client);

    let mut sent = frame(attach::STDIN, b"hello");
    sent.extend(frame(99, b"from a later version"));
    sent.extend(frame(attach::RESIZE, &[40, 0, 120, 0]));
    sent.extend(frame(attach::SIGNAL, &[2]));
    sent.extend(frame(attach::STDIN_CLOSED, b""));
    writer.write_all(&sent).await.unwrap();
    assert_eq!(
        process.input.recv().await,
        Some(AttachedInput::Stdin(Bytes::from_static(b"hello")))
    );
    assert_eq!(
        process.input.recv().await,
        Some(AttachedInput::Resize(TerminalSize { rows: 40, columns: 120 }))
    );
    assert_eq!(process.input.recv().await, Some(AttachedInput::Signal(2)));
    assert_eq!(process.input.recv().await, Some(AttachedInput::StdinClosed));

    process.output.send(AttachedOutput::Stdout(Bytes::from_static(b"out"))).await.unwrap();
    process.output.send(AttachedOutput::Stderr(Bytes::from_static(b"err"))).await.unwrap();
    process.output.send(exited(7)).await.unwrap();
    let mut expected = frame(attach::STDOUT, b"out");
    expected.extend(frame(attach::STDERR, b"err"));
    expected.extend(frame(attach::EXIT, &7i32.to_le_bytes()));
    let mut received = vec![0; expected.len()];
    reader.read_exact(&mut received).await.unwrap();
    assert_eq!(received, expected);

    // The client closes after the exit code, and the server does not wait its time out.
    drop((reader, writer));
    tokio::time::timeout(Duration::from_secs(20), serving)
        .await
        .expect("closed at once")
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_lost_client_drops_the_process() {
    let (mut process, attached) = process();
    let (client, server) = tokio::io::duplex(64);
    let serving = tokio::spawn(exchange(server, attached));
    drop(client);
    serving.await.unwrap().unwrap();
    assert_eq!(process.input.recv().await, None, "the process's ends were dropped");
    assert!(process.output.is_closed());
}

#[tokio::test]
async fn frames_that_are_too_long_end_the_connection() {
    let (_process, attached) = process();
    let (mut client, server) = tokio::io::duplex(64);
    let serving = tokio::spawn(exchange(server, attached));
    client.write_all(&[attach::STDIN, 0xff, 0xff, 0xff, 0xff]).await.unwrap();
    assert!(serving.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn the_server_closes_when_the_client_does_not() {
    let (process, attached) = process();
    let (mut client, server) = tokio::io::duplex(64);
    let serving = tokio::spawn(exchange(server, attached));
    process.output.send(exited(0)).await.unwrap();
    serving.await.unwrap().unwrap();
    let mut received = Vec::new();
    client.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, frame(attach::EXIT, &0i32.to_le_bytes()));
}
