//! Admission: whether the machine can hold more instances.
//!
//! A limit is a ceiling and is not counted, so that a laptop can hold many apps that are mostly
//! idle. What counts is what was reserved, whether it is in use or not, what is in use beyond that,
//! and [`FLOOR_BYTES`] for each instance that is to be added. The instances that a deploy runs
//! beside the old ones for a while are not counted.

use crate::names::ProcessType;
use crate::process_limits::{InForce, show_cores};
use crate::volume::Size;

/// What an instance is taken to need when nothing is reserved for it, in bytes.
pub const FLOOR_BYTES: u64 = 8 << 20;

/// What the machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    pub memory_bytes: u64,
    /// What could be given out now without swapping.
    pub available_bytes: u64,
    /// Thousandths of a core.
    pub cpu_millis: u32,
}

/// What is kept for instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reservation {
    pub memory_bytes: u64,
    pub cpu_millis: u32,
}

impl Reservation {
    #[must_use]
    pub fn of(limits: &InForce) -> Self {
        Self {
            memory_bytes: limits.reserve_memory_bytes.0,
            cpu_millis: limits.reserve_cpu_millis.0,
        }
    }

    /// Adds that of `count` instances.
    pub fn add(&mut self, each: Self, count: u32) {
        let memory = each.memory_bytes.saturating_mul(u64::from(count));
        self.memory_bytes = self.memory_bytes.saturating_add(memory);
        self.cpu_millis = self.cpu_millis.saturating_add(each.cpu_millis.saturating_mul(count));
    }
}

/// What all apps have reserved already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    pub reserved: Reservation,
    /// The part of the reserved memory that nobody uses yet.
    pub unused_bytes: u64,
}

/// What is wanted of a process type in place of what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub process: ProcessType,
    pub quantity_before: u32,
    pub quantity: u32,
    pub each_before: Reservation,
    pub each: Reservation,
}

/// The machine cannot hold it; the message has the arithmetic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

/// Returns whether there is room for all the changes together.
///
/// # Errors
/// Names the first process type for which there is none.
pub fn admit(machine: &Machine, taken: &Taken, changes: &[Change]) -> Result<(), Refusal> {
    let reserved = &taken.reserved;
    let mut free = machine.memory_bytes.saturating_sub(reserved.memory_bytes);
    free = free.min(machine.available_bytes.saturating_sub(taken.unused_bytes));
    let mut free_cpu = machine.cpu_millis.saturating_sub(reserved.cpu_millis);
    for change in changes {
        for part in parts(change) {
            let total = part.memory_bytes.saturating_mul(u64::from(part.count));
            if total > free {
                return Err(Refusal(format!(
                    "{} = {} of memory; {} of {} are reserved and {} are free. Ask for fewer, or reserve less with windlass limits:set.",
                    part.words(change, &Size(part.memory_bytes).to_string()),
                    Size(total),
                    Size(reserved.memory_bytes),
                    Size(machine.memory_bytes),
                    Size(free)
                )));
            }
            free -= total;
            let total = part.cpu_millis.saturating_mul(part.count);
            if total > free_cpu {
                return Err(Refusal(format!(
                    "{} = {} cores; {} of {} are reserved. Ask for fewer, or reserve less with windlass limits:set.",
                    part.words(change, &show_cores(part.cpu_millis)),
                    show_cores(total),
                    show_cores(reserved.cpu_millis),
                    show_cores(machine.cpu_millis)
                )));
            }
            free_cpu -= total;
        }
    }
    Ok(())
}

/// So many times so much.
struct Part {
    count: u32,
    memory_bytes: u64,
    cpu_millis: u32,
    /// Whether it is for instances that are there already.
    raises: bool,
}

impl Part {
    fn words(&self, change: &Change, each: &str) -> String {
        let more = match (self.raises, self.count < change.quantity) {
            (true, _) => format!("{} × {each} more", self.count),
            (false, true) => format!("{} more × {each}", self.count),
            (false, false) => format!("{} × {each}", self.count),
        };
        format!("{}={} needs {more}", change.process, change.quantity)
    }
}

