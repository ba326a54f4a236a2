use serde::{Deserialize, Serialize};

/// `GET /apps/:app/deploys`: how the app's deploys go, and what keeps them.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Deploys {
    /// `rolling`, `recreate` or `canary`.
    pub strategy: String,
    /// `null`: the whole new formation starts beside the old one.
    pub surge: Option<u32>,
    pub canary_percent: u8,
    /// `null`: the server's.
    pub drain_seconds: Option<u32>,
    /// `null`: the server's.
    pub grace_seconds: Option<u32>,
    /// From 0 to 100; a higher one starts first after a reboot.
    #[serde(default)]
    pub priority: u8,
    /// Whether the app was stopped as a whole.
    pub stopped: bool,
    pub lock: Option<DeployLock>,
    pub canary: Option<Canary>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct DeployLock {
    /// The e-mail address of whoever locked it.
    pub by: String,
    pub reason: Option<String>,
    pub created_at: String,
}

/// A release that gets a share of the requests beside the current one.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Canary {
    pub version: u32,
    pub percent: u8,
}

/// `PATCH /apps/:app/deploys`: what is left out stays as it is, `null` is the default.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct DeploysUpdate {
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Option<String>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub surge: Option<Option<u32>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub canary_percent: Option<Option<u8>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub drain_seconds: Option<Option<u32>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<Option<u32>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub priority: Option<Option<u8>>,
}

/// `POST /apps/:app/deploys/actions/lock`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct DeployLockCreate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Tells `null` from nothing.
fn given<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}
