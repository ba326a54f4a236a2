//! Debian's own tools as root of a container, on the stack that the end-to-end tests use.

use crate::harness::Machine;
use windlass_core::driver::{AttachedOutput, Driver};
use windlass_core::instance::{InstanceKind, Output};
use windlass_oci::ImageStore;
use windlass_testkit::server::stack_directory;

crate::tests![apt_installs_packages];

const STACK: &str = "stack/debian-12-build";

fn stack() -> Option<ImageStore> {
    let images = stack_directory().join("images");
    // Opening makes what is not there.
    let stack = images.join("index.json").exists().then(|| ImageStore::open(&images).ok())??;
    stack.tag(STACK).ok().flatten().map(|_| stack)
}

async fn apt_installs_packages() {
    let Some(stack) = stack() else {
        println!("SKIPPED: apt_installs_packages: there is no stack: run `windlass setup`");
        return;
    };
    let mut machine = Machine::start().await;
    machine.config.images.borrow_tags_from(&stack).unwrap();
    machine.image = machine.config.images.tag(STACK).unwrap().unwrap();

    let script = "set -e; export DEBIAN_FRONTEND=noninteractive; apt-get update; \
        apt-get install -y --no-install-recommends ca-certificates openssh-client cron curl python3-minimal; \
        curl --version; python3 -c 'print(6*7)'; getent passwd _apt; su -s /bin/sh -c id nobody; \
        update-ca-certificates --fresh; echo all done";
    let mut spec = machine.command(&["/bin/bash", "-c", script]);
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
    if text.contains("Temporary failure resolving") {
        println!("SKIPPED: apt_installs_packages: Debian's packages cannot be reached");
        return machine.finish().await;
    }
    assert_eq!(status.code, 0, "{text}");
    assert!(text.contains("\n42\n") && text.contains("uid=65534(nobody)"), "{text}");
    assert!(text.contains("\nall done\n"), "{text}");
    machine.finish().await;
}
