//! Limits, sizes, admission, and instances that take more than is good for the others.

use super::scaling::scale;
use std::collections::BTreeMap;
use std::time::Duration;
use windlass_control::receive::SourceRequest;
use windlass_control::records::App;
use windlass_control::run::{FormationChange, Quantity};
use windlass_control::{PlatformError, Result};
use windlass_core::admission::Machine;
use windlass_core::disk_guard::DiskSpace;
use windlass_core::ids::InstanceId;
use windlass_core::instance::ObservedInstance;
use windlass_testkit::platform::TestPlatform;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn set(test: &TestPlatform, app: &App, process: &str, limits: &[(&str, &str)]) -> Result<()> {
    let limits: BTreeMap<String, Option<String>> =
        limits.iter().map(|(name, text)| ((*name).to_owned(), Some((*text).to_owned()))).collect();
    let process = process.parse().unwrap();
    test.block_on(test.platform().set_limits(&test.user, app, &process, &limits)).map(drop)
}

fn deployed(test: &TestPlatform, name: &str) -> App {
    let app = test.create_app(name);
    let _ = test.deploy(&app, &[("web", "serve"), ("worker", "serve")]).unwrap();
    test.wait_for_instances(&app, &["web.1"]);
    app
}

fn of(test: &TestPlatform, app: &App, process: &str) -> Vec<ObservedInstance> {
    let mut running = test.driver.running();
    running.retain(|i| i.spec.labels.app == app.id && i.spec.labels.process.as_str() == process);
    running
}

fn memory_of(test: &TestPlatform, app: &App, process: &str) -> Vec<Option<u64>> {
    of(test, app, process).iter().map(|i| i.spec.resources.memory_bytes).collect()
}

fn change(process: &str, quantity: Option<u32>, size: &str) -> FormationChange {
    FormationChange {
        process: process.parse().unwrap(),
        quantity: quantity.map(Quantity::Absolute),
        size: Some(size.to_owned()),
    }
}

#[test]
fn other_limits_replace_the_instances_of_their_type_without_a_loss() {
    let test = TestPlatform::open();
    let app = deployed(&test, "limited");
    scale(&test, &app, "worker", 1);
    test.wait_for_instances(&app, &["web.1", "worker.1"]);
    let worker = of(&test, &app, "worker")[0].spec.id.clone();
    test.router.must_stay_served(app.id, true);

    set(&test, &app, "web", &[("memory", "256M"), ("cpu", "0.5"), ("processes", "64")]).unwrap();
    test.wait_until("an instance with the new limits", |test| {
        memory_of(test, &app, "web") == [Some(256 * MIB)]
    });
    test.wait_for_instances(&app, &["web.1", "worker.1"]);
    let resources = of(&test, &app, "web")[0].spec.resources.clone();
    assert_eq!((resources.cpu_millis, resources.processes), (Some(500), Some(64)));
    assert_eq!(of(&test, &app, "worker")[0].spec.id, worker, "others are left alone");

    let web = of(&test, &app, "web")[0].spec.id.clone();
    set(&test, &app, "web", &[("reserve-memory", "64M"), ("disk", "1G")]).unwrap();
    test.wait_for_instances(&app, &["web.1", "worker.1"]);
    assert_eq!(of(&test, &app, "web")[0].spec.id, web, "no limit of the kernel has changed");

    let unset = test.platform();
    test.block_on(unset.unset_limits(&test.user, &app, &"web".parse().unwrap())).unwrap();
    test.wait_until("the default", |test| memory_of(test, &app, "web") == [Some(512 * MIB)]);
    test.wait_for_instances(&app, &["web.1", "worker.1"]);
    assert_eq!(test.router.violations(), [""; 0]);
}

