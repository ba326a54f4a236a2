//! What this machine has: memory, cores, disk, and the network devices of instances.

use std::path::Path;
use std::time::Duration;
use windlass_core::admission::Machine;
use windlass_core::disk_guard::DiskSpace;

/// How long network devices may take to disappear after their processes.
const DEVICES_LIMIT: Duration = Duration::from_secs(30);

/// Waits until the kernel has removed the network devices whose names begin so: those of instances
/// that have ended.
pub(super) async fn wait_for_devices(prefix: &str) {
    let left = || {
        let devices = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
        devices.filter(|d| d.file_name().to_string_lossy().starts_with(prefix)).count()
    };
    let deadline = tokio::time::Instant::now() + DEVICES_LIMIT;
    while left() > 0 && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Returns memory and cores; `None` where the kernel does not tell.
pub(super) fn machine() -> Option<Machine> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    parse(&text, u32::try_from(cores).unwrap_or(u32::MAX))
}

fn parse(meminfo: &str, cores: u32) -> Option<Machine> {
    let kilobytes = |name: &str| -> Option<u64> {
        let rest = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        rest.trim().strip_suffix(" kB")?.parse().ok()
    };
    Some(Machine {
        memory_bytes: kilobytes("MemTotal")? << 10,
        available_bytes: kilobytes("MemAvailable")? << 10,
        cpu_millis: cores.saturating_mul(1_000),
    })
}

/// Returns the space of the file system that holds a directory, without what is kept for root.
pub(super) fn disk_space(directory: &Path) -> Option<DiskSpace> {
    let disk = nix::sys::statvfs::statvfs(directory).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.fragment_size());
    Some(DiskSpace {
        total_bytes: bytes(disk.blocks()),
        free_bytes: bytes(disk.blocks_available()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        let text = "MemTotal:       24683692 kB\nMemFree:  1 kB\nMemAvailable:   22854000 kB\n";
        let expected = Machine {
            memory_bytes: 24_683_692 << 10,
            available_bytes: 22_854_000 << 10,
            cpu_millis: 2_000,
        };
        assert_eq!(parse(text, 2), Some(expected));
        assert_eq!(parse("MemTotal: 1 kB\n", 2), None);
    }

    #[test]
    fn this_machine_has_memory_and_disk() {
        let machine = machine().unwrap();
        assert!(machine.available_bytes > 0 && machine.available_bytes < machine.memory_bytes);
        let disk = disk_space(&std::env::temp_dir()).unwrap();
        assert!(disk.free_bytes <= disk.total_bytes && disk.total_bytes > 0);
    }
}
