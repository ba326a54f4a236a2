use serde::{Deserialize, Serialize};

/// `GET /registries`, `PUT /registries/:host`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Registry {
    /// A host name or address, and a port if it is not the usual one.
    pub host: String,
    /// Absent where images are pulled without a login.
    pub username: Option<String>,
    /// Plain HTTP and certificates that cannot be checked are taken.
    pub insecure: bool,
    pub updated_at: String,
}

/// `PUT /registries/:host` stores a login, once the registry has accepted it.
#[derive(Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct RegistryLogin {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    #[serde(default)]
    pub insecure: bool,
}

/// `POST /apps/:app/images/pull` deploys an image from a registry; it answers with the build.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct ImagePull {
    /// `HOST/NAME`, `HOST/NAME:TAG` or `HOST/NAME@sha256:DIGEST`.
    pub reference: String,
}
