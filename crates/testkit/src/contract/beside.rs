//! Commands inside instances that run.

use super::{Does, Fixture, LONG, SIZE, next, observe, read_to_end, start};
use bytes::Bytes;
use std::collections::BTreeMap;
use windlass_core::driver::{AttachedInput, AttachedOutput, DriverError, ExecCommand};
use windlass_core::ids::InstanceId;

fn command(words: &[&str]) -> ExecCommand {
    let command = words.iter().map(ToString::to_string).collect();
    ExecCommand { command, environment: BTreeMap::new(), terminal: None }
}

pub async fn commands_run_beside_an_instance(fixture: impl Fixture) {
    let driver = fixture.driver();
    let started = start(&fixture, Does::Wait).await;
    let id = &started.spec.id;
    for (command, said, code) in
        [(command(&["echo", "as  it is"]), "as  it is\n", 0), (command(&["false"]), "", 1)]
    {
        let mut attached = driver.exec(id, command).await.unwrap();
        assert_eq!(attached.instance, started);
        let (text, status) = read_to_end(&mut attached).await;
        assert_eq!((text.as_str(), status.code), (said, code));
    }
    let mut attached = driver.exec(id, command(&["cat"])).await.unwrap();
    attached.input.send(AttachedInput::Resize(SIZE)).await.unwrap();
    attached.input.send(AttachedInput::Stdin(Bytes::from_static(b"back"))).await.unwrap();
    let back = next(&mut attached).await;
    assert_eq!(back, Some(AttachedOutput::Stdout(Bytes::from_static(b"back"))));
    attached.input.send(AttachedInput::StdinClosed).await.unwrap();
    assert_eq!(read_to_end(&mut attached).await.1.code, 0);
    drop(driver.exec(id, command(&["cat"])).await.unwrap());
    assert_eq!(observe(&fixture, id).await.as_ref(), Some(&started), "it goes on");
    fixture.finish().await;
}

pub async fn commands_end_with_their_instance(fixture: impl Fixture) {
    let driver = fixture.driver();
    let id = start(&fixture, Does::Wait).await.spec.id;
    let mut attached = driver.exec(&id, command(&["cat"])).await.unwrap();
    driver.stop(&id, LONG).await.unwrap();
    let (_, status) = read_to_end(&mut attached).await;
    assert!([137, 143].contains(&status.code), "{status:?}");
    fixture.finish().await;
}

pub async fn commands_need_an_instance_that_runs(fixture: impl Fixture) {
    let driver = fixture.driver();
    let id = start(&fixture, Does::Wait).await.spec.id;
    let error = driver.exec(&id, command(&["no-such-program"])).await.err().unwrap();
    assert!(matches!(error, DriverError::CommandNotFound(_)), "{error}");
    driver.stop(&id, LONG).await.unwrap();
    let error = driver.exec(&id, command(&["true"])).await.err().unwrap();
    assert!(matches!(error, DriverError::Other(_)), "{error}");
    let unknown = InstanceId::random("web", 1);
    let error = driver.exec(&unknown, command(&["true"])).await.err().unwrap();
    assert!(matches!(error, DriverError::NoSuchInstance(_)), "{error}");
    fixture.finish().await;
}
