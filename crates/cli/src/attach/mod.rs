//! The attached end of a one-off process: its streams over one upgraded connection.

mod connection;
mod frames;
mod pump;

pub use connection::{Connection, connect_to};
pub use pump::{Attachment, Signals, Sink};
