//! Heroku's router lines in the logs of apps.

mod line;
mod writer;

pub(crate) use line::{ErrorCode, Record};
pub(crate) use writer::AccessLog;
