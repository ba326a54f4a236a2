//! One-off instances: `run`, attached to a client or detached.

use super::attached::Holder;
use super::time_limit::{Limited, TimeLimit};
use super::views::{InstanceDisplayState, InstanceView, instance_uuid};
use crate::platform::now_ms;
use crate::records::{App, User};
use crate::{Platform, PlatformError, Result};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use windlass_core::driver::{Attached, AttachedOutput, ExecCommand};
use windlass_core::ids::{AppId, InstanceId};
use windlass_core::instance::{ExitStatus, InstanceSpec, ObservedInstance, Output, TerminalSize};
use windlass_core::names::ProcessType;

/// A client that asked for an attached one-off has this long to attach (Heroku: about 30 s).
const ATTACH_TIMEOUT: Duration = Duration::from_secs(30);
/// SIGTERM to SIGKILL for a one-off that somebody stops.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct OneOffRequest {
    pub command: String,
    pub attach: bool,
    pub environment: BTreeMap<String, String>,
    /// A terminal of this size; `None` for pipes. Only for attached ones.
    pub terminal: Option<TerminalSize>,
    /// It is stopped after so long; `None` is `run.timeout`, which is also the most.
    pub time_limit: Option<Duration>,
    /// The name of a size; `None` is that of the process type `run`.
    pub size: Option<String>,
}

#[derive(Clone, Debug)]
pub struct OneOff {
    pub view: InstanceView,
    /// Opens the attached connection once, within 30 s.
    pub attach_secret: Option<String>,
}

pub(crate) struct RunningOneOff {
    app: AppId,
    view: InstanceView,
    pub(super) time_limit: Option<TimeLimit>,
}

/// What starts when its client attaches.
pub(super) enum What {
    OneOff(Box<InstanceSpec>),
    /// A command inside an instance that runs.
    Exec(InstanceId, ExecCommand),
}

pub(crate) struct Attachable {
    holder: Holder,
    what: What,
    view: InstanceView,
    until: Instant,
}

impl Attachable {
    pub(super) fn new(user: &User, app: &App, what: What, view: InstanceView) -> Self {
        let holder = Holder { user: user.id, token: None, app: app.id };
        Self { holder, what, view, until: Instant::now() + ATTACH_TIMEOUT }
    }
}

