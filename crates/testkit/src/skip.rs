//! Tests that cannot run here say so, and are counted.

use std::io::Write;

/// Says that the running test is skipped and why. `cargo xtask test` counts these lines, so they go
/// past the test runner's capturing.
pub fn skip(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // A line of its own, also where the runner has begun one.
    let _ = write!(std::io::stderr(), "\nSKIPPED {test}: {reason}\n");
}
