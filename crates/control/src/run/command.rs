//! Commands of a release that the platform runs itself, to their end: the release phase and the
//! scripts of app.json.

use super::one_off::random_index;
use super::views::{InstanceDisplayState, InstanceView, instance_uuid};
use crate::platform::now_ms;
use crate::records::{App, Release};
use crate::{Platform, PlatformError, Result};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use windlass_core::driver::{AttachedInput, AttachedOutput};
use windlass_core::ids::Digest;
use windlass_core::instance::{ExitStatus, Output};
use windlass_core::names::ProcessType;

/// How many of the last lines an error shows.
const LINES_SHOWN: usize = 10;
/// A longer line is logged in pieces, in bytes.
const LONGEST_LINE: usize = 10_000;

/// A command to run on a release's image with its config vars.
pub(crate) struct Command<'a> {
    /// The first part of its name: `release` of `release.4711`.
    pub process: ProcessType,
    pub command: &'a str,
    /// Beside the config vars.
    pub environment: BTreeMap<String, String>,
    pub limit: Duration,
}

/// How a command ended.
pub(crate) struct Ended {
    /// `None` when it took longer than its limit and was stopped.
    pub status: Option<ExitStatus>,
    pub last_lines: Vec<String>,
}

impl Platform {
    /// Runs a command in a container of its own and waits for its end. Its output goes to `sink` and
    /// to the app's log. Dropping the future kills it.
    pub(crate) async fn run_to_end(
        &self,
        app: &App,
        release: &Release,
        image: &Digest,
        command: Command<'_>,
        sink: &mut (dyn FnMut(Bytes) + Send),
    ) -> Result<Ended> {
        let mut spec = self.one_off_spec(
            app,
            release,
            image,
            random_index(),
            command.command,
            &command.process,
        );
        spec.environment.extend(command.environment);
        spec.output = Output::Attached { terminal: None };
        let (id, name, now) = (spec.id.clone(), spec.labels.display_name(), now_ms());
        let view = InstanceView {
            id: instance_uuid(&id),
            name: name.clone(),
            process: command.process,
            state: InstanceDisplayState::Up,
            reason: None,
            size: self.limits_of(app, &spec.labels.process).size.0.name,
            command: command.command.to_owned(),
            release: release.version,
            created_at: now,
            updated_at: now,
        };
        let platform_source = format!("heroku[{name}]");
        let starting = format!("Starting process with command `{}`", command.command);
        self.logs().append(app.id, &platform_source, &starting);
        self.track_one_off(app.id, &id, &view);
        let attached = match self.driver().start_attached(spec).await {
            Ok(attached) => attached,
            Err(error) => {
                self.app_tasks().one_offs().remove(&id);
                return Err(PlatformError::Invalid(format!(
                    "{name} could not be started: {error}"
                )));
            }
        };
        self.logs().append(app.id, &platform_source, "State changed from starting to up");
        let mut attached = self.watch_attached(attached);
        let _ = attached.input.send(AttachedInput::StdinClosed).await;
        let mut lines = Lines { pending: Vec::new(), last: VecDeque::new() };
        let source = format!("app[{name}]");
        let mut log = |line: &str| self.logs().append(app.id, &source, line);
        let drive = async {
            loop {
                match attached.output.recv().await {
                    Some(AttachedOutput::Stdout(bytes) | AttachedOutput::Stderr(bytes)) => {
                        lines.add(&bytes, &mut log);
                        sink(bytes);
                    }
                    Some(AttachedOutput::Exited(status)) => break Some(status),
                    None => break None,
                }
            }
        };
        let ended = tokio::time::timeout(command.limit, drive).await;
        // Kills it if it still runs.
        drop(attached);
        lines.end(&mut log);
        let status = match ended {
            Ok(Some(status)) => Some(status),
            Ok(None) => {
                return Err(PlatformError::Invalid(format!("{name} was lost: try again.")));
            }
            Err(_) => None,
        };
        Ok(Ended { status, last_lines: lines.last.into() })
    }
}

/// Cuts output into lines.
struct Lines {
    pending: Vec<u8>,
    last: VecDeque<String>,
}

impl Lines {
    fn add(&mut self, bytes: &[u8], log: &mut impl FnMut(&str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.pending.len() >= LONGEST_LINE {
                self.flush(log);
            }
        }
    }

    fn end(&mut self, log: &mut impl FnMut(&str)) {
        if !self.pending.is_empty() {
            self.flush(log);
        }
    }

    fn flush(&mut self, log: &mut impl FnMut(&str)) {
        let line = String::from_utf8_lossy(&self.pending);
        let line = line.trim_end_matches(['\r', '\n']).to_owned();
        self.pending.clear();
        log(&line);
        if self.last.len() == LINES_SHOWN {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_cut_into_lines_and_the_last_ones_are_kept() {
        let mut lines = Lines { pending: Vec::new(), last: VecDeque::new() };
        let mut logged = Vec::new();
        let mut log = |line: &str| logged.push(line.to_owned());
        for chunk in ["a\r\nb", "c\n", "\n"] {
            lines.add(chunk.as_bytes(), &mut log);
        }
        for number in 0..20 {
            lines.add(format!("{number}\n").as_bytes(), &mut log);
        }
        lines.add(b"no end", &mut log);
        lines.end(&mut log);
        lines.end(&mut log);
        assert_eq!(logged[..3], ["a", "bc", ""]);
        assert_eq!((logged.len(), logged.last().unwrap().as_str()), (24, "no end"));
        assert_eq!((lines.last.len(), lines.last[0].as_str()), (LINES_SHOWN, "11"));
    }
}
