//! Containers for real: needs root and a kernel with id-mapped mounts. Has its own `main`, since
//! this program is also the shim that the driver starts.
//!
//! `cargo test -p windlass-runtime --test containers [part of a test's name]`

#![allow(clippy::unwrap_used)] // a failed test, with its place

mod attached;
mod calls;
mod contract;
mod debian;
mod exec;
mod files;
mod harness;
mod isolation;
mod lifecycle;
mod limits;
mod network;
mod private_network;
mod recovery;
mod speed;
mod volumes;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if std::env::args_os().nth(1).is_some_and(|a| a == "shim") {
        arguments.next();
        return windlass_runtime::shim_main(arguments);
    }
    if std::env::args_os().nth(1).is_some_and(|a| a == "make-system-calls") {
        calls::make();
        return ExitCode::SUCCESS;
    }
    let mut tests = Vec::new();
    tests.extend(contract::tests());
    tests.extend(lifecycle::tests());
    tests.extend(limits::tests());
    tests.extend(isolation::tests());
    tests.extend(files::tests());
    tests.extend(network::tests());
    tests.extend(private_network::tests());
    tests.extend(attached::tests());
    tests.extend(exec::tests());
    tests.extend(recovery::tests());
    tests.extend(debian::tests());
    tests.extend(speed::tests());
    tests.extend(volumes::tests());
    harness::run(tests)
}
