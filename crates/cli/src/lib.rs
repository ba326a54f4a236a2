//! The client: one file a command.
