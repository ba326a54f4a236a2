//! The release phase: commands that run on a new release before anything of it is served. A release
//! whose commands fail is never deployed.

use crate::build::BuildOutput;
use crate::platform::now_ms;
use crate::records::{App, Release, ReleaseStatus};
use crate::run::{Command, Ended};
use crate::{Platform, PlatformError, Result};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tokio::sync::mpsc;
use windlass_core::app_json::Script;
use windlass_core::names::ProcessType;

/// Is told of a new release.
pub(crate) type Created<'a> = Box<dyn FnOnce(&Release) + Send + 'a>;

/// What a deploy adds to making a release.
#[derive(Default)]
pub(crate) struct DeployOptions<'a> {
    /// Who is told what the commands say.
    pub output: Option<&'a mut BuildOutput>,
    /// Runs before the release command.
    pub predeploy: Option<Script>,
    /// Whether the app's canary strategy applies: for new code.
    pub may_be_canary: bool,
    /// Quantities of process types that have none yet.
    pub formation: BTreeMap<ProcessType, u32>,
    /// Called as soon as there is a release, before anything of it runs.
    pub created: Option<Created<'a>>,
}

/// How a script after a deploy ended.
pub(crate) struct ScriptEnded {
    /// Its last 64 KiB.
    pub output: String,
    pub code: i32,
}

/// More of what a script said is not kept, in bytes.
const SCRIPT_OUTPUT_BYTES: usize = 64 << 10;

/// Scripts that run once a deploy is served.
pub(crate) struct AfterDeploy {
    pub release: Release,
    pub scripts: Vec<Script>,
}

impl Platform {
    /// Runs the predeploy script and the `release` process type. An error is the reason why the
    /// release failed.
    pub(super) async fn run_release_phase(
        &self,
        app: &App,
        release: &Release,
        options: &mut DeployOptions<'_>,
    ) -> Result<()> {
        if release.image.is_none() {
            return Ok(());
        }
        let predeploy = options.predeploy.take().map(|script| ("predeploy", script));
        let release_command = release.processes.iter().find(|(process, _)| process.is_release());
        let release_command = release_command.map(|(_, command)| {
            ("release", Script { command: command.clone(), env: BTreeMap::new() })
        });
        let mut kept = BuildOutput::to_nobody();
        if predeploy.is_some() || release_command.is_some() {
            kept.keep_in(&self.release_output_file(release));
        }
        for (process, script) in predeploy.into_iter().chain(release_command) {
            let output = &mut options.output;
            self.run_phase_command(app, release, process, &script, &mut kept, output).await?;
        }
        Ok(())
    }

    /// Runs the scripts of app.json that come after a deploy. The deploy stands if they fail.
    /// Returns how the last one that was run ended.
    pub(crate) async fn run_after_deploy(
        &self,
        app: &App,
        after: AfterDeploy,
        output: &mut BuildOutput,
    ) -> Option<ScriptEnded> {
        let mut last = None;
        for script in &after.scripts {
            let (sender, mut said) = mpsc::unbounded_channel();
            let mut kept = BuildOutput::to(sender);
            let mut told = Some(&mut *output);
            let release = &after.release;
            let ran =
                self.phase_command(app, release, "postdeploy", script, &mut kept, &mut told).await;
            drop(kept);
            let (code, error) = match ran {
                Ok(ended) => {
                    let code = ended.status.as_ref().map_or(-1, |status| status.code);
                    (code, self.failure("postdeploy", &ended))
                }
                Err(error) => (-1, Some(error.to_string())),
            };
            let mut text = Vec::new();
            while let Ok(bytes) = said.try_recv() {
                text.extend_from_slice(&bytes);
            }
            let text = &text[text.len().saturating_sub(SCRIPT_OUTPUT_BYTES)..];
            last = Some(ScriptEnded { output: String::from_utf8_lossy(text).into_owned(), code });
            if let Some(error) = error {
                output.error(&format!(
                    "{error}. The release is served all the same; `windlass run` runs the command again."
                ));
            }
        }
        last
    }

