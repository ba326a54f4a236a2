//! Debian's own tools as root of a container. Needs a root file system, which takes a while to make:
//!
//! `mmdebstrap --variant=minbase bookworm minbase.tar` and `WINDLASS_TEST_DEBIAN=minbase.tar`.

use crate::harness::Machine;
use std::path::Path;
use std::process::Command;
use windlass_core::driver::{AttachedOutput, Driver};
use windlass_core::instance::{InstanceKind, Output};
use windlass_oci::ImageConfig;

crate::tests![apt_installs_packages];

async fn apt_installs_packages() {
    let Some(archive) = std::env::var_os("WINDLASS_TEST_DEBIAN") else {
        println!("SKIPPED: apt_installs_packages: WINDLASS_TEST_DEBIAN names no root file system");
        return;
    };
    let mut machine = Machine::start().await;
    let staging = machine.config.images.staging_directory().unwrap();
    let root = staging.join("fs");
    std::fs::create_dir_all(&root).unwrap();
    let unpack =
        Command::new("tar").arg("-xpf").arg(Path::new(&archive)).arg("-C").arg(&root).status();
    assert!(unpack.unwrap().success());
    let layer = machine.config.images.commit_layer(&staging).unwrap();
    let config = ImageConfig::default();
    machine.image = machine.config.images.put_image(None, &[layer], &config).unwrap();

    let script = "set -e; export DEBIAN_FRONTEND=noninteractive; apt-get update; \
        apt-get install -y --no-install-recommends ca-certificates openssh-client cron curl python3-minimal; \
        curl --version; python3 -c 'print(6*7)'; getent passwd _apt; su -s /bin/sh -c id nobody; \
        update-ca-certificates --fresh; curl -sS -o /dev/null \"$TEST_URL\" && echo reached";
    let mut spec = machine.command(&["/bin/bash", "-c", script]);
    let url = std::env::var("WINDLASS_TEST_URL").expect("WINDLASS_TEST_URL names an https site");
    spec.environment.insert("TEST_URL".to_owned(), url);
    spec.user = 0;
    spec.labels.kind = InstanceKind::Build;
    spec.output = Output::Attached { terminal: None };
    let mut attached = machine.driver.start_attached(spec).await.unwrap();
    let mut text = String::new();
    let status = loop {
        match attached.output.recv().await.unwrap() {
            AttachedOutput::Stdout(bytes) | AttachedOutput::Stderr(bytes) => {
                text += &String::from_utf8_lossy(&bytes);
            }
            AttachedOutput::Exited(status) => break status,
        }
    };
    assert_eq!(status.code, 0, "{text}");
    assert!(text.contains("\n42\n") && text.contains("uid=65534(nobody)"), "{text}");
    assert!(text.contains("\nreached\n"), "{text}");
    machine.finish().await;
}
