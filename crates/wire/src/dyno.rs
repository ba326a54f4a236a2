use crate::Reference;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `GET /apps/:app/dynos`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Dyno {
    pub id: String,
    pub name: String,
    #[serde(rename = "type")]
    pub process_type: String,
    /// `starting`, `up`, `idle`, `crashed` or `down`.
    pub state: String,
    /// Why it is in this state, in few words: `out of memory`, `status 1`. Heroku has no such field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub command: String,
    pub size: String,
    /// Where Heroku's clients attach: `rendezvous://HOST:PORT/SECRET`, see [`crate::rendezvous`].
    pub attach_url: Option<String>,
    /// Where ours does: for the HTTP upgrade of [`attach`]. Heroku has no such field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade_url: Option<String>,
    pub app: Reference,
    pub release: ReleaseReference,
    pub created_at: String,
    pub updated_at: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct ReleaseReference {
    pub id: String,
    pub version: u32,
}

/// `POST /apps/:app/dynos`: starts a one-off.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct DynoCreate {
    pub command: String,
    #[serde(default)]
    pub attach: bool,
    /// `TERM`, `COLUMNS`, `LINES` and others; numbers are taken as text.
    #[serde(default)]
    pub env: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    pub force_no_tty: Option<bool>,
    /// Seconds after which it is stopped.
    #[serde(default)]
    pub time_to_live: Option<u64>,
    #[serde(default)]
    pub size: Option<String>,
    #[serde(default, rename = "type")]
    pub process_type: Option<String>,
}

/// `POST /apps/:app/dynos/:dyno/actions/exec`: runs a command inside a dyno. Answered with the dyno
/// and an `upgrade_url`, as for an attached one-off.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct DynoExec {
    /// Without it: a shell.
    #[serde(default)]
    pub command: Option<ExecCommand>,
    /// As in [`DynoCreate`].
    #[serde(default)]
    pub env: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    pub force_no_tty: Option<bool>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum ExecCommand {
    /// A line for the image's shell.
    Line(String),
    /// A program and its arguments, without a shell.
    Words(Vec<String>),
}

/// What flows both ways over an attached connection (`upgrade_url`, HTTP upgrade `windlass-attach`):
/// one type byte, the payload's length as four bytes (little endian), the payload.
pub mod attach {
    /// Server to client.
    pub const STDOUT: u8 = 1;
    /// Server to client; only without a terminal.
    pub const STDERR: u8 = 2;
    /// Server to client, last frame: the exit code as four bytes (little endian).
    pub const EXIT: u8 = 3;
    /// Client to server.
    pub const STDIN: u8 = 4;
    /// Client to server: end of standard input.
    pub const STDIN_CLOSED: u8 = 5;
    /// Client to server: rows and columns, two bytes each (little endian).
    pub const RESIZE: u8 = 6;
    /// Client to server: a signal number, one byte.
    pub const SIGNAL: u8 = 7;
    /// Longer payloads are refused, in bytes.
    pub const MAXIMUM_PAYLOAD: usize = 1 << 20;
}
