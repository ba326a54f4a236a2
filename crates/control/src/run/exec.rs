//! Commands inside an instance that runs: `ps:exec`.

use super::one_off::{Attachable, OneOff, What};
use super::specification::{launch_command, slug_command};
use super::views::{InstanceDisplayState, InstanceView, instance_uuid};
use crate::records::{App, User};
use crate::{Platform, PlatformError, Result};
use std::collections::BTreeMap;
use windlass_core::driver::{Attached, DriverError, ExecCommand};
use windlass_core::ids::InstanceId;
use windlass_core::instance::{InstanceSpec, InstanceState, ObservedInstance, TerminalSize};

/// What to run inside an instance.
#[derive(Clone, Debug)]
pub struct ExecRequest {
    pub command: ExecLine,
    /// Beside the instance's own.
    pub environment: BTreeMap<String, String>,
    /// A terminal of this size; `None` for pipes.
    pub terminal: Option<TerminalSize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecLine {
    /// The image's shell: `bash` where it has one.
    Shell,
    /// A line for the image's shell, run as the app's own command is.
    Line(String),
    /// A program and its arguments, without a shell.
    Words(Vec<String>),
}

impl ExecLine {
    fn text(&self) -> String {
        match self {
            Self::Shell => "a shell".to_owned(),
            Self::Line(line) => format!("`{line}`"),
            Self::Words(words) => format!("`{}`", words.join(" ")),
        }
    }
}

impl Platform {
    /// Prepares a command inside the instance that `view` shows; it starts when the client
    /// attaches, within 30 s.
    ///
    /// # Errors
    /// `Conflict` when the instance does not run, `Invalid` for an empty command.
    pub async fn exec(
        &self,
        user: &User,
        app: &App,
        view: InstanceView,
        request: ExecRequest,
    ) -> Result<OneOff> {
        if request.command == ExecLine::Words(Vec::new()) {
            return Err(PlatformError::Invalid("There is no command to run.".to_owned()));
        }
        let spec = self.running_instance(app, &view).await?.spec;
        let message =
            format!("Running {} in {} by user {}", request.command.text(), view.name, user.email);
        self.logs().append(app.id, "app[api]", &message);
        let command = self.exec_command(&spec, request);
        let what = What::Exec(spec.id, command);
        let secret = self.wait_for_client(Attachable::new(user, app, what, view.clone()));
        Ok(OneOff { view, attach_secret: Some(secret) })
    }

    /// Returns what runs behind `view`.
    pub(super) async fn running_instance(
        &self,
        app: &App,
        view: &InstanceView,
    ) -> Result<ObservedInstance> {
        let runs = matches!(view.state, InstanceDisplayState::Up | InstanceDisplayState::Starting);
        let observed = if runs { self.driver().observe().await? } else { Vec::new() };
        let found = observed.into_iter().find(|instance| {
            instance.state == InstanceState::Running
                && instance.spec.labels.app == app.id
                && instance_uuid(&instance.spec.id) == view.id
        });
        found.ok_or_else(|| {
            let (name, state) = (&view.name, view.state.as_str());
            PlatformError::Conflict(format!(
                "{name} does not run (it is {state}). See windlass ps."
            ))
        })
    }

    pub(super) fn exec_command(&self, spec: &InstanceSpec, request: ExecRequest) -> ExecCommand {
        ExecCommand {
            command: self.exec_words(spec, request.command),
            environment: request.environment,
            terminal: request.terminal,
        }
    }

    /// Returns what is executed. The shell of a slug reads `.profile.d` first, as for the app
    /// itself, so that both see the same `PATH`.
    fn exec_words(&self, spec: &InstanceSpec, line: ExecLine) -> Vec<String> {
        let container = match slug_command(&spec.command) {
            Some(_) => None,
            None => self.container_image(&spec.image),
        };
        match (line, container) {
            (ExecLine::Words(words), _) => words,
            (ExecLine::Shell, Some(container)) => vec![container.shell().to_owned()],
            (ExecLine::Line(line), Some(container)) => container.command(&line),
            (ExecLine::Shell, None) => launch_command("bash"),
            (ExecLine::Line(line), None) => launch_command(&line),
        }
    }

    /// Starts a prepared command. Dropping what is returned kills it.
    pub(super) async fn start_exec(
        &self,
        name: &str,
        id: &InstanceId,
        command: ExecCommand,
    ) -> Result<Attached> {
        self.driver().exec(id, command).await.map_err(|error| {
            PlatformError::Invalid(match error {
                DriverError::CommandNotFound(why) => format!("{name} has no such command: {why}"),
                DriverError::NoSuchInstance(_) => format!("{name} has ended meanwhile."),
                error => format!("The command could not be started in {name}: {error}"),
            })
        })
    }
}
