//! Limits and reservations of a process type, and the sizes by which people choose them.

use crate::instance::Resources;
use crate::volume::Size;
use serde::{Deserialize, Serialize};

/// A preset of limits under one of Heroku's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessSize {
    pub name: &'static str,
    /// `None`: the server's default.
    pub memory_bytes: Option<u64>,
    /// Weight when cores are contended, against 1024 of the small sizes; `None`: 1024.
    pub cpu_shares: Option<u32>,
    /// `None`: the server's default.
    pub processes: Option<u32>,
}

const fn size(name: &'static str, megabytes: u64, shares: u32, processes: u32) -> ProcessSize {
    ProcessSize {
        name,
        memory_bytes: Some(megabytes << 20),
        cpu_shares: Some(shares),
        processes: Some(processes),
    }
}

const fn small(name: &'static str) -> ProcessSize {
    ProcessSize { name, memory_bytes: None, cpu_shares: None, processes: None }
}

/// All sizes. The small ones are what an instance gets by default, 512 MB unless the server's
/// owner says otherwise; the others have the memory that Heroku gives them.
pub const SIZES: [ProcessSize; 9] = [
    small("Eco"),
    small("Basic"),
    STANDARD_1X,
    size("Standard-2X", 1_024, 2_048, 512),
    size("Performance-M", 2_560, 4_096, 16_384),
    size("Performance-L", 14_336, 16_384, 32_768),
    size("Performance-L-RAM", 30_720, 8_192, 32_768),
    size("Performance-XL", 63_488, 16_384, 32_768),
    size("Performance-2XL", 129_024, 32_768, 32_768),
];

/// The size of a process type for which nobody chose one.
pub const STANDARD_1X: ProcessSize = small("Standard-1X");

impl ProcessSize {
    /// Finds a size by its name in any case.
    pub fn named(name: &str) -> Result<Self, LimitError> {
        let found = SIZES.into_iter().find(|size| size.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| LimitError::UnknownSize(name.chars().take(40).collect()))
    }
}

/// Returns the size whose limits an instance has that was started by the name of a size.
#[must_use]
pub fn size_of(resources: &Resources) -> ProcessSize {
    let of = |size: &ProcessSize| {
        size.memory_bytes == resources.memory_bytes && size.cpu_shares == resources.cpu_shares
    };
    SIZES.into_iter().find(of).unwrap_or(STANDARD_1X)
}

/// What somebody chose for a process type; `None` is what its size says, then the server's default.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct ProcessLimits {
    /// The name of one of [`SIZES`].
    pub size: Option<String>,
    pub memory_bytes: Option<u64>,
    /// Thousandths of a core.
    pub cpu_millis: Option<u32>,
    pub processes: Option<u32>,
    /// What an instance may write outside of its volumes.
    pub disk_bytes: Option<u64>,
    /// Memory that is kept for each instance, and above which it is warned (R14).
    pub reserve_memory_bytes: Option<u64>,
    /// Thousandths of a core that are kept for each instance.
    pub reserve_cpu_millis: Option<u32>,
}

/// The names under which limits are set, in the order of reports.
pub const NAMES: [&str; 7] =
    ["size", "memory", "cpu", "processes", "disk", "reserve-memory", "reserve-cpu"];

const LEAST_MEMORY: u64 = 16 << 20;
const MOST_MEMORY: u64 = 16 << 40;
const LEAST_PROCESSES: u32 = 4;
const MOST_PROCESSES: u32 = 1 << 20;
const MOST_CPU_MILLIS: u32 = 1_024_000;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    #[error("There is no size {0:?} here: use {list}.", list = SIZES.map(|s| s.name).join(", "))]
    UnknownSize(String),
    #[error("There is no limit {0:?}: use {list}.", list = NAMES.join(", "))]
    UnknownName(String),
    #[error("{name} is {text:?}: give {expected}.")]
    Value { name: &'static str, text: String, expected: String },
    #[error("reserve-memory is {reserve}, more than the memory limit of {memory}.")]
    ReserveAboveLimit { reserve: Size, memory: Size },
}

impl ProcessLimits {
    /// Sets a limit from text as people write it (`256M`, `0.5`, `64`); `None` goes back to the
    /// default.
    pub fn set(&mut self, name: &str, text: Option<&str>) -> Result<(), LimitError> {
        match name {
            "size" => {
                self.size = text.map(ProcessSize::named).transpose()?.map(|s| s.name.to_owned());
            }
            "memory" => self.memory_bytes = text.map(|t| bytes("memory", t)).transpose()?,
            "cpu" => self.cpu_millis = text.map(|t| cores("cpu", t)).transpose()?,
            "processes" => self.processes = text.map(processes).transpose()?,
            "disk" => self.disk_bytes = text.map(|t| bytes("disk", t)).transpose()?,
            "reserve-memory" => {
                let reserve = text.map(|t| bytes("reserve-memory", t)).transpose()?;
                self.reserve_memory_bytes = reserve;
            }
            "reserve-cpu" => {
                self.reserve_cpu_millis = text.map(|t| cores("reserve-cpu", t)).transpose()?;
            }
            _ => return Err(LimitError::UnknownName(name.chars().take(40).collect())),
        }
        Ok(())
    }
}

fn wrong(name: &'static str, text: &str, expected: String) -> LimitError {
    LimitError::Value { name, text: text.chars().take(40).collect(), expected }
}

