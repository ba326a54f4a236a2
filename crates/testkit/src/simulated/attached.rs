//! Whoever is attached to a simulated instance or to a command inside one.

use super::behaviour::Behaviour;
use super::driver::{SimulatedDriver, exit_status};
use bytes::Bytes;
use std::future::pending;
use std::sync::Weak;
use tokio::sync::{broadcast, mpsc};
use windlass_core::driver::{Attached, AttachedInput, AttachedOutput, InstanceEvent};
use windlass_core::ids::InstanceId;
use windlass_core::instance::{ExitStatus, ObservedInstance};

/// The process's ends of what somebody is attached to.
pub(super) struct Ends {
    id: InstanceId,
    output: mpsc::Sender<AttachedOutput>,
    /// `None` when nobody can send anything any more.
    input: Option<mpsc::Receiver<AttachedInput>>,
    events: broadcast::Receiver<InstanceEvent>,
}

/// What a process learns from outside.
pub(super) enum Next {
    Input(AttachedInput),
    /// The instance has ended.
    Ended(ExitStatus),
    /// Nobody reads any more.
    Left,
}

impl Ends {
    /// Connects somebody. `events` must have been subscribed to while the instance ran.
    pub fn connect(
        instance: ObservedInstance,
        events: broadcast::Receiver<InstanceEvent>,
    ) -> (Self, Attached) {
        let (input, from_client) = mpsc::channel(16);
        let (to_client, output) = mpsc::channel(16);
        let id = instance.spec.id.clone();
        let ends = Self { id, output: to_client, input: Some(from_client), events };
        (ends, Attached { instance, output, input })
    }

    pub async fn say(&self, bytes: Bytes) {
        let _ = self.output.send(AttachedOutput::Stdout(bytes)).await;
    }

    pub async fn end(self, status: ExitStatus) {
        let _ = self.output.send(AttachedOutput::Exited(status)).await;
    }

    /// Waits for the next thing. An input that is dropped is one that is closed.
    pub async fn next(&mut self) -> Next {
        let Self { id, output, input, events } = self;
        let received = async {
            match input {
                Some(input) => input.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            () = output.closed() => Next::Left,
            status = end_of(id, events) => Next::Ended(status),
            received = received => Next::Input(received.unwrap_or_else(|| {
                *input = None;
                AttachedInput::StdinClosed
            })),
        }
    }
}

async fn end_of(id: &InstanceId, events: &mut broadcast::Receiver<InstanceEvent>) -> ExitStatus {
    loop {
        match events.recv().await {
            Ok(InstanceEvent::Exited { id: ended, status }) if ended == *id => return status,
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => pending().await,
        }
    }
}

/// An attached instance. It ends with the runtime that it is on, as one does with its server.
pub(super) struct AttachedInstance {
    driver: Weak<SimulatedDriver>,
    id: InstanceId,
}

impl AttachedInstance {
    pub fn new(driver: Weak<SimulatedDriver>, id: InstanceId) -> Self {
        Self { driver, id }
    }

    /// Does what it does until it ends. Serving is sending back what it is sent.
    pub async fn run(self, does: Behaviour, mut ends: Ends) {
        let by_itself = async {
            match does.at_once().await {
                Some(end) => end,
                None => pending().await,
            }
        };
        tokio::pin!(by_itself);
        let echoes = matches!(does, Behaviour::Serve | Behaviour::IgnoreTerm);
        let code = loop {
            tokio::select! {
                biased;
                (says, code) = &mut by_itself => {
                    ends.say(says).await;
                    break code;
                }
                next = ends.next() => match next {
                    Next::Input(AttachedInput::Stdin(bytes)) => ends.say(bytes).await,
                    Next::Input(AttachedInput::StdinClosed) if echoes => break 0,
                    Next::Input(AttachedInput::Signal(number)) => break 128 + number,
                    Next::Input(AttachedInput::Resize(_) | AttachedInput::StdinClosed) => {}
                    Next::Ended(status) => return ends.end(status).await,
                    // Being dropped ends it.
                    Next::Left => return,
                }
            }
        };
        let mut status = exit_status(code);
        if let Some(driver) = self.driver.upgrade() {
            driver.end(&self.id, status.clone());
            status = driver.end_of(&self.id).unwrap_or(status);
        }
        ends.end(status).await;
    }
}

impl Drop for AttachedInstance {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.upgrade() {
            let reason = Some("whoever was attached to it went away".to_owned());
            driver.end(&self.id, ExitStatus { reason, ..exit_status(137) });
        }
    }
}
