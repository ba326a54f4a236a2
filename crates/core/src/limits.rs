//! Limits and defaults, each with its unit and source.

use std::time::Duration;

/// A web process must open its port within this time (Heroku R10).
pub const BOOT_TIMEOUT: Duration = Duration::from_secs(60);

/// A process without a port counts as up when it has lived this long in a deploy. Heroku counts
/// it up at once; the wait is what lets a push tell that a worker crashes at boot.
pub const SETTLE_TIME: Duration = Duration::from_millis(500);

/// Between SIGTERM and SIGKILL (Heroku R12).
pub const STOP_GRACE: Duration = Duration::from_secs(30);

/// Requests in flight may go on this long on an instance that is being retired.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Whole build (Heroku: 15 minutes).
pub const BUILD_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Config vars of one app, names and values together, in bytes (Heroku: 64 kB).
pub const CONFIG_VARS_BYTES: usize = 64 * 1024;

/// Instances of one process type (Heroku: 100).
pub const INSTANCES_PER_PROCESS: u32 = 100;

/// Lines that a log session gives at most (Heroku: 1500).
pub const LOG_HISTORY_LINES: u32 = 1_500;

/// Custom domains of one app (Heroku: 1000).
pub const DOMAINS_PER_APP: usize = 1_000;

/// Imported certificates of one app (ours).
pub const CERTIFICATES_PER_APP: usize = 100;

/// An instance that lived this long starts its crash count anew.
pub const STABLE_AFTER: Duration = Duration::from_secs(60);

/// Returns how long to wait before an instance is started again after its `crashes`th crash in a
/// row: at once, then 5 s doubling to 5 minutes. Heroku waits 20 minutes and more.
#[must_use]
pub fn restart_delay(crashes: u32) -> Duration {
    match crashes {
        0 | 1 => Duration::ZERO,
        n => Duration::from_secs((5u64 << (n - 2).min(10)).min(300)),
    }
}

/// SSH keys of one user (ours): far more than anybody has devices, and few enough to look through.
pub const KEYS_PER_USER: usize = 100;

/// Teams that one user may be in and still make another (ours): names of teams are the server's, so
/// nobody may take them all.
pub const TEAMS_PER_USER: usize = 100;

/// Apps of one user who is not the server's owner (ours; Heroku: 100 for most people). Each costs a
/// repository, a certificate and a place in the router's table.
pub const APPS_PER_USER: usize = 1_000;

/// Tokens of one user beyond which they make no more by the API (ours). Logins go on making theirs:
/// who has none left could revoke none.
pub const TOKENS_PER_USER: usize = 1_000;

/// Cron jobs of one app, those of app.json included.
pub const CRON_JOBS_PER_APP: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_crash_is_mended_at_once_and_later_ones_ever_later() {
        let seconds: Vec<u64> = (1..=9).map(|crash| restart_delay(crash).as_secs()).collect();
        assert_eq!(seconds, [0, 5, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(restart_delay(u32::MAX).as_secs(), 300);
    }
}
