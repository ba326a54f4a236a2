use serde::{Deserialize, Serialize};

/// `POST /auth`: begins a login by a browser.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct BrowserLoginCreate {
    /// What the client is, for the person who decides.
    #[serde(default)]
    pub description: Option<String>,
}

/// Where it goes on. Both URLs are paths on the same server.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct BrowserLogin {
    /// For the person.
    pub browser_url: String,
    /// For the client, which waits there with `token`.
    pub cli_url: String,
    pub token: String,
}

/// How it ended: one of the two is there.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct BrowserLoginResult {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
