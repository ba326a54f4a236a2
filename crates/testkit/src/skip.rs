//! Tests that cannot run here say so, and are counted.

use std::io::Write;

/// Says that the running test is skipped and why. `cargo xtask test` counts these lines, so they go
/// past the test runner's capturing.
pub fn skip(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
}
