use serde::{Deserialize, Serialize};

/// `GET /apps/:app/buildpack-installations`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct BuildpackInstallation {
    /// Counted from 0.
    pub ordinal: usize,
    pub buildpack: Buildpack,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Buildpack {
    /// A URL, or `urn:buildpack:` and a name.
    pub url: String,
    pub name: String,
}

/// `PUT /apps/:app/buildpack-installations` replaces the whole list.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct BuildpackInstallations {
    pub updates: Vec<BuildpackUpdate>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct BuildpackUpdate {
    pub buildpack: String,
}
