//! `windlass demo`, with which the README begins.

use crate::support::binary;
use std::process::Command;
use windlass_testkit::server::stack_directory;
use windlass_testkit::{command, skip};

#[test]
fn the_demo_loses_no_request_and_leaves_nothing() {
    if !stack_directory().join("images/index.json").exists() || !nix::unistd::geteuid().is_root() {
        return skip("the demo needs root and the stack (windlass setup)");
    }
    let mut demo = Command::new(binary());
    demo.args(["demo", "--exit", "--yes", "--requests", "2000"])
        .env("WINDLASS_DATA_DIRECTORY", stack_directory());
    let said = command::run(&mut demo, b"").success();
    for words in ["v2 · served by web.1", "\n    0 lost of ", "nothing is left: no process"] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    assert!(!said.contains("left behind"), "{said}");
}
