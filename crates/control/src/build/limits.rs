//! The limits of a build, in the words of whoever runs into one.

use super::container::in_words;
use crate::PlatformError;
use crate::settings::BuildSettings;

/// A limit that ends the build which reaches it. CPU is not among them: it only makes a build slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    Memory,
    Processes,
    Disk,
    Time,
}

impl Limit {
    /// Returns the one line (for disk: two) that names the limit and the setting that raises it.
    /// `doing` says what the build was at: empty, or ` in bin/compile of the buildpack python`.
    pub(super) fn reached(self, limits: &BuildSettings, doing: &str) -> PlatformError {
        let (what, setting) = match self {
            Self::Memory => (
                format!("it needed more than its memory limit of {}M", limits.memory_bytes >> 20),
                "build.memory",
            ),
            Self::Processes => (
                format!("it reached its limit of {} processes and threads", limits.processes),
                "build.processes",
            ),
            Self::Disk => (
                format!("it used more than its disk limit of {}M", limits.disk_bytes >> 20),
                "build.disk",
            ),
            Self::Time => (
                format!("it took longer than its limit of {}", in_words(limits.timeout)),
                "build.timeout",
            ),
        };
        let mut text = format!(
            "The build was stopped{doing}: {what} (`{setting}` in windlass.toml on the server)."
        );
        if self == Self::Disk {
            text.push_str(
                "\nSource, dependencies, build cache and temporary files count, sparse files in full. If the cache has grown too large: windlass builds:cache:purge",
            );
        }
        PlatformError::Invalid(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_is_named_with_its_setting() {
        let limits = BuildSettings {
            timeout: Duration::from_secs(900),
            memory_bytes: 2 << 30,
            processes: 1024,
            disk_bytes: 4 << 30,
            ..BuildSettings::default()
        };
        let said = |limit: Limit| limit.reached(&limits, "").to_string();
        for (limit, size, setting) in [
            (Limit::Memory, "memory limit of 2048M", "`build.memory`"),
            (Limit::Processes, "limit of 1024 processes", "`build.processes`"),
            (Limit::Disk, "disk limit of 4096M", "`build.disk`"),
            (Limit::Time, "limit of 15 minutes", "`build.timeout`"),
        ] {
            let said = said(limit);
            assert!(said.contains(size) && said.contains(setting), "{said}");
        }
        let said = Limit::Time.reached(&limits, " in bin/compile of the buildpack python");
        let begin = "The build was stopped in bin/compile of the buildpack python: it took";
        assert!(said.to_string().starts_with(begin), "{said}");
    }
}
