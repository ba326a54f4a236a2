//! Git over HTTP and SSH. The system's `git` negotiates packs and stores them; the platform's
//! hooks, which it runs, build and release.

mod child;
mod command;
pub(crate) mod http;
pub(crate) mod ssh;
pub(crate) mod ssh_session;
