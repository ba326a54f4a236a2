//! What Heroku's CLI says to the exec manager, before it connects by SSH.

use serde::{Deserialize, Serialize};

/// `PUT /api/v2/:dyno`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct ExecKey {
    /// `ssh-rsa AAAA…`; its private half never leaves the client.
    pub client_key: String,
}

/// Where to log in with that key.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct ExecAccess {
    /// The host that answers at port 80.
    pub tunnel_host: String,
    /// The user name there.
    pub client_user: String,
    /// The host's own key: `ssh-ed25519 AAAA…`.
    pub proxy_public_key: String,
    /// The dyno's address on the private network; empty where it has none.
    pub dyno_ip: String,
}

/// `GET /api/v2`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct ExecDyno {
    /// For example `web.1`.
    pub dyno_name: String,
}
