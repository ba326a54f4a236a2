//! What simulated processes do.

use bytes::Bytes;
use std::time::Duration;
use windlass_core::instance::InstanceSpec;

/// What a process of the simulated driver does. Written as a command of a release, for example
/// `crash 3`; a config var `BEHAVIOUR` wins over the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// `serve`: opens its port at once and stops on SIGTERM.
    Serve,
    /// `crash CODE`: ends while it boots; attached, it says so.
    Crash(i32),
    /// `never-listen`: runs without opening its port; attached, it does not end by itself.
    NeverListen,
    /// `slow MILLISECONDS`: opens its port after that time; attached, it ends then.
    Slow(Duration),
    /// `ignore-term`: serves, and has to be killed.
    IgnoreTerm,
    /// `not-found`: there is no such command.
    NotFound,
}

impl Behaviour {
    /// Returns what the process of `spec` does.
    ///
    /// # Panics
    /// When the text is none of the above: the test is wrong.
    #[must_use]
    pub fn of(spec: &InstanceSpec) -> Self {
        let command = spec.command.last().map(String::as_str).unwrap_or_default();
        Self::parse(spec.environment.get("BEHAVIOUR").map_or(command, String::as_str))
    }

    fn parse(text: &str) -> Self {
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        let number: u32 = words.next().map_or(1, |word| word.parse().expect("a number follows"));
        match name {
            "serve" => Self::Serve,
            "crash" => Self::Crash(number.cast_signed()),
            "never-listen" => Self::NeverListen,
            "slow" => Self::Slow(Duration::from_millis(number.into())),
            "ignore-term" => Self::IgnoreTerm,
            "not-found" => Self::NotFound,
            _ => panic!("{text:?} is no behaviour of a simulated process"),
        }
    }

    /// Returns what an attached process says and how it ends, if it does so by itself.
    pub(super) async fn at_once(self) -> Option<(Bytes, i32)> {
        match self {
            Self::Crash(code) => Some((Bytes::from(format!("crashing with {code}\n")), code)),
            Self::Slow(delay) => {
                tokio::time::sleep(delay).await;
                Some((Bytes::from_static(b"done slowly\n"), 0))
            }
            Self::Serve | Self::NeverListen | Self::IgnoreTerm | Self::NotFound => None,
        }
    }

    /// Whether a release whose processes do this comes up.
    #[must_use]
    pub fn works(self) -> bool {
        !matches!(self, Self::Crash(_) | Self::NeverListen | Self::NotFound)
    }
}
