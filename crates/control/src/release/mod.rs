//! Release: an image and config vars under a number. Every change of either makes one.

mod config_vars;
mod image;
mod releases;

pub(crate) use releases::ReleaseRequest;