impl Platform {
    /// Starts a command on the current release's image and config. An attached one starts when its
    /// client attaches, as on Heroku.
    pub async fn run_one_off(
        &self,
        user: &User,
        app: &App,
        request: OneOffRequest,
    ) -> Result<OneOff> {
        let release = self.current_release(app)?;
        let Some(image) = release.image.clone() else {
            return Err(PlatformError::Invalid(format!(
                "Nothing has been deployed to {} yet: push it first.",
                app.name
            )));
        };
        let process: ProcessType = "run".parse()?;
        let time_limit = self.time_limit(request.time_limit)?;
        let limits = self.one_off_limits(app, request.size.as_deref())?;
        // A command that is the name of a process type runs that type's command.
        let command = match request
            .command
            .parse::<ProcessType>()
            .ok()
            .and_then(|p| release.processes.get(&p))
        {
            Some(command) => command.clone(),
            None => request.command.clone(),
        };
        let named = request.command.parse::<ProcessType>().ok();
        let image = named.and_then(|process| release.image_of(&process).cloned()).unwrap_or(image);
        let mut spec = self.one_off_spec(app, &release, &image, random_index(), &command, &process);
        spec.resources = limits.resources();
        spec.labels.time_limit_ms =
            time_limit.map(|t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX));
        for (name, value) in request.environment {
            spec.environment.insert(name, value);
        }
        let name = spec.labels.display_name();
        let now = now_ms();
        let mut view = InstanceView {
            id: instance_uuid(&spec.id),
            name: name.clone(),
            process,
            state: InstanceDisplayState::Starting,
            reason: None,
            size: limits.size.0.name,
            command,
            release: release.version,
            created_at: now,
            updated_at: now,
        };
        self.logs().append(
            app.id,
            "app[api]",
            &format!("Starting process with command `{}` by user {}", request.command, user.email),
        );
        if request.attach {
            spec.output = Output::Attached { terminal: request.terminal };
            let waiting = Attachable::new(user, app, What::OneOff(Box::new(spec)), view.clone());
            let secret = self.wait_for_client(waiting);
            return Ok(OneOff { view, attach_secret: Some(secret) });
        }
        view.state = InstanceDisplayState::Up;
        self.track_one_off(app.id, &spec.id, &view);
        match self.driver().start(spec.clone()).await {
            Ok(started) => self.limit_time_of(&started, None),
            Err(error) => {
                self.app_tasks().one_offs().remove(&spec.id);
                return Err(PlatformError::Invalid(format!(
                    "{name} could not be started: {error}"
                )));
            }
        }
        Ok(OneOff { view, attach_secret: None })
    }

    /// Keeps what starts when its client attaches. Returns the secret that the client needs.
    pub(super) fn wait_for_client(&self, waiting: Attachable) -> String {
        let secret = crate::access::random_secret();
        let mut attachable = self.app_tasks().attachable();
        attachable.retain(|_, waiting| waiting.until > Instant::now());
        attachable.insert(secret.clone(), waiting);
        secret
    }

    /// Stops a one-off that has just been started, or taken over, when its time is up.
    fn limit_time_of(
        &self,
        instance: &ObservedInstance,
        client: Option<mpsc::WeakSender<AttachedOutput>>,
    ) {
        let labels = &instance.spec.labels;
        let Some(limit) = labels.time_limit_ms else { return };
        let remaining = instance.started_at_ms.saturating_add(limit).saturating_sub(now_ms());
        let limited = Limited {
            app: labels.app,
            id: instance.spec.id.clone(),
            name: labels.display_name(),
            limit: Duration::from_millis(limit),
            client,
        };
        self.limit_time(limited, Duration::from_millis(remaining));
    }

    /// Starts what the secret stands for. Dropping what is returned kills it, and so does the loss
    /// of the app by whoever asked for it.
    ///
    /// # Errors
    /// `NotFound` for a secret that is none or too old, and what [`Platform::app_to`] says to who
    /// may not any more.
    pub async fn attach(&self, secret: &str) -> Result<Attached> {
        let waiting = self.app_tasks().attachable().remove(secret);
        let waiting = waiting
            .filter(|waiting| waiting.until > Instant::now())
            .ok_or(PlatformError::NotFound { resource: "dyno" })?;
        let holder = waiting.holder;
        self.require_holder(holder)?;
        let attached = match waiting.what {
            What::OneOff(spec) => self.start_one_off(holder.app, *spec, waiting.view).await?,
            What::Exec(id, command) => self.start_exec(&waiting.view.name, &id, command).await?,
        };
        Ok(self.while_held(holder, attached))
    }

    async fn start_one_off(
        &self,
        app: AppId,
        spec: InstanceSpec,
        view: InstanceView,
    ) -> Result<Attached> {
        let id = spec.id.clone();
        let view = InstanceView { state: InstanceDisplayState::Up, ..view };
        self.track_one_off(app, &id, &view);
        match self.driver().start_attached(spec).await {
            Ok(attached) => {
                self.log_one_off(app, &view.name, "State changed from starting to up");
                Ok(self.watch_attached(attached))
            }
            Err(error) => {
                self.app_tasks().one_offs().remove(&id);
                Err(PlatformError::Invalid(format!("{} could not be started: {error}", view.name)))
            }
        }
    }

    /// Passes the output on and notes the end, also when the client goes away.
    pub(super) fn watch_attached(&self, attached: Attached) -> Attached {
        let (sender, output) = mpsc::channel(16);
        let Attached { instance, output: mut source, input } = attached;
        self.limit_time_of(&instance, Some(sender.downgrade()));
        let (platform, id) = (self.clone(), instance.spec.id.clone());
        tokio::spawn(async move {
            let lost = || ExitStatus::of_code(129, Some("its client went away".into()), now_ms());
            let status = loop {
                tokio::select! {
                    item = source.recv() => match item {
                        Some(AttachedOutput::Exited(status)) => {
                            let _ = sender.send(AttachedOutput::Exited(status.clone())).await;
                            break status;
                        }
                        Some(item) => if sender.send(item).await.is_err() { break lost() },
                        None => break lost(),
                    },
                    () = sender.closed() => break lost(),
                }
            };
            drop(source);
            platform.one_off_exited(&id, &status).await;
        });
        Attached { instance, output, input }
    }

    pub(super) fn track_one_off(&self, app: AppId, id: &InstanceId, view: &InstanceView) {
        self.app_tasks()
            .one_offs()
            .insert(id.clone(), RunningOneOff { app, view: view.clone(), time_limit: None });
    }

    pub(super) fn adopt_one_off(&self, instance: &ObservedInstance) {
        let labels = &instance.spec.labels;
        let view = InstanceView {
            id: instance_uuid(&instance.spec.id),
            name: labels.display_name(),
            process: labels.process.clone(),
            state: InstanceDisplayState::Up,
            reason: None,
            size: windlass_core::process_limits::size_of(&instance.spec.resources).name,
            command: instance.spec.command.last().cloned().unwrap_or_default(),
            release: labels.release.unwrap_or(0),
            created_at: instance.started_at_ms,
            updated_at: instance.started_at_ms,
        };
        self.track_one_off(labels.app, &instance.spec.id, &view);
        self.limit_time_of(instance, None);
    }

    pub(super) async fn one_off_exited(&self, id: &InstanceId, status: &ExitStatus) {
        let Some(one_off) = self.app_tasks().one_offs().remove(id) else { return };
        let name = &one_off.view.name;
        if status.out_of_memory {
            self.log_one_off(one_off.app, name, "Error R15 (Memory quota vastly exceeded)");
        }
        self.log_one_off(one_off.app, name, &format!("Process exited with status {}", status.code));
        self.log_one_off(one_off.app, name, "State changed from up to complete");
        self.cron_instance_exited(id, status).await;
        // One whose client went away may still be ending.
        super::effects::kill_and_forget(self.driver(), id).await;
    }

    fn log_one_off(&self, app: AppId, name: &str, message: &str) {
        self.logs().append(app, &format!("heroku[{name}]"), message);
    }

    pub(super) fn one_off_views(&self, app: AppId) -> Vec<InstanceView> {
        self.app_tasks()
            .one_offs()
            .values()
            .filter(|one| one.app == app)
            .map(|one| one.view.clone())
            .collect()
    }

    /// Stops the one-off of that name; false when there is none.
    pub(super) async fn stop_one_off(&self, app: AppId, name: &str) -> Result<bool> {
        let id = {
            let one_offs = self.app_tasks().one_offs();
            let found = one_offs.iter().find(|(_, one)| one.app == app && one.view.name == name);
            found.map(|(id, _)| id.clone())
        };
        let Some(id) = id else { return Ok(false) };
        self.driver().stop(&id, STOP_GRACE).await?;
        Ok(true)
    }

    /// Stops every one-off of an app that is being destroyed.
    pub(crate) async fn stop_one_offs(&self, app: AppId) {
        for view in self.one_off_views(app) {
            if let Err(error) = self.stop_one_off(app, &view.name).await {
                tracing::warn!(name = view.name, %error, "a one-off could not be stopped");
            }
        }
    }
}

/// Returns a number from 1000 to 9999, as Heroku gives its one-offs.
pub(super) fn random_index() -> u32 {
    let mut bytes = [0u8; 4];
    let _ = SystemRandom::new().fill(&mut bytes);
    1_000 + u32::from_le_bytes(bytes) % 9_000
}
