//! How long each stage of a push took: kept beside the build's output, read by the push bench.

use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Instant;
use windlass_core::ids::BuildId;

/// Stage name to milliseconds.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Timings {
    #[serde(skip)]
    pub build: Option<BuildId>,
    #[serde(flatten)]
    stages: BTreeMap<String, f64>,
    #[serde(skip)]
    running: Option<(&'static str, Instant)>,
}

impl Timings {
    /// Ends the stage that runs and begins another.
    pub(crate) fn start(&mut self, stage: &'static str) {
        self.stop();
        self.running = Some((stage, Instant::now()));
    }

    pub(crate) fn stop(&mut self) {
        if let Some((stage, since)) = self.running.take() {
            *self.stages.entry(stage.to_owned()).or_default() +=
                since.elapsed().as_secs_f64() * 1e3;
        }
    }

    /// Adds what the builder script measured inside its container (`detect_ms` …).
    pub(crate) fn add_stages(&mut self, stages: &BTreeMap<String, f64>) {
        self.stages.extend(stages.iter().map(|(name, ms)| (name.clone(), *ms)));
    }
}
