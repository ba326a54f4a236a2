use serde::{Deserialize, Serialize};

/// `GET /account/passkeys`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Passkey {
    pub id: String,
    pub name: String,
    /// The host at which browsers offer it.
    pub relying_party: String,
    /// Whether it is, or may be, on several devices of its owner.
    pub synced: bool,
    /// How browsers reach its device: `internal`, `usb`, `hybrid` and the like.
    pub transports: Vec<String>,
    pub created_at: String,
    pub last_used_at: Option<String>,
}

/// `PATCH /account/passkeys/:passkey`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PasskeyUpdate {
    pub name: String,
}

/// `POST /account/passkeys/links`: the page on which a browser adds passkeys. It opens in one
/// browser only.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PasskeyLink {
    pub url: String,
    pub expires_at: String,
}
