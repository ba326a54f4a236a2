//! Test helpers: a simulated driver and a platform harness.
