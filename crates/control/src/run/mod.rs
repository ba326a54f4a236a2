//! Run: one task an app keeps its instances as the current release and the formation want them.

mod app_task;
mod command;
pub(crate) mod container_image;
mod deploy;
mod effects;
mod events;
mod health;
mod one_off;
mod operations;
mod routing;
mod specification;
mod takeover;
mod tasks;
mod views;

pub(crate) use app_task::Message;
pub(crate) use command::{Command, Ended};
pub(crate) use deploy::{Deploy, Deployed};
pub use one_off::{OneOff, OneOffRequest};
pub use operations::{Quantity, Selection};
pub(crate) use specification::{APP_USER, launch_command, slug_command};
pub(crate) use tasks::Apps;
pub use views::{FormationView, InstanceDisplayState, InstanceView};