#[test]
fn limits_that_changed_before_the_server_died_are_followed_by_the_next() {
    let mut test = TestPlatform::open();
    let app = deployed(&test, "interrupted");
    // The replacement does not get up before the server dies.
    let _ = test.deploy(&app, &[("web", "slow 150")]).unwrap();
    set(&test, &app, "web", &[("memory", "128M")]).unwrap();
    test.crash_and_open();
    test.wait_until("the new limit", |test| memory_of(test, &app, "web") == [Some(128 * MIB)]);
    test.wait_for_instances(&app, &["web.1"]);
    let id = of(&test, &app, "web")[0].spec.id.clone();
    test.crash_and_open();
    test.wait_for_instances(&app, &["web.1"]);
    assert_eq!(of(&test, &app, "web")[0].spec.id, id, "it is as it should be");
}

#[test]
fn sizes_and_quantities_change_together_or_not_at_all() {
    let test = TestPlatform::open();
    let app = deployed(&test, "sized");
    let formation = |changes| {
        let platform = test.platform();
        test.block_on(platform.change_formation(&test.user, &app, changes))
    };
    let views = formation(vec![change("web", Some(2), "standard-2x")]).unwrap();
    assert_eq!((views[0].quantity, views[0].size), (2, "Standard-2X"));
    test.wait_until("two of the size", |test| {
        memory_of(test, &app, "web") == [Some(GIB), Some(GIB)]
    });
    test.wait_for_instances(&app, &["web.1", "web.2"]);
    assert!(test.instances(&app).iter().all(|view| view.size == "Standard-2X"));

    let unknown = formation(vec![change("web", Some(1), "huge")]).unwrap_err();
    assert!(unknown.to_string().starts_with("There is no size \"huge\" here"), "{unknown}");
    let too_many = formation(vec![change("web", Some(101), "Basic")]);
    assert!(matches!(too_many, Err(PlatformError::Invalid(_))));
    let unknown = formation(vec![change("clock", None, "Basic")]).unwrap_err();
    assert!(unknown.to_string().contains("The app has: web, worker"), "{unknown}");
    let now = test.platform().formation(&app).unwrap();
    assert_eq!((now[0].quantity, now[0].size), (2, "Standard-2X"));
}

