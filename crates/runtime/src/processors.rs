//! Which of the machine's processors a process may run on.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Keeps a process, and what it starts from now on, off the first `spared` of the processors that
/// it has; one is always left to it.
pub(crate) fn spare(spared: u32, process: Pid) -> nix::Result<()> {
    if spared == 0 {
        return Ok(());
    }
    let has = sched_getaffinity(process)?;
    let all: Vec<usize> =
        (0..CpuSet::count()).filter(|cpu| has.is_set(*cpu).unwrap_or(false)).collect();
    let mut left = CpuSet::new();
    for cpu in remaining(&all, spared) {
        left.set(*cpu)?;
    }
    sched_setaffinity(process, &left)
}

fn remaining(all: &[usize], spared: u32) -> &[usize] {
    let spared = usize::try_from(spared).unwrap_or(usize::MAX);
    &all[spared.min(all.len().saturating_sub(1))..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_processor_is_always_left() {
        let table: [(&[usize], u32, &[usize]); 5] = [
            (&[0, 1], 1, &[1]),
            (&[0, 1, 2, 5], 1, &[1, 2, 5]),
            (&[3], 1, &[3]),
            (&[0, 1], 9, &[1]),
            (&[0, 1], 0, &[0, 1]),
        ];
        for (all, spared, left) in table {
            assert_eq!(remaining(all, spared), left, "{all:?} without {spared}");
        }
    }

    #[test]
    fn a_process_is_kept_off_one() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed());
        let count = |set: &CpuSet| (0..CpuSet::count()).filter(|c| set.is_set(*c).unwrap()).count();
        let before = count(&sched_getaffinity(pid).unwrap());
        spare(1, pid).unwrap();
        let after = count(&sched_getaffinity(pid).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(after, before.saturating_sub(1).max(1));
    }
}
