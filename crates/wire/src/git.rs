use crate::Build;
use serde::{Deserialize, Serialize};

/// `POST /apps/:app/git-sync`: our own, Heroku has none.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct GitSyncCreate {
    /// Left out: as the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A branch, tag or commit.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Build only if the app's `main` is not there already.
    #[serde(default)]
    pub if_changed: bool,
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct GitSync {
    pub url: String,
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    pub commit: String,
    /// `null` if nothing has changed.
    pub build: Option<Build>,
}

/// `GET /apps/:app/git-key`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct GitKey {
    /// As a git host takes it: `ssh-ed25519 AAAA… app@windlass`.
    pub public_key: String,
}

/// `POST /apps/:app/git-webhook`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct GitWebhookCreate {
    /// Make another secret if there is one.
    #[serde(default)]
    pub rotate: bool,
}

/// `GET /apps/:app/git-webhook`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct GitWebhook {
    pub url: String,
    pub secret: String,
}

/// `PUT /account/git-credentials`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct GitCredentialCreate {
    /// `github.com`, or `http://host:port`.
    pub host: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    pub token: String,
}

/// `GET /account/git-credentials`; the token is never given back.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct GitCredential {
    /// With its scheme: `https://github.com`.
    pub host: String,
    pub username: String,
}