#[test]
fn what_the_machine_cannot_hold_is_refused_with_the_arithmetic() {
    let test = TestPlatform::open();
    let machine = Machine { memory_bytes: 4 * GIB, available_bytes: 3 * GIB, cpu_millis: 2_000 };
    test.driver.host.set_machine(machine);
    let (app, other) = (deployed(&test, "hungry"), deployed(&test, "modest"));
    scale(&test, &other, "web", 20);
    let names: Vec<String> = (1..=20).map(|n| format!("web.{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    test.wait_for_instances(&other, &names);

    set(&test, &app, "web", &[("reserve-memory", "512M")]).unwrap();
    let refuse = |quantity| {
        let updates = vec![("web".parse().unwrap(), Quantity::Absolute(quantity))];
        test.block_on(test.platform().scale(&test.user, &app, updates)).map(drop)
    };
    let said = refuse(30).unwrap_err().to_string();
    let expected =
        "web=30 needs 29 more × 512M = 14.5G of memory; 512M of 4G are reserved and 2.5G are free.";
    assert!(said.starts_with(expected), "{said}");
    refuse(6).unwrap();
    // Its own use is not counted twice.
    test.wait_until("six instances", |test| of(test, &app, "web").len() == 6);
    for instance in of(&test, &app, "web") {
        test.driver.host.set_memory(&instance.spec.id, 100 * MIB);
    }
    let said = refuse(8).unwrap_err().to_string();
    assert!(said.contains("3G of 4G are reserved and 600M are free"), "{said}");

    let said = set(&test, &other, "web", &[("reserve-cpu", "0.25")]).unwrap_err().to_string();
    assert!(
        said.starts_with("web=20 needs 20 × 0.25 more = 5 cores; 0 of 2 are reserved."),
        "{said}"
    );
    let third = test.create_app("third");
    test.driver.host.set_machine(Machine { available_bytes: 2 * GIB + 400 * MIB, ..machine });
    let said = test.deploy(&third, &[("web", "serve")]).unwrap_err().to_string();
    assert!(said.starts_with("web=1 needs 1 × 8M = 8M of memory;"), "{said}");
    assert_eq!(test.platform().releases(&third, 9).unwrap().len(), 1, "no release was made");
}

fn write(test: &TestPlatform, id: &InstanceId, megabytes: usize) {
    let directory = test.data_directory().join("written").join(id.as_str());
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("file"), vec![1; megabytes << 20]).unwrap();
}

fn log_of(test: &TestPlatform, app: &App) -> String {
    let file = test.data_directory().join("logs").join(app.id.to_string()).join("current.log");
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"))
}

#[test]
fn an_instance_that_fills_the_disk_ends_and_no_other() {
    let test = TestPlatform::open();
    test.driver.host.set_writable(test.data_directory().join("written"));
    test.driver.host.set_disk(DiskSpace { total_bytes: 50 * GIB, free_bytes: 20 * GIB });
    let (culprit, victim) = (deployed(&test, "culprit"), deployed(&test, "victim"));
    let (of_culprit, of_victim) = (of(&test, &culprit, "web"), of(&test, &victim, "web"));
    write(&test, &of_victim[0].spec.id, 70);
    write(&test, &of_culprit[0].spec.id, 90);
    test.router.must_stay_served(victim.id, true);

    test.driver.host.set_disk(DiskSpace { total_bytes: 50 * GIB, free_bytes: 400 * MIB });
    test.wait_until("another instance of the culprit", |test| {
        let now = of(test, &culprit, "web");
        now.len() == 1 && now[0].spec.id != of_culprit[0].spec.id
    });
    let log = log_of(&test, &culprit);
    let expected = "Error disk full -> it has written 90M, the most of all, and the server's disk has 400M left, less than its reserve of 1G (disk_reserve)";
    assert!(log.contains(expected) && log.contains("Stopping process with SIGKILL"), "{log}");
    assert_eq!(of(&test, &victim, "web")[0].spec.id, of_victim[0].spec.id);
    let request = SourceRequest {
        url: "https://example.com/app.tar.gz".to_owned(),
        version: None,
        checksum: None,
    };
    let build = async { test.platform().start_build(&test.user, &victim, request) };
    let refused = test.block_on(build).unwrap_err().to_string();
    test.router.must_stay_served(victim.id, false);
    assert!(
        refused.starts_with("The server's disk is nearly full: 400M of 50G are free"),
        "{refused}"
    );

    test.driver.host.set_disk(DiskSpace { total_bytes: 50 * GIB, free_bytes: 20 * GIB });
    set(&test, &victim, "web", &[("disk", "64M")]).unwrap();
    // Longer than it takes to look once.
    test.block_on(async { tokio::time::sleep(Duration::from_secs(2)).await });
    test.driver.host.set_disk(DiskSpace { total_bytes: 50 * GIB, free_bytes: 19 * GIB });
    test.wait_until("the victim's own limit", |test| {
        log_of(test, &victim).contains("it has written 70M, its limit is 64M (limits:set disk")
    });
}

#[test]
fn an_instance_above_its_quota_is_warned() {
    let mut test = TestPlatform::open();
    let app = deployed(&test, "warned");
    let web = of(&test, &app, "web")[0].spec.id.clone();
    set(&test, &app, "web", &[("reserve-memory", "100M")]).unwrap();
    test.driver.host.set_memory(&web, 150 * MIB);
    // A server compares soon after its start.
    test.crash_and_open();
    test.wait_until("R14 in the log", |test| {
        let log = log_of(test, &app);
        log.contains("Process running mem=150M(150.0%)")
            && log.contains("Error R14 (Memory quota exceeded)")
    });
    assert_eq!(of(&test, &app, "web")[0].spec.id, web, "it goes on");
}
