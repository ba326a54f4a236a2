//! Starting, observing, stopping and forgetting.

use super::{Does, Fixture, LONG, attached_spec, ended, observe, start};
use std::time::{Duration, Instant};
use windlass_core::driver::{DriverError, InstanceEvent};
use windlass_core::ids::InstanceId;
use windlass_core::instance::InstanceState;

pub async fn starting_twice_starts_once(fixture: impl Fixture) {
    let driver = fixture.driver();
    let spec = fixture.spec(Does::Wait);
    let (one, two) = tokio::join!(driver.start(spec.clone()), driver.start(spec.clone()));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one, two);
    assert_eq!((&one.spec, &one.state), (&spec, &InstanceState::Running));
    assert_eq!(driver.start(spec).await.unwrap(), one, "and once more");
    assert_eq!(driver.observe().await.unwrap(), [one]);
    fixture.finish().await;
}

pub async fn what_cannot_be_started_leaves_nothing(fixture: impl Fixture) {
    let driver = fixture.driver();
    let mut events = driver.events();
    let mut spec = fixture.spec(Does::Wait);
    spec.image = fixture.unknown_image();
    let error = driver.start(spec.clone()).await.unwrap_err();
    assert!(matches!(error, DriverError::NoSuchImage(_)), "{error}");
    let error = driver.start(fixture.spec(Does::NotFound)).await.unwrap_err();
    assert!(matches!(error, DriverError::CommandNotFound(_)), "{error}");
    let error = driver.start(attached_spec(&fixture, Does::Wait)).await.unwrap_err();
    assert!(matches!(error, DriverError::Start { .. }), "{error}");

    let mut attached = attached_spec(&fixture, Does::Wait);
    attached.image = spec.image;
    let error = driver.start_attached(attached).await.err().unwrap();
    assert!(matches!(error, DriverError::NoSuchImage(_)), "{error}");
    let missing = attached_spec(&fixture, Does::NotFound);
    let error = driver.start_attached(missing).await.err().unwrap();
    assert!(matches!(error, DriverError::CommandNotFound(_)), "{error}");
    let error = driver.start_attached(fixture.spec(Does::Wait)).await.err().unwrap();
    assert!(matches!(error, DriverError::Start { .. }), "{error}");

    assert_eq!(driver.observe().await.unwrap(), []);
    assert!(events.try_recv().is_err(), "what has not begun does not end");
    fixture.finish().await;
}

pub async fn ends_are_observed_until_they_are_forgotten(fixture: impl Fixture) {
    let driver = fixture.driver();
    let mut spec = fixture.spec(Does::Exit(7));
    spec.environment.insert("COLOUR".to_owned(), "green = ü\n".to_owned());
    spec.resources.processes = Some(50);
    spec.labels.generation = 4;
    let started = driver.start(spec.clone()).await.unwrap();
    let id = &spec.id;
    let status = ended(&fixture, id).await;
    assert_eq!((status.code, status.out_of_memory, &status.reason), (7, false, &None));
    assert!(status.at_ms >= started.started_at_ms);
    let stopped = driver.stop(id, LONG).await.unwrap();
    assert_eq!((&stopped.status, stopped.killed), (&status, false), "it had ended already");
    let observed = observe(&fixture, id).await.unwrap();
    assert_eq!((observed.spec, observed.state), (spec.clone(), InstanceState::Exited(status)));
    assert_eq!(observed.started_at_ms, started.started_at_ms);
    driver.forget(id).await.unwrap();
    assert_eq!(driver.observe().await.unwrap(), []);
    driver.forget(id).await.unwrap();
    let error = driver.stop(id, LONG).await.unwrap_err();
    assert!(matches!(error, DriverError::NoSuchInstance(_)), "{error}");
    fixture.finish().await;
}

pub async fn ends_are_told_once(fixture: impl Fixture) {
    let driver = fixture.driver();
    let mut events = driver.events();
    let short = fixture.spec(Does::Exit(5));
    driver.start(short.clone()).await.unwrap();
    let InstanceEvent::Exited { id, status } = events.recv().await.unwrap();
    assert_eq!((&id, status.code), (&short.id, 5));
    assert_eq!(ended(&fixture, &id).await, status, "what is told is what is observed");
    let long = start(&fixture, Does::Wait).await.spec.id;
    let (one, two) = tokio::join!(driver.stop(&long, LONG), driver.stop(&long, LONG));
    let InstanceEvent::Exited { id, status } = events.recv().await.unwrap();
    assert_eq!((&id, &status), (&long, &one.unwrap().status));
    assert_eq!(status, two.unwrap().status);
    driver.stop(&long, LONG).await.unwrap();
    driver.forget(&long).await.unwrap();
    assert!(events.try_recv().is_err(), "each end is told once");
    fixture.finish().await;
}

pub async fn stopping_lets_it_end(fixture: impl Fixture) {
    let driver = fixture.driver();
    let id = start(&fixture, Does::Wait).await.spec.id;
    let since = Instant::now();
    let stopped = driver.stop(&id, LONG).await.unwrap();
    assert_eq!((stopped.status.code, stopped.killed), (143, false));
    assert!(since.elapsed() < LONG, "it has not waited for the grace");
    assert_eq!(driver.stop(&id, LONG).await.unwrap(), stopped);
    assert_eq!(ended(&fixture, &id).await, stopped.status);
    let unknown = InstanceId::random("web", 1);
    let error = driver.stop(&unknown, LONG).await.unwrap_err();
    assert!(matches!(error, DriverError::NoSuchInstance(_)), "{error}");
    fixture.finish().await;
}

pub async fn stopping_kills_after_the_grace(fixture: impl Fixture) {
    let id = start(&fixture, Does::IgnoreTerm).await.spec.id;
    let grace = Duration::from_millis(300);
    let since = Instant::now();
    let stopped = fixture.driver().stop(&id, grace).await.unwrap();
    assert_eq!((stopped.status.code, stopped.killed), (137, true));
    assert!(since.elapsed() >= grace);
    assert_eq!(ended(&fixture, &id).await, stopped.status);
    fixture.finish().await;
}

pub async fn what_runs_is_not_forgotten(fixture: impl Fixture) {
    let driver = fixture.driver();
    let started = start(&fixture, Does::Wait).await;
    let id = &started.spec.id;
    driver.forget(id).await.unwrap_err();
    assert_eq!(observe(&fixture, id).await.as_ref(), Some(&started));
    driver.forget(&InstanceId::random("web", 1)).await.unwrap();
    driver.stop(id, LONG).await.unwrap();
    driver.forget(id).await.unwrap();
    assert_eq!(observe(&fixture, id).await, None);
    fixture.finish().await;
}
