use crate::harness::{Machine, start_error};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use windlass_core::driver::Driver;
use windlass_core::instance::{InstanceKind, Mount};

crate::tests![
    mounts_map_owners,
    host_mounts_can_be_read_only,
    missing_mounts_are_named,
    builds_find_the_certificates,
    every_instance_has_a_fresh_file_system,
];

async fn mounts_map_owners() {
    let machine = Machine::start().await;
    let cache = machine.path().join("cache");
    fs::create_dir(&cache).unwrap();
    chown(&cache, Some(1000), Some(1000)).unwrap();
    fs::write(cache.join("old"), "old").unwrap();
    chown(cache.join("old"), Some(1000), Some(1000)).unwrap();
    let mut spec = machine.script("cat /cache/old; echo; stat -c %u /cache/old; echo new > /cache/new; echo more >> /cache/old; echo done");
    spec.mounts = vec![Mount {
        source: cache.clone().into(),
        target: "/cache".to_owned(),
        writable: true,
        id_mapped: true,
    }];
    let (_, log) = machine.output_of(spec.clone()).await;
    assert_eq!(log, ["old", "1000", "done"]);
    assert_eq!(fs::metadata(cache.join("new")).unwrap().uid(), 1000, "on disk as inside");

    spec.id = windlass_core::ids::InstanceId::random("web", 1);
    spec.mounts[0].writable = false;
    let (_, log) = machine.output_of(spec).await;
    assert!(
        log.iter().filter(|line| line.contains("Read-only file system")).count() >= 2,
        "{log:?}"
    );
    machine.finish().await;
}

async fn host_mounts_can_be_read_only() {
    let machine = Machine::start().await;
    let file = machine.path().join("motd");
    fs::write(&file, "from the host").unwrap();
    let mut spec = machine.script("cat /etc/deep/motd; echo; echo x > /etc/deep/motd; grep /etc/deep/motd /proc/self/mountinfo");
    spec.mounts = vec![Mount {
        source: file.clone().into(),
        target: "/etc/deep/motd".to_owned(),
        writable: false,
        id_mapped: false,
    }];
    let (_, log) = machine.output_of(spec).await;
    assert_eq!(log[0], "from the host");
    assert!(log[1].contains("Read-only") || log[1].contains("Permission denied"), "{log:?}");
    assert!(log[2].contains("ro,") && log[2].contains("nosuid,nodev"), "{log:?}");
    assert_eq!(fs::read_to_string(file).unwrap(), "from the host");
    machine.finish().await;
}

async fn missing_mounts_are_named() {
    let machine = Machine::start().await;
    let mut spec = machine.script("true");
    spec.mounts = vec![Mount {
        source: std::path::PathBuf::from("/nowhere/at/all").into(),
        target: "/x".to_owned(),
        writable: false,
        id_mapped: true,
    }];
    let error = start_error(machine.driver.start(spec).await).to_string();
    assert!(error.contains("mount \"/nowhere/at/all\": No such file"), "{error}");
    machine.finish().await;
}

async fn builds_find_the_certificates() {
    let mut machine = Machine::start().await;
    let bundle = machine.path().join("bundle.crt");
    fs::write(&bundle, "certificates\n").unwrap();
    machine.config.ca_bundle = Some(bundle);
    let machine = machine.restart().await;
    for user in [0, 1000] {
        let mut spec = machine.script("cat $SSL_CERT_FILE; echo $PIP_CERT; cat /etc/resolv.conf | grep -c nameserver; grep -c localhost /etc/hosts");
        spec.labels.kind = InstanceKind::Build;
        spec.user = user;
        spec.environment.insert("PIP_CERT".to_owned(), "/mine".to_owned());
        let (_, log) = machine.output_of(spec).await;
        assert_eq!(log[..2], ["certificates", "/mine"], "{log:?}");
        assert!(log[2].parse::<u32>().unwrap() >= 1, "{log:?}");
    }
    let (_, log) = machine.output_of(machine.script("echo =$SSL_CERT_FILE=")).await;
    assert_eq!(log, ["=="]);
    machine.finish().await;
}

async fn every_instance_has_a_fresh_file_system() {
    let machine = Machine::start().await;
    let script = "ls /tmp; rm /etc/notexecutable && echo removed; echo x > /tmp/x";
    for _ in 0..2 {
        let mut spec = machine.script(script);
        spec.user = 0;
        let (_, log) = machine.output_of(spec).await;
        assert_eq!(log, ["removed"]);
    }
    machine.finish().await;
}
