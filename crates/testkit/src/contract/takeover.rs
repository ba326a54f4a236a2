//! What outlives the server.

use super::{Does, Fixture, LONG, attach, ended, observe, start};
use windlass_core::driver::InstanceEvent;
use windlass_core::ids::AppId;
use windlass_core::instance::InstanceState;
use windlass_core::links::Links;

pub async fn a_driver_opened_again_knows_what_it_knew(fixture: impl Fixture) {
    let mut spec = fixture.spec(Does::Wait);
    spec.port = Some(5000);
    let runs = fixture.driver().start(spec).await.unwrap();
    fixture.at_work(&runs.spec.id).await;
    let short = start(&fixture, Does::Exit(6)).await.spec.id;
    let status = ended(&fixture, &short).await;
    let over = observe(&fixture, &short).await;

    let fixture = fixture.open_again().await;
    let driver = fixture.driver();
    assert_eq!(observe(&fixture, &runs.spec.id).await.as_ref(), Some(&runs));
    assert_eq!(observe(&fixture, &short).await, over);
    assert_eq!(driver.start(runs.spec.clone()).await.unwrap(), runs, "it is not started again");
    assert_eq!(driver.stop(&short, LONG).await.unwrap().status, status);
    let mut events = driver.events();
    let stopped = driver.stop(&runs.spec.id, LONG).await.unwrap();
    assert_eq!((stopped.status.code, stopped.killed), (143, false));
    let InstanceEvent::Exited { id, status } = events.recv().await.unwrap();
    assert_eq!((id, status), (runs.spec.id, stopped.status));
    driver.forget(&short).await.unwrap();
    let fixture = fixture.open_again().await;
    assert_eq!(observe(&fixture, &short).await, None, "forgotten for good");
    fixture.finish().await;
}

pub async fn attached_instances_end_with_the_server(fixture: impl Fixture) {
    // Not one that reads its input: that ends too, and the program might do so by itself.
    let attached = attach(&fixture, Does::IgnoreTerm).await;
    let id = attached.instance.spec.id.clone();
    // The kernel closes the sockets of a server that is gone; a test has to do it.
    drop(attached);
    let fixture = fixture.open_again().await;
    assert_eq!(ended(&fixture, &id).await.code, 137);
    let observed = observe(&fixture, &id).await.unwrap();
    assert!(matches!(observed.state, InstanceState::Exited(_)));
    fixture.finish().await;
}

pub async fn links_hold_until_others_are_said(fixture: impl Fixture) {
    let [app, other] = [fixture.app(), AppId::random()];
    start(&fixture, Does::Wait).await;
    assert!(!fixture.reaches(app, app).await, "nothing has been said");
    let driver = fixture.driver();
    driver.set_links(&Links::new([app, other], [])).await.unwrap();
    assert!(fixture.reaches(app, app).await, "one app");
    assert!(!fixture.reaches(other, app).await, "two apps");
    driver.set_links(&Links::new([app, other], [(other, app)])).await.unwrap();
    drop(driver);
    let fixture = fixture.open_again().await;
    assert!(fixture.reaches(other, app).await, "two linked apps, and another server");
    fixture.driver().set_links(&Links::default()).await.unwrap();
    assert!(!fixture.reaches(other, app).await, "taken back");
    fixture.finish().await;
}
