//! How an instance ended, in few words.

use crate::instance::ExitStatus;

impl ExitStatus {
    /// How something ended that did not reach a limit of memory or processes.
    #[must_use]
    pub fn of_code(code: i32, reason: Option<String>, at_ms: u64) -> Self {
        Self { code, out_of_memory: false, out_of_processes: false, reason, at_ms }
    }

    /// Returns why it ended, for lists: `out of memory`, `status 1`, `SIGSEGV (status 139)`.
    #[must_use]
    pub fn summary(&self) -> String {
        if self.out_of_memory {
            return "out of memory".to_owned();
        }
        if let Some(reason) = &self.reason {
            return of_reason(reason).to_owned();
        }
        match self.code.checked_sub(128).and_then(signal_name) {
            Some(signal) => format!("{signal} (status {})", self.code),
            None => format!("status {}", self.code),
        }
    }

    /// Whether the platform or the kernel killed it.
    #[must_use]
    pub fn was_killed(&self) -> bool {
        self.out_of_memory || (self.code == 137 && self.reason.is_some())
    }
}

/// `Error R10 (Boot timeout) -> Web process …` is a boot timeout.
fn of_reason(reason: &str) -> &str {
    let named = reason.strip_prefix("Error ").and_then(|rest| rest.split_once(" -> "));
    named.map_or(reason, |(name, _)| name)
}

fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        31 => "SIGSYS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_in_few_words() {
        let end = |code, out_of_memory, reason: Option<&str>| ExitStatus {
            code,
            out_of_memory,
            out_of_processes: false,
            reason: reason.map(str::to_owned),
            at_ms: 0,
        };
        let r10 = "Error R10 (Boot timeout) -> Web process failed to bind to $PORT";
        let table = [
            (end(1, false, None), "status 1"),
            (end(0, false, None), "status 0"),
            (end(139, false, None), "SIGSEGV (status 139)"),
            (end(200, false, None), "status 200"),
            (end(137, true, None), "out of memory"),
            (end(137, false, Some(r10)), "R10 (Boot timeout)"),
            (end(137, false, Some("its shim was killed")), "its shim was killed"),
        ];
        for (status, expected) in table {
            assert_eq!(status.summary(), expected);
        }
        assert!(end(137, true, None).was_killed() && !end(137, false, None).was_killed());
    }
}