    /// Runs what app.json wants to run before a review app is destroyed; it goes either way.
    pub(crate) async fn run_predestroy(&self, app: &App) -> Result<()> {
        let release = self.current_release(app)?;
        let Some(script) = release.manifest.predestroy.clone() else { return Ok(()) };
        let mut nobody = BuildOutput::to_nobody();
        self.run_phase_command(app, &release, "predestroy", &script, &mut nobody, &mut None).await
    }

    async fn run_phase_command(
        &self,
        app: &App,
        release: &Release,
        process: &'static str,
        script: &Script,
        kept: &mut BuildOutput,
        output: &mut Option<&mut BuildOutput>,
    ) -> Result<()> {
        if release.image.is_none() {
            return Ok(());
        }
        let ended = self.phase_command(app, release, process, script, kept, output).await?;
        let Some(reason) = self.failure(process, &ended) else { return Ok(()) };
        // Who saw all of it needs no repetition.
        let shown = match output {
            None if !ended.last_lines.is_empty() => {
                format!("{reason}\nIts last lines:\n{}", ended.last_lines.join("\n"))
            }
            _ => reason,
        };
        Err(PlatformError::ReleaseFailed(shown))
    }

    async fn phase_command(
        &self,
        app: &App,
        release: &Release,
        process: &'static str,
        script: &Script,
        kept: &mut BuildOutput,
        output: &mut Option<&mut BuildOutput>,
    ) -> Result<Ended> {
        let missing = PlatformError::NotFound { resource: "image" };
        let process: ProcessType = process.parse()?;
        let image = release.image_of(&process).ok_or(missing)?;
        if let Some(output) = output {
            output.heading(&format!("Running {process} command..."));
        }
        let mut sink = |bytes: Bytes| {
            kept.write(bytes.clone());
            if let Some(output) = output {
                output.write(bytes);
            }
        };
        let command = Command {
            process,
            command: &script.command,
            environment: script.env.clone(),
            limit: self.settings().release_timeout,
        };
        self.run_to_end(app, release, image, command, &mut sink).await
    }

    /// Returns why a command failed; `None` if it did not.
    fn failure(&self, process: &str, ended: &Ended) -> Option<String> {
        let Some(status) = &ended.status else {
            let seconds = self.settings().release_timeout.as_secs();
            return Some(format!(
                "the {process} command took longer than its limit of {seconds} seconds (release_timeout) and was stopped"
            ));
        };
        if status.code == 0 {
            return None;
        }
        if status.out_of_memory {
            let megabytes = self.settings().instance.memory_bytes >> 20;
            return Some(format!(
                "the {process} command was killed: it needed more than its memory limit of {megabytes}M"
            ));
        }
        let why = status.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        Some(format!("the {process} command exited with status {}{why}", status.code))
    }

    /// Marks a release as failed before it was handed to the app's task.
    pub(super) fn fail_release(&self, release: &Release, reason: &str) {
        if let Err(error) = self.store().fail_release(release.id, reason, now_ms()) {
            tracing::error!(release = %release.id, %error, "a failed release could not be marked");
        }
        let first = reason.lines().next().unwrap_or_default();
        let message = format!("Release v{} failed: {first}", release.version);
        self.logs().append(release.app, "app[api]", &message);
    }

    /// Returns what the release phase of a release said, from the beginning to its end.
    pub fn release_output(&self, release: &Release) -> mpsc::Receiver<Bytes> {
        let (platform, app, version) = (self.clone(), release.app, release.version);
        crate::build::follow(self.release_output_file(release), move || {
            let now = platform.store().release(app, version);
            matches!(now, Ok(Some(now)) if now.status == ReleaseStatus::Pending)
        })
    }

    /// Whether the release had a release phase.
    #[must_use]
    pub fn has_release_output(&self, release: &Release) -> bool {
        self.release_output_file(release).exists()
    }

    fn release_output_file(&self, release: &Release) -> PathBuf {
        let directory = self.settings().data_directory.join("builds").join(release.app.to_string());
        directory.join(format!("release-{}.log", release.id))
    }
}
