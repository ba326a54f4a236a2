//! Own pages of an app, in the place of the router's.

use super::{RoutingSettingsError, shortened};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The largest own page, in bytes.
pub const PAGE_BYTES: usize = 128 * 1024;

/// Own pages of an app, in HTML.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Pages {
    /// When the app cannot answer (H10 to H21 …).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Page>,
    /// In maintenance mode (H80).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Page>,
    /// Before the first deploy (H81).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blank: Option<Page>,
}

impl Pages {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.error.is_none() && self.maintenance.is_none() && self.blank.is_none()
    }

    #[must_use]
    pub fn get(&self, kind: PageKind) -> Option<&Page> {
        match kind {
            PageKind::Error => self.error.as_ref(),
            PageKind::Maintenance => self.maintenance.as_ref(),
            PageKind::Blank => self.blank.as_ref(),
        }
    }

    pub fn put(&mut self, kind: PageKind, page: Option<Page>) {
        *match kind {
            PageKind::Error => &mut self.error,
            PageKind::Maintenance => &mut self.maintenance,
            PageKind::Blank => &mut self.blank,
        } = page;
    }
}

/// Which of an app's own pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageKind {
    Error,
    Maintenance,
    Blank,
}

impl PageKind {
    pub const ALL: [Self; 3] = [Self::Error, Self::Maintenance, Self::Blank];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Maintenance => "maintenance",
            Self::Blank => "blank",
        }
    }
}

impl std::str::FromStr for PageKind {
    type Err = RoutingSettingsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| RoutingSettingsError::UnknownPage(shortened(text)))
    }
}

/// A page in HTML; clones share the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Page(Arc<str>);

impl Page {
    /// Takes a page of at most [`PAGE_BYTES`].
    pub fn new(html: &str) -> Result<Self, RoutingSettingsError> {
        match html.trim().is_empty() || html.len() > PAGE_BYTES {
            true => Err(RoutingSettingsError::Page { bytes: html.len() }),
            false => Ok(Self(html.into())),
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Page({} bytes)", self.0.len())
    }
}

impl Serialize for Page {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Page {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|html| Self(html.into()))
    }
}
