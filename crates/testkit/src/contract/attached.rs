//! Instances that somebody is attached to.

use super::{
    Does, Fixture, LONG, SIZE, attach, attached_spec, ended, next, observe, read_to_end, start,
};
use bytes::Bytes;
use windlass_core::driver::{AttachedInput, AttachedOutput, DriverError};
use windlass_core::instance::InstanceState;

fn stdin(text: &'static str) -> AttachedInput {
    AttachedInput::Stdin(Bytes::from_static(text.as_bytes()))
}

pub async fn attached_output_ends_with_the_exit_code(fixture: impl Fixture) {
    let mut attached = attach(&fixture, Does::Exit(9)).await;
    let id = attached.instance.spec.id.clone();
    let (text, status) = read_to_end(&mut attached).await;
    assert_eq!((text.as_str(), status.code), ("crashing with 9\n", 9));
    assert_eq!(ended(&fixture, &id).await, status);
    fixture.driver().forget(&id).await.unwrap();
    assert_eq!(observe(&fixture, &id).await, None);
    fixture.finish().await;
}

pub async fn attached_input_arrives_until_it_is_closed(fixture: impl Fixture) {
    let mut attached = attach(&fixture, Does::Wait).await;
    assert_eq!(attached.instance.state, InstanceState::Running);
    // There is no terminal: it is accepted and means nothing.
    attached.input.send(AttachedInput::Resize(SIZE)).await.unwrap();
    attached.input.send(stdin("there ")).await.unwrap();
    let back = next(&mut attached).await.unwrap();
    assert_eq!(back, AttachedOutput::Stdout(Bytes::from_static(b"there ")));
    attached.input.send(stdin("and back")).await.unwrap();
    attached.input.send(AttachedInput::StdinClosed).await.unwrap();
    let (text, status) = read_to_end(&mut attached).await;
    assert_eq!((text.as_str(), status.code), ("and back", 0));
    fixture.finish().await;
}

pub async fn dropping_the_input_closes_it(fixture: impl Fixture) {
    let mut attached = attach(&fixture, Does::Wait).await;
    attached.input.send(stdin("all of it")).await.unwrap();
    let (unused, _) = tokio::sync::mpsc::channel(1);
    drop(std::mem::replace(&mut attached.input, unused));
    let (text, status) = read_to_end(&mut attached).await;
    assert_eq!((text.as_str(), status.code), ("all of it", 0));
    fixture.finish().await;
}

pub async fn attached_signals_arrive(fixture: impl Fixture) {
    const USER_1: i32 = 10;
    let mut attached = attach(&fixture, Does::Wait).await;
    attached.input.send(AttachedInput::Signal(USER_1)).await.unwrap();
    let (_, status) = read_to_end(&mut attached).await;
    assert_eq!(status.code, 128 + USER_1);
    fixture.finish().await;
}

pub async fn dropping_what_is_attached_kills_it(fixture: impl Fixture) {
    let attached = attach(&fixture, Does::IgnoreTerm).await;
    let id = attached.instance.spec.id.clone();
    assert_eq!(observe(&fixture, &id).await.unwrap().state, InstanceState::Running);
    drop(attached);
    let status = ended(&fixture, &id).await;
    assert_eq!(status.code, 137);
    assert!(status.reason.is_some(), "it is said why");
    fixture.finish().await;
}

pub async fn an_attached_instance_is_stopped_as_any_other(fixture: impl Fixture) {
    let mut attached = attach(&fixture, Does::Wait).await;
    let id = attached.instance.spec.id.clone();
    let stopped = fixture.driver().stop(&id, LONG).await.unwrap();
    assert_eq!((stopped.status.code, stopped.killed), (143, false));
    let (_, status) = read_to_end(&mut attached).await;
    assert_eq!(status, stopped.status);
    fixture.finish().await;
}

pub async fn an_identifier_is_attached_once(fixture: impl Fixture) {
    let driver = fixture.driver();
    let mut attached = attach(&fixture, Does::Wait).await;
    let error = driver.start_attached(attached.instance.spec.clone()).await.err().unwrap();
    assert!(matches!(error, DriverError::Start { .. }), "{error}");
    let mut taken = attached_spec(&fixture, Does::Wait);
    taken.id = start(&fixture, Does::Wait).await.spec.id;
    let error = driver.start_attached(taken).await.err().unwrap();
    assert!(matches!(error, DriverError::Start { .. }), "{error}");
    attached.input.send(AttachedInput::StdinClosed).await.unwrap();
    assert_eq!(read_to_end(&mut attached).await.1.code, 0, "the first goes on");
    fixture.finish().await;
}