fn bytes(name: &'static str, text: &str) -> Result<u64, LimitError> {
    let size = text.parse::<Size>().ok().filter(|s| (LEAST_MEMORY..=MOST_MEMORY).contains(&s.0));
    let expected = || format!("a size of at least {}, for example 256M or 1G", Size(LEAST_MEMORY));
    size.map(|size| size.0).ok_or_else(|| wrong(name, text, expected()))
}

fn cores(name: &'static str, text: &str) -> Result<u32, LimitError> {
    let expected = || "a number of cores of at least 0.01, for example 0.5 or 2".to_owned();
    let millis = text.parse::<f64>().ok().map(|cores| (cores * 1_000.0).round());
    let fits = millis.filter(|millis| (10.0..=f64::from(MOST_CPU_MILLIS)).contains(millis));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fits.map(|millis| millis as u32).ok_or_else(|| wrong(name, text, expected()))
}

fn processes(text: &str) -> Result<u32, LimitError> {
    let range = LEAST_PROCESSES..=MOST_PROCESSES;
    let expected = || format!("a number of processes from {LEAST_PROCESSES} to {MOST_PROCESSES}");
    let number = text.parse::<u32>().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| wrong("processes", text, expected()))
}

/// Writes thousandths of a core as people do: `0.5`, `2`.
#[must_use]
pub fn show_cores(millis: u32) -> String {
    let (whole, rest) = (millis / 1_000, millis % 1_000);
    if rest == 0 {
        return whole.to_string();
    }
    format!("{whole}.{rest:03}").trim_end_matches('0').to_owned()
}

/// The server's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    pub memory_bytes: u64,
    /// 0: no limit.
    pub cpu_millis: u32,
    pub processes: u32,
    pub disk_bytes: u64,
}

/// Where a limit comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Somebody set it for this process type.
    App,
    /// The size that somebody chose.
    Size,
    /// The server's default.
    Server,
}

impl Origin {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Size => "size",
            Self::Server => "server",
        }
    }
}

/// The limits of a process type that hold, each with where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InForce {
    pub size: (ProcessSize, Origin),
    pub memory_bytes: (u64, Origin),
    /// 0: no limit.
    pub cpu_millis: (u32, Origin),
    pub processes: (u32, Origin),
    pub disk_bytes: (u64, Origin),
    /// 0: nothing is kept.
    pub reserve_memory_bytes: (u64, Origin),
    /// 0: nothing is kept.
    pub reserve_cpu_millis: (u32, Origin),
}

fn first<T>(own: Option<T>, of_size: Option<T>, server: T) -> (T, Origin) {
    match (own, of_size) {
        (Some(own), _) => (own, Origin::App),
        (None, Some(of_size)) => (of_size, Origin::Size),
        (None, None) => (server, Origin::Server),
    }
}

impl InForce {
    #[must_use]
    pub fn of(own: &ProcessLimits, server: &ServerLimits) -> Self {
        let chosen = own.size.as_deref().and_then(|name| ProcessSize::named(name).ok());
        let size = chosen.unwrap_or(STANDARD_1X);
        Self {
            size: first(chosen, None, STANDARD_1X),
            memory_bytes: first(own.memory_bytes, size.memory_bytes, server.memory_bytes),
            cpu_millis: first(own.cpu_millis, None, server.cpu_millis),
            processes: first(own.processes, size.processes, server.processes),
            disk_bytes: first(own.disk_bytes, None, server.disk_bytes),
            reserve_memory_bytes: first(own.reserve_memory_bytes, None, 0),
            reserve_cpu_millis: first(own.reserve_cpu_millis, None, 0),
        }
    }

    /// Says what does not fit together.
    pub fn check(&self) -> Result<(), LimitError> {
        let (reserve, memory) = (self.reserve_memory_bytes.0, self.memory_bytes.0);
        if reserve > memory {
            let (reserve, memory) = (Size(reserve), Size(memory));
            return Err(LimitError::ReserveAboveLimit { reserve, memory });
        }
        Ok(())
    }

    /// Returns the hard limits of one instance.
    #[must_use]
    pub fn resources(&self) -> Resources {
        Resources {
            memory_bytes: Some(self.memory_bytes.0),
            cpu_millis: (self.cpu_millis.0 > 0).then_some(self.cpu_millis.0),
            cpu_shares: self.size.0.cpu_shares,
            processes: Some(self.processes.0),
            spared_processors: 0,
        }
    }

    /// Returns the memory above which an instance is warned; `None` if only the hard limit holds.
    #[must_use]
    pub fn quota_bytes(&self) -> Option<u64> {
        let quota = self.reserve_memory_bytes.0;
        (quota > 0 && quota < self.memory_bytes.0).then_some(quota)
    }
}

/// Returns the lines that tell of an instance beyond its quota; `None` below it.
#[must_use]
pub fn quota_exceeded(used_bytes: u64, quota_bytes: u64) -> Option<[String; 2]> {
    if used_bytes <= quota_bytes || quota_bytes == 0 {
        return None;
    }
    let tenths = u128::from(used_bytes) * 1_000 / u128::from(quota_bytes);
    let running =
        format!("Process running mem={}M({}.{}%)", used_bytes >> 20, tenths / 10, tenths % 10);
    Some([running, "Error R14 (Memory quota exceeded)".to_owned()])
}

#[cfg(test)]
#[path = "process_limits_tests.rs"]
mod tests;
