//! Volumes: images on loop devices.

use crate::harness::{Machine, wait_for};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use windlass_core::driver::{Driver, DriverError};
use windlass_core::ids::{InstanceId, SnapshotId, VolumeId};
use windlass_core::instance::{InstanceSpec, Mount, MountSource};
use windlass_core::volume::{VolumeSource, Volumes};

crate::tests![
    a_volume_outlives_instances_and_a_killed_shim,
    instances_share_one_loop_device,
    a_full_volume_harms_nobody,
    a_volume_grows_while_it_is_mounted,
    a_snapshot_is_of_one_moment_and_comes_back,
    frozen_writers_go_on_with_the_next_driver,
    nothing_is_left_of_a_volume_that_could_not_be_made,
];

const SIZE: u64 = 64 << 20;

fn port(machine: &Machine) -> &dyn Volumes {
    machine.driver.volumes().unwrap()
}

async fn new_volume(machine: &Machine) -> VolumeId {
    let volume = VolumeId::random();
    port(machine).create(volume, SIZE).await.unwrap();
    volume
}

fn mount(volume: VolumeId, snapshot: Option<SnapshotId>) -> Mount {
    Mount {
        source: MountSource::Volume(VolumeSource { volume, size_bytes: SIZE, snapshot }),
        target: "/data".to_owned(),
        writable: snapshot.is_none(),
        id_mapped: true,
    }
}

fn with_volume(machine: &Machine, volume: VolumeId, script: &str) -> InstanceSpec {
    let mut spec = machine.script(script);
    spec.mounts = vec![mount(volume, None)];
    spec
}

/// Returns the loop devices of this machine's volumes.
fn loop_devices(machine: &Machine) -> Vec<String> {
    let directory = machine.config.volumes_directory.display().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/sys/block").unwrap().flatten() {
        let backing = fs::read_to_string(entry.path().join("loop/backing_file"));
        if backing.is_ok_and(|file| file.contains(&directory)) {
            found.push(entry.file_name().into_string().unwrap());
        }
    }
    found
}

async fn until_unmounted(machine: &Machine) {
    wait_for("the loop device to go", || loop_devices(machine).is_empty()).await;
}

async fn a_volume_outlives_instances_and_a_killed_shim() {
    let machine = Machine::start().await;
    let volume = new_volume(&machine).await;
    let script = "ls -A /data; id -u; echo kept > /data/file && stat -c %u:%g /data /data/file; \
                  grep ' /data ' /proc/self/mountinfo";
    let (status, log) = machine.output_of(with_volume(&machine, volume, script)).await;
    assert_eq!(status.code, 0, "{log:?}");
    assert_eq!(log[..3], ["1000", "1000:1000", "1000:1000"], "an empty directory of its own");
    assert!(log[3].contains("nosuid,nodev") && log[3].contains("idmapped"), "{log:?}");
    until_unmounted(&machine).await;

    let spec = with_volume(&machine, volume, "cat /data/file; echo more >> /data/file; sleep 1000");
    let id = spec.id.clone();
    let _ = fs::remove_file(machine.log_file());
    machine.driver.start(spec).await.unwrap();
    machine.wait_for_log("kept").await;
    let lock = machine.config.run_directory.join("instances").join(id.as_str()).join("lock");
    let shim: i32 = fs::read_to_string(lock).unwrap().trim().parse().unwrap();
    nix_kill(shim);
    let status = machine.exited(&id).await;
    assert_eq!(status.reason.as_deref(), Some("its shim was killed"));
    until_unmounted(&machine).await;

    let (_, log) = machine.output_of(with_volume(&machine, volume, "cat /data/file")).await;
    assert_eq!(log, ["kept", "more"]);
    machine.finish().await;
}

fn nix_kill(pid: i32) {
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
}

