//! The zone that a server answers for, and automatic certificates.

use serde::{Deserialize, Serialize};

/// `GET /dns-zone`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct DnsZone {
    pub name: String,
    pub name_server: String,
    /// Where questions are answered.
    pub listen: String,
    /// Where its host names lead.
    pub addresses: Vec<String>,
    /// What to set in the zone above.
    pub parent_records: Vec<DnsRecord>,
}

/// One record.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct DnsRecord {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub value: String,
}

/// What `POST /dns-zone/actions/check` found.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct DnsCheck {
    pub name: String,
    pub ok: bool,
    /// What was found, or what is wrong and what to do.
    pub detail: String,
}

/// `PATCH /apps/:app/acm`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct AcmRefresh {
    pub acm_refresh: bool,
}