/// What is added for new instances, and for those that stay.
fn parts(change: &Change) -> impl Iterator<Item = Part> {
    let (each, before) = (&change.each, &change.each_before);
    let new = Part {
        count: change.quantity.saturating_sub(change.quantity_before),
        memory_bytes: each.memory_bytes.max(FLOOR_BYTES),
        cpu_millis: each.cpu_millis,
        raises: false,
    };
    let raised = Part {
        count: change.quantity.min(change.quantity_before),
        memory_bytes: each.memory_bytes.saturating_sub(before.memory_bytes),
        cpu_millis: each.cpu_millis.saturating_sub(before.cpu_millis),
        raises: true,
    };
    [new, raised].into_iter().filter(|part| part.count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const MIB: u64 = 1 << 20;

    fn change(before: (u32, u64, u32), after: (u32, u64, u32)) -> Change {
        let reservation = |(_, memory_bytes, cpu_millis)| Reservation { memory_bytes, cpu_millis };
        Change {
            process: "web".parse().unwrap(),
            quantity_before: before.0,
            quantity: after.0,
            each_before: reservation(before),
            each: reservation(after),
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_arithmetic() {
        let machine =
            Machine { memory_bytes: 24 * GIB, available_bytes: 4 * GIB, cpu_millis: 2_000 };
        let none = Taken::default();
        let reserved = Taken {
            reserved: Reservation { memory_bytes: 11 * GIB, cpu_millis: 1_500 },
            unused_bytes: 3 * GIB,
        };
        let table = [
            ("a first instance", none, change((0, 0, 0), (1, 0, 0)), None),
            ("limits alone are not counted", none, change((0, 0, 0), (100, 0, 0)), None),
            ("it fits exactly", none, change((0, 0, 0), (8, 512 * MIB, 0)), None),
            ("fewer always fit", reserved, change((30, 512 * MIB, 0), (3, 512 * MIB, 0)), None),
            (
                "more than is free",
                Taken { unused_bytes: 0, ..reserved },
                change((0, 0, 0), (30, 512 * MIB, 0)),
                Some(
                    "web=30 needs 30 × 512M = 15G of memory; 11G of 24G are reserved and 4G are free.",
                ),
            ),
            (
                "what others reserved and do not use is not free",
                reserved,
                change((2, 512 * MIB, 0), (5, 512 * MIB, 0)),
                Some(
                    "web=5 needs 3 more × 512M = 1.5G of memory; 11G of 24G are reserved and 1G are free.",
                ),
            ),
            (
                "an instance without a reservation needs a little",
                Taken { unused_bytes: 4 * GIB - 16 * MIB, ..reserved },
                change((0, 0, 0), (3, 0, 0)),
                Some(
                    "web=3 needs 3 × 8M = 24M of memory; 11G of 24G are reserved and 16M are free.",
                ),
            ),
            (
                "a larger reservation",
                reserved,
                change((3, 0, 0), (3, 512 * MIB, 0)),
                Some(
                    "web=3 needs 3 × 512M more = 1.5G of memory; 11G of 24G are reserved and 1G are free.",
                ),
            ),
            (
                "cores",
                reserved,
                change((0, 0, 0), (2, 0, 500)),
                Some("web=2 needs 2 × 0.5 = 1 cores; 1.5 of 2 are reserved."),
            ),
        ];
        for (name, taken, change, expected) in table {
            let said = admit(&machine, &taken, &[change]).err().map(|refusal| refusal.to_string());
            match (&said, expected) {
                (Some(said), Some(expected)) => {
                    assert!(said.starts_with(expected) && !said.contains('\n'), "{name}: {said}");
                }
                _ => assert_eq!(said.as_deref(), expected, "{name}"),
            }
        }
    }

    #[test]
    fn changes_are_counted_together() {
        let machine = Machine { memory_bytes: GIB, available_bytes: GIB, cpu_millis: 2_000 };
        let one = change((0, 0, 0), (1, 600 * MIB, 0));
        assert!(admit(&machine, &Taken::default(), std::slice::from_ref(&one)).is_ok());
        assert!(admit(&machine, &Taken::default(), &[one.clone(), one]).is_err());
    }
}
