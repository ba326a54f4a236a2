//! What a figure was measured on.

/// Prints the kernel, the processor, the memory and what else the machine is doing.
pub fn print() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processor = read("/proc/cpuinfo");
    let model = processor.lines().find_map(|line| line.strip_prefix("model name"));
    let model =
        model.map_or("an unknown processor", |name| name.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = read("/proc/meminfo");
    let kilobytes: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    let load = read("/proc/loadavg");
    let load: Vec<&str> = load.split(' ').take(3).collect();
    println!(
        "machine: Linux {}, {cores} cores of {model}, {} GB; load {} at the beginning\n",
        read("/proc/sys/kernel/osrelease").trim(),
        kilobytes / 1_000_000,
        load.join(" ")
    );
}