async fn instances_share_one_loop_device() {
    let machine = Machine::start().await;
    let volume = new_volume(&machine).await;
    let mut ids: Vec<InstanceId> = Vec::new();
    for number in 1..=3 {
        let script = format!("echo {number} > /data/{number}; echo wrote {number}; sleep 1000");
        let spec = with_volume(&machine, volume, &script);
        ids.push(spec.id.clone());
        machine.driver.start(spec).await.unwrap();
        machine.wait_for_log(&format!("wrote {number}")).await;
    }
    assert_eq!(loop_devices(&machine).len(), 1);
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains("/data "));
    assert!(port(&machine).usage(volume).await.unwrap().mounted);
    let mut last = with_volume(&machine, volume, "cat /data/1 /data/2 /data/3");
    last.labels.index = 4;
    let (_, log) = machine.output_of(last).await;
    assert_eq!(log, ["1", "2", "3"], "each sees what the others wrote");
    for id in &ids {
        machine.driver.stop(id, Duration::from_millis(10)).await.unwrap();
    }
    until_unmounted(&machine).await;
    assert!(!port(&machine).usage(volume).await.unwrap().mounted);
    machine.finish().await;
}

async fn a_full_volume_harms_nobody() {
    let machine = Machine::start().await;
    let (full, other) = (new_volume(&machine).await, new_volume(&machine).await);
    let script = "dd if=/dev/zero of=/data/big bs=1M count=200 2>&1; df -k /data | tail -1 | awk '{print $4}'; sleep 1000";
    let spec = with_volume(&machine, full, script);
    let id = spec.id.clone();
    machine.driver.start(spec).await.unwrap();
    machine.wait_for_log("No space left on device").await;
    let usage = port(&machine).usage(full).await.unwrap();
    assert!(usage.used_bytes > SIZE * 8 / 10 && usage.used_bytes <= SIZE, "{usage:?}");
    let image = machine.config.volumes_directory.join(full.to_string()).join("image");
    assert_eq!(fs::metadata(&image).unwrap().len(), SIZE);
    fs::write(machine.path().join("host"), vec![1; 1 << 20]).unwrap();

    let (status, log) =
        machine.output_of(with_volume(&machine, other, "echo fine > /data/x; cat /data/x")).await;
    assert_eq!((status.code, log), (0, vec!["fine".to_owned()]));
    machine.driver.stop(&id, Duration::from_millis(10)).await.unwrap();
    machine.finish().await;
}

async fn a_volume_grows_while_it_is_mounted() {
    let machine = Machine::start().await;
    let volume = new_volume(&machine).await;
    let script = "while ! dd if=/dev/zero of=/data/big bs=1M count=100 2>/dev/null; do sleep 0.1; done; echo fits; sleep 1000";
    let spec = with_volume(&machine, volume, script);
    let id = spec.id.clone();
    machine.driver.start(spec).await.unwrap();
    wait_for("the loop device", || !loop_devices(&machine).is_empty()).await;
    let mut size = 3 * SIZE;
    match port(&machine).grow(volume, size).await {
        Ok(()) => machine.wait_for_log("fits").await,
        // Where root lacks CAP_SYS_RESOURCE the kernel refuses.
        Err(error) => assert!(matches!(error, DriverError::InUse(_)), "{error}"),
    }
    machine.driver.stop(&id, Duration::from_millis(10)).await.unwrap();
    until_unmounted(&machine).await;
    size += SIZE;
    // And while nothing has it mounted.
    port(&machine).grow(volume, size).await.unwrap();
    let (_, log) = machine
        .output_of(with_volume(&machine, volume, "df -m /data | tail -1 | awk '{print $2}'"))
        .await;
    assert!(log[0].parse::<u64>().unwrap() > 220, "{log:?}");
    assert!(port(&machine).grow(volume, SIZE).await.unwrap_err().to_string().contains("smaller"));
    machine.finish().await;
}

