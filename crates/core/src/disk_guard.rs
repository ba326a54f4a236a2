//! The disk that instances write to: when to count what they have written, and which must end so
//! that the others and the server can go on.

use crate::ids::InstanceId;
use crate::volume::Size;

/// Free space that shrinks by so much since the last count is worth another one, in bytes.
pub const NOTABLE_BYTES: u64 = 64 << 20;
/// Counted at least as often, in milliseconds.
pub const COUNT_EVERY_MS: u64 = 60_000;
/// Counting takes at most one part in so many of the time.
const SHARE: u64 = 10;
/// The same while too little is free.
const URGENT_SHARE: u64 = 2;

/// What the file system of the data has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    pub total_bytes: u64,
    pub free_bytes: u64,
}

/// When it was counted last, and what was free then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub at_ms: u64,
    pub took_ms: u64,
    pub free_bytes: u64,
}

/// Whether to count what each instance has written: looking at every file is dear, so it is done
/// when something has been written, when too little is free, and now and then.
#[must_use]
pub fn is_due(last: Option<Count>, free_bytes: u64, reserve_bytes: u64, now_ms: u64) -> bool {
    let Some(last) = last else { return true };
    let since = now_ms.saturating_sub(last.at_ms);
    if free_bytes < reserve_bytes {
        return since >= last.took_ms * URGENT_SHARE;
    }
    let has_shrunk = last.free_bytes.saturating_sub(free_bytes) >= NOTABLE_BYTES;
    since >= last.took_ms * SHARE && (has_shrunk || since >= COUNT_EVERY_MS)
}

/// What an instance has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    pub id: InstanceId,
    pub used_bytes: u64,
    /// Since the count before.
    pub grown_bytes: u64,
    pub limit_bytes: u64,
}

/// Why an instance must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overuse {
    /// It is beyond its own limit.
    Limit { used_bytes: u64, limit_bytes: u64 },
    /// The disk is nearly full, and nobody has written more.
    DiskFull { used_bytes: u64, free_bytes: u64, reserve_bytes: u64 },
}

impl std::fmt::Display for Overuse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Limit { used_bytes, limit_bytes } => write!(
                f,
                "Error disk quota exceeded -> it has written {}, its limit is {} (limits:set disk, or instance.disk of the server)",
                Size(used_bytes),
                Size(limit_bytes)
            ),
            Self::DiskFull { used_bytes, free_bytes, reserve_bytes } => write!(
                f,
                "Error disk full -> it has written {}, the most of all, and the server's disk has {} left, less than its reserve of {} (disk_reserve)",
                Size(used_bytes),
                Size(free_bytes),
                Size(reserve_bytes)
            ),
        }
    }
}

/// Returns the instances that must end: all that are beyond their own limit, and if too little is
/// free, the one that has grown most since the last count, else the one that has written most. One
/// that has written less than [`NOTABLE_BYTES`] is never to blame for a full disk.
#[must_use]
pub fn to_end(
    free_bytes: u64,
    reserve_bytes: u64,
    writers: &[Writer],
) -> Vec<(InstanceId, Overuse)> {
    let over = writers.iter().filter(|writer| writer.used_bytes > writer.limit_bytes);
    let mut ended: Vec<(InstanceId, Overuse)> = over
        .map(|writer| {
            let (used_bytes, limit_bytes) = (writer.used_bytes, writer.limit_bytes);
            (writer.id.clone(), Overuse::Limit { used_bytes, limit_bytes })
        })
        .collect();
    if free_bytes < reserve_bytes && ended.is_empty() {
        let to_blame = |writer: &&Writer| writer.used_bytes >= NOTABLE_BYTES;
        let grown = |writer: &Writer| match writer.grown_bytes {
            bytes if bytes >= NOTABLE_BYTES => bytes,
            _ => 0,
        };
        let most = |writer: &&Writer| (grown(writer), writer.used_bytes);
        if let Some(worst) = writers.iter().filter(to_blame).max_by_key(most) {
            let used_bytes = worst.used_bytes;
            let why = Overuse::DiskFull { used_bytes, free_bytes, reserve_bytes };
            ended.push((worst.id.clone(), why));
        }
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn writer(name: &str, used: u64, grown: u64) -> Writer {
        Writer {
            id: InstanceId(name.to_owned()),
            used_bytes: used * MIB,
            grown_bytes: grown * MIB,
            limit_bytes: 1_000 * MIB,
        }
    }

    #[test]
    fn it_is_counted_when_something_was_written_and_now_and_then() {
        let last = Count { at_ms: 10_000, took_ms: 100, free_bytes: 5_000 * MIB };
        let due = |free: u64, now_ms| is_due(Some(last), free * MIB, 1_000 * MIB, now_ms);
        assert!(is_due(None, 5_000 * MIB, 1_000 * MIB, 0), "at the start");
        assert!(!due(5_000, 20_000), "nothing happened");
        assert!(due(4_900, 20_000), "much was written");
        assert!(!due(4_900, 10_900), "but counting takes a tenth of the time at most");
        assert!(due(5_000, 70_000), "a minute has passed");
        assert!(due(999, 10_200), "too little is free");
        assert!(!due(999, 10_100), "half of the time at most");
    }

    #[test]
    fn the_one_that_wrote_most_ends_when_the_disk_is_full() {
        let ended = |free: u64, writers: &[Writer]| -> Vec<String> {
            let ended = to_end(free * MIB, 500 * MIB, writers);
            ended.into_iter().map(|(id, _)| id.0).collect()
        };
        let [old, new] = [writer("old", 900, 0), writer("new", 300, 200)];
        let (idle, over) = (writer("idle", 10, 10), writer("over", 1_001, 0));
        let all = [old.clone(), new.clone(), idle.clone()];
        assert_eq!(ended(501, &all), [""; 0], "there is room");
        assert_eq!(ended(499, &all), ["new"], "it grew most");
        assert_eq!(ended(499, &[old, idle.clone()]), ["old"], "nobody grew");
        assert_eq!(ended(499, &[idle]), [""; 0], "nobody is to blame");
        assert_eq!(ended(501, &[new.clone(), over.clone()]), ["over"], "beyond its own limit");
        assert_eq!(ended(499, &[new, over]), ["over"], "that may be enough");
    }

    #[test]
    fn the_reason_names_the_limit_in_one_line() {
        let said = to_end(0, 0, &[writer("over", 1_500, 0)])[0].1.to_string();
        assert!(said.contains("written 1.5G, its limit is 1000M (limits:set disk"), "{said}");
    }
}
