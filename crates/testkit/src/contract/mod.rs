//! What every driver promises, as tests over the port alone. Each driver runs all of them:
//! [`contract!`](crate::contract!) gives their names to a macro that makes a test of each.

mod attached;
mod beside;
mod instances;
mod takeover;

pub use attached::*;
pub use beside::*;
pub use instances::*;
pub use takeover::*;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use windlass_core::driver::{Attached, AttachedOutput, Driver};
use windlass_core::ids::{AppId, Digest, InstanceId};
use windlass_core::instance::{
    ExitStatus, InstanceSpec, InstanceState, ObservedInstance, Output, TerminalSize,
};

/// Gives the names of all contract tests to a macro.
#[macro_export]
macro_rules! contract {
    ($with:ident) => {
        $with! {
            starting_twice_starts_once,
            what_cannot_be_started_leaves_nothing,
            ends_are_observed_until_they_are_forgotten,
            ends_are_told_once,
            stopping_lets_it_end,
            stopping_kills_after_the_grace,
            what_runs_is_not_forgotten,
            attached_output_ends_with_the_exit_code,
            attached_input_arrives_until_it_is_closed,
            dropping_the_input_closes_it,
            attached_signals_arrive,
            dropping_what_is_attached_kills_it,
            an_attached_instance_is_stopped_as_any_other,
            an_identifier_is_attached_once,
            commands_run_beside_an_instance,
            commands_end_with_their_instance,
            commands_need_an_instance_that_runs,
            a_driver_opened_again_knows_what_it_knew,
            attached_instances_end_with_the_server,
            links_hold_until_others_are_said,
        }
    };
}

/// What an instance of the tests does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// Nothing, until it is told to end; attached, it sends back what it is sent and ends with 0
    /// when its input is closed.
    Wait,
    /// Says `crashing with CODE` and ends with that code.
    Exit(i32),
    /// As [`Does::Wait`], but SIGTERM does not end it.
    IgnoreTerm,
    /// Its command is not in the image.
    NotFound,
}

/// A driver of one kind, and what belongs to that kind.
pub trait Fixture: Sized {
    fn driver(&self) -> Arc<dyn Driver>;

    /// Returns an instance of [`Fixture::app`] with an identifier of its own, whose output goes
    /// to a log.
    fn spec(&self, does: Does) -> InstanceSpec;

    /// The app of all instances of whose app the test says nothing.
    fn app(&self) -> AppId;

    /// An image that this driver has not.
    fn unknown_image(&self) -> Digest;

    /// Waits until an instance that has been started is at what it does.
    fn at_work(&self, id: &InstanceId) -> impl Future<Output = ()>;

    /// Whether an instance of `from` gets an answer from one of `to`.
    fn reaches(&self, from: AppId, to: AppId) -> impl Future<Output = bool>;

    /// Lets the driver go as a server does that is stopped, and opens one over the same state.
    fn open_again(self) -> impl Future<Output = Self>;

    /// Ends everything, and fails when something is left.
    fn finish(self) -> impl Future<Output = ()>;
}

/// How long anything may take; virtual machines without help from the processor are slow.
const DEADLINE: Duration = Duration::from_secs(120);

/// A grace that is never needed.
const LONG: Duration = Duration::from_secs(60);

fn attached_spec(fixture: &impl Fixture, does: Does) -> InstanceSpec {
    let output = Output::Attached { terminal: None };
    InstanceSpec { output, ..fixture.spec(does) }
}

async fn start(fixture: &impl Fixture, does: Does) -> ObservedInstance {
    let started = fixture.driver().start(fixture.spec(does)).await.unwrap();
    fixture.at_work(&started.spec.id).await;
    started
}

async fn attach(fixture: &impl Fixture, does: Does) -> Attached {
    fixture.driver().start_attached(attached_spec(fixture, does)).await.unwrap()
}

async fn observe(fixture: &impl Fixture, id: &InstanceId) -> Option<ObservedInstance> {
    let all = fixture.driver().observe().await.unwrap();
    all.into_iter().find(|observed| observed.spec.id == *id)
}

/// Waits for an end to be observed.
async fn ended(fixture: &impl Fixture, id: &InstanceId) -> ExitStatus {
    let end = Instant::now() + DEADLINE;
    loop {
        match observe(fixture, id).await.expect("it was not forgotten").state {
            InstanceState::Exited(status) => return status,
            InstanceState::Running => assert!(Instant::now() < end, "{id} does not end"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Reads the output to its end. Returns it with the status that it ends with.
async fn read_to_end(attached: &mut Attached) -> (String, ExitStatus) {
    let mut text = String::new();
    loop {
        match next(attached).await.expect("an exit before the end") {
            AttachedOutput::Stdout(bytes) | AttachedOutput::Stderr(bytes) => {
                text.push_str(&String::from_utf8_lossy(&bytes));
            }
            AttachedOutput::Exited(status) => {
                assert_eq!(next(attached).await, None, "nothing comes after the exit");
                return (text, status);
            }
        }
    }
}

async fn next(attached: &mut Attached) -> Option<AttachedOutput> {
    tokio::time::timeout(DEADLINE, attached.output.recv()).await.expect("something comes")
}

const SIZE: TerminalSize = TerminalSize { rows: 24, columns: 80 };
