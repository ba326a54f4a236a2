//! Volumes: who may write, and what stays.

use windlass_control::records::{App, Volume};
use windlass_control::run::Quantity;
use windlass_control::volumes::NewVolume;
use windlass_control::{PlatformError, Result};
use windlass_testkit::platform::TestPlatform;

fn new(name: &str, path: &str) -> NewVolume {
    NewVolume { name: name.to_owned(), mount_path: path.to_owned(), ..NewVolume::default() }
}

fn create(test: &TestPlatform, app: &App, new: NewVolume) -> Result<Volume> {
    test.block_on(test.platform().create_volume(&test.user, app, new))
}

fn scale(test: &TestPlatform, app: &App, process: &str, quantity: u32) -> Result<()> {
    let updates = vec![(process.parse().unwrap(), Quantity::Absolute(quantity))];
    test.block_on(test.platform().scale(&test.user, app, updates)).map(drop)
}

/// Returns where the running instances of a type have something mounted.
fn targets(test: &TestPlatform, process: &str) -> Vec<String> {
    let running = test.driver.running().into_iter();
    let of_type = running.filter(|i| i.spec.labels.process.as_str() == process);
    of_type.flat_map(|i| i.spec.mounts).map(|mount| mount.target).collect()
}

#[test]
fn a_volume_is_mounted_where_it_should_be_and_has_one_writer() {
    let test = TestPlatform::open();
    let app = test.create_app("writer");
    test.deploy(&app, &[("web", "serve"), ("worker", "serve")]).unwrap();
    scale(&test, &app, "worker", 1).unwrap();
    let only_web = NewVolume { processes: vec!["web".to_owned()], ..new("data", "/data") };
    create(&test, &app, only_web).unwrap();
    test.wait_until("the new web", |test| targets(test, "web") == ["/data"]);
    assert!(targets(&test, "worker").is_empty());
    let writer = |process: &str| {
        test.platform().needs_single_writer(&app, &process.parse().unwrap()).unwrap()
    };
    assert!(writer("web") && !writer("worker"));
    let refused = scale(&test, &app, "web", 2).unwrap_err().to_string();
    assert!(refused.contains("only one instance may write to"), "{refused}");
    scale(&test, &app, "worker", 2).unwrap();
    let refused = create(&test, &app, new("more", "/more")).unwrap_err().to_string();
    assert!(refused.contains("worker runs 2 instances"), "{refused}");
    let shared = NewVolume { shared: true, ..new("more", "/more") };
    create(&test, &app, shared).unwrap();
    assert!(!writer("worker"));
}

#[test]
fn volumes_that_make_no_sense_are_refused_and_leave_nothing() {
    let test = TestPlatform::open();
    let app = test.create_app("refused");
    create(&test, &app, new("data", "/data")).unwrap();
    let sized = |size: &str| NewVolume { size: Some(size.to_owned()), ..new("x", "/x") };
    let system = NewVolume { host_folder: Some("/etc".to_owned()), ..new("x", "/x") };
    let cases = [
        (new("data", "/other"), "has a volume data already"),
        (new("inner", "/data/inner"), "in the way of the volume data"),
        (new("Big", "/big"), "is not a volume name"),
        (new("x", "/etc/x"), "belongs to the system"),
        (sized("1M"), "from 16M to 16T"),
        (sized("much"), "is not a size"),
        (system, "belongs to the system"),
    ];
    for (case, part) in cases {
        let error = create(&test, &app, case).unwrap_err();
        assert!(matches!(error, PlatformError::Invalid(_)), "{error:?}");
        assert!(error.to_string().contains(part), "{error} lacks {part:?}");
    }
    assert_eq!(test.driver.volumes.count(), 1);
}

#[test]
fn a_restore_stops_the_writers_and_starts_them_again() {
    let test = TestPlatform::open();
    let app = test.create_app("restore");
    test.deploy(&app, &[("web", "serve")]).unwrap();
    let volume = create(&test, &app, new("data", "/data")).unwrap();
    test.wait_until("the new web", |test| targets(test, "web") == ["/data"]);
    let before = test.driver.running()[0].spec.id.clone();
    let platform = test.platform();
    let snapshot = test.block_on(platform.snapshot_volume(&volume)).unwrap();
    assert_eq!(platform.volume_snapshot(&volume, "s1").unwrap(), snapshot);
    test.block_on(platform.restore_volume(&test.user, &app, &volume, &snapshot)).unwrap();
    test.wait_until("web", |test| test.up(&app) == ["web.1"]);
    assert_ne!(test.driver.running()[0].spec.id, before);
}

#[test]
fn volumes_outlive_their_app_unless_told_otherwise() {
    let test = TestPlatform::open();
    let (kept, gone) = (test.create_app("kept"), test.create_app("gone"));
    let volume = create(&test, &kept, new("data", "/data")).unwrap();
    create(&test, &gone, new("data", "/data")).unwrap();
    let platform = test.platform();
    let kept = test.block_on(platform.rename_app(&test.user, &kept, "renamed")).unwrap();
    test.block_on(platform.destroy_app(&test.user, &kept, false)).unwrap();
    test.block_on(platform.destroy_app(&test.user, &gone, true)).unwrap();
    assert_eq!(test.driver.volumes.count(), 1);
    let views = test.block_on(platform.all_volumes(&test.user)).unwrap();
    assert_eq!(views.len(), 1);
    assert_eq!((views[0].volume.id, views[0].volume.app), (volume.id, None));
    assert_eq!(views[0].volume.app_name.as_str(), "renamed");

    let heir = test.create_app("heir");
    let attached = test.block_on(platform.attach_volume(
        &test.user,
        &heir,
        views[0].volume.clone(),
        Default::default(),
    ));
    assert_eq!(attached.unwrap().app, Some(heir.id));
    let again = platform.volume(&heir, "data").unwrap();
    test.block_on(platform.destroy_volume(&test.user, again)).unwrap();
    assert_eq!(test.driver.volumes.count(), 0);
}
