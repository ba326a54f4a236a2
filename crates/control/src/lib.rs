//! The control plane: `receive → build → release → run → route → observe`.
//!
//! [`Platform`] is its face: every door (API, git, later others) calls its methods and nothing
//! else. Methods that change an app return when the change is in force or has failed.
#![forbid(unsafe_code)]

pub mod access;
pub mod acme;
mod apps;
pub mod backup;
pub mod build;
pub mod certificates;
pub mod distribution;
mod error;
mod features;
pub mod observe;
mod outgoing;
pub mod pipelines;
mod platform;
pub mod receive;
pub mod registry;
pub mod release;
pub mod route;
pub mod run;
mod settings;
pub mod volumes;
pub mod webhooks;
pub mod zone;

pub use error::{PlatformError, Result};
pub use outgoing::OutgoingSettings;
pub use platform::Platform;
pub use settings::{BuildSettings, InstanceSettings, PublicSettings, Settings, TunnelHost};
/// The name of this machine's processor, as image registries write it.
pub use windlass_oci::architecture;
/// The records that the platform's methods return.
pub use windlass_store as records;
