//! Git over HTTP and SSH. The system's `git` negotiates packs and stores them; the platform's
//! hooks, which it runs, build and release.

mod child;
mod command;
pub(crate) mod http;
mod ssh;

pub(crate) use ssh::SshConnection;
