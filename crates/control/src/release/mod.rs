//! Release: an image and config vars under a number. Every change of either makes one.

mod config_vars;
mod image;
mod image_archive;
mod phase;
mod releases;

pub(crate) use config_vars::check_size as check_config_vars;
pub use image_archive::ImageUpload;
pub(crate) use phase::{AfterDeploy, DeployOptions};
pub(crate) use releases::ReleaseRequest;
