//! Release: an image and config vars under a number. Every change of either makes one.

mod config_vars;
mod container;
mod image;
mod image_archive;
mod phase;
mod releases;
mod slug;
mod slug_files;
mod stack;

pub(crate) use config_vars::check_size as check_config_vars;
pub(crate) use config_vars::check_value as check_config_var;
pub use container::ImageChange;
pub use image_archive::ImageUpload;
pub(crate) use phase::{AfterDeploy, DeployOptions, ScriptEnded};
pub(crate) use releases::ReleaseRequest;
pub use slug::{SlugArchive, SlugRequest};
pub use slug_files::SlugUpload;
pub(crate) use stack::Stacks;
pub use stack::{BUILDPACK_STACK, CONTAINER_STACK};