async fn a_snapshot_is_of_one_moment_and_comes_back() {
    let machine = Machine::start().await;
    let volume = new_volume(&machine).await;
    // The two files never differ at any moment by more than the write under way.
    let script = "echo old > /data/state; n=0; while :; do n=$((n+1)); echo $n >> /data/a; echo $n >> /data/b; [ $n = 50 ] && echo busy; done";
    let spec = with_volume(&machine, volume, script);
    let id = spec.id.clone();
    machine.driver.start(spec).await.unwrap();
    machine.wait_for_log("busy").await;
    let snapshot = SnapshotId::random();
    let bytes = port(&machine).snapshot(volume, snapshot).await.unwrap();
    assert!(bytes > 0 && bytes < SIZE, "{bytes}: it is sparse");
    let in_use = port(&machine).restore(volume, snapshot, SIZE);
    let refused = in_use.await.unwrap_err().to_string();
    assert!(refused.contains("still mounted"), "{refused}");
    machine.driver.stop(&id, Duration::from_millis(10)).await.unwrap();
    until_unmounted(&machine).await;

    let (_, log) = machine
        .output_of(with_volume(&machine, volume, "echo new > /data/state; wc -l < /data/a"))
        .await;
    let lines_now: u64 = log[0].trim().parse().unwrap();
    until_unmounted(&machine).await;
    port(&machine).restore(volume, snapshot, SIZE).await.unwrap();
    let look = "cat /data/state; wc -l < /data/a; wc -l < /data/b; tail -1 /data/b";
    let (_, log) = machine.output_of(with_volume(&machine, volume, look)).await;
    let number = |at: usize| log[at].trim().parse::<u64>().unwrap();
    assert_eq!(log[0], "old");
    assert!((50..lines_now).contains(&number(1)), "{log:?} of {lines_now}");
    assert!(number(1) - number(2) <= 1 && number(3) == number(2), "{log:?}");

    // A snapshot can be looked at beside the volume.
    let mut spec = machine.script("cat /data/state; echo x > /data/state");
    spec.mounts = vec![mount(volume, Some(snapshot))];
    let (_, log) = machine.output_of(spec).await;
    assert!(log[0] == "old" && log[1].contains("Read-only"), "{log:?}");
    until_unmounted(&machine).await;
    port(&machine).remove_snapshot(volume, snapshot).await.unwrap();
    port(&machine).destroy(volume).await.unwrap();
    port(&machine).destroy(volume).await.unwrap();
    assert_eq!(fs::read_dir(&machine.config.volumes_directory).unwrap().count(), 0);
    machine.finish().await;
}

async fn frozen_writers_go_on_with_the_next_driver() {
    let machine = Machine::start().await;
    let volume = new_volume(&machine).await;
    let script = "while :; do date >> /data/log; echo wrote; sleep 0.05; done";
    machine.driver.start(with_volume(&machine, volume, script)).await.unwrap();
    machine.wait_for_log("wrote").await;
    // As a server and its copying process leave it that were both killed.
    freeze(machine.path(), &loop_devices(&machine)[0]);
    let count = || machine.log().len();
    let mut last = count();
    wait_for("the writer to be held back", || {
        std::thread::sleep(Duration::from_millis(300));
        let now = count();
        std::mem::replace(&mut last, now) == now
    })
    .await;
    let machine = machine.restart().await;
    wait_for("the writer to go on", || machine.log().len() > last).await;
    machine.finish().await;
}

fn freeze(directory: &Path, device: &str) {
    let point = directory.join("frozen");
    fs::create_dir(&point).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let status = Command::new(program).args(arguments).status().unwrap();
        assert!(status.success(), "{program}");
    };
    let path = point.to_str().unwrap();
    run("mount", &["-t", "ext4", &format!("/dev/{device}"), path]);
    run("fsfreeze", &["--freeze", path]);
    run("umount", &["--lazy", path]);
}

async fn nothing_is_left_of_a_volume_that_could_not_be_made() {
    let machine = Machine::start().await;
    let too_large = port(&machine).create(VolumeId::random(), 1 << 50).await.unwrap_err();
    assert!(
        too_large.to_string().contains("1024T are wanted, but the disk has only"),
        "{too_large}"
    );
    let too_small = port(&machine).create(VolumeId::random(), 4096).await.unwrap_err();
    assert!(too_small.to_string().contains("mkfs.ext4 failed"), "{too_small}");
    assert_eq!(fs::read_dir(&machine.config.volumes_directory).unwrap().count(), 0);
    let mut spec = machine.script("true");
    spec.mounts = vec![mount(VolumeId::random(), None)];
    let error = crate::harness::start_error(machine.driver.start(spec).await).to_string();
    assert!(error.contains("mount the volume at /data: No such file"), "{error}");
    machine.finish().await;
}
