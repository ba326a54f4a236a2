//! Heroku's `ps:exec` over SSH: its CLI hands a key in over the API
//! ([`crate::heroku::exec_manager`]) and then connects with it to port 80 of this host, where the
//! router passes SSH connections on to here.
//!
//! Nothing runs on the host: every command, copy and connection is started inside the instance.

mod command;
mod connection;
mod copy;
mod forward;
mod packet;

pub(crate) use connection::ExecConnection;
