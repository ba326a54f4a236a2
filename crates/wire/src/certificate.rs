use crate::Reference;
use serde::{Deserialize, Serialize};

/// `GET /apps/:app/sni-endpoints`: a certificate that is shown for hosts of the app.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct SniEndpoint {
    pub id: String,
    pub name: String,
    pub display_name: Option<String>,
    pub app: Reference,
    /// The ids of the domains for which it is shown.
    pub domains: Vec<String>,
    pub certificate_chain: String,
    pub ssl_cert: SslCertificate,
    /// The hosts for which it is shown, the app's own one among them; an extension of ours.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// What may not be as it was meant; an extension of ours, only where it was added or replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    pub created_at: String,
    pub updated_at: String,
}

/// What a certificate says of itself.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct SslCertificate {
    pub id: String,
    /// Whether it was issued and is renewed by itself, by a public authority.
    pub acm: bool,
    #[serde(rename = "ca_signed?")]
    pub ca_signed: bool,
    #[serde(rename = "self_signed?")]
    pub self_signed: bool,
    pub cert_domains: Vec<String>,
    pub issuer: String,
    pub subject: String,
    pub starts_at: String,
    pub expires_at: String,
    /// `imported`, `acme` or `private`; an extension of ours.
    #[serde(default)]
    pub origin: String,
}

/// `POST /apps/:app/sni-endpoints` and `PATCH /apps/:app/sni-endpoints/:name`
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct SniEndpointCreate {
    /// PEM: the certificate first, then who signed it.
    pub certificate_chain: String,
    /// PEM, without a passphrase.
    pub private_key: String,
}

/// The key is not shown.
impl std::fmt::Debug for SniEndpointCreate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SniEndpointCreate").finish_non_exhaustive()
    }
}

/// `POST /apps/:app/sni-endpoints/actions/check`: what a certificate would be good for.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct SniEndpointCheck {
    pub cert_domains: Vec<String>,
    pub issuer: String,
    pub subject: String,
    pub starts_at: String,
    pub expires_at: String,
    pub warnings: Vec<String>,
}

/// `PATCH /apps/:app/domains/:domain`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct DomainUpdate {
    /// The name or id of the certificate to show; `null`: whichever covers the domain.
    #[serde(default)]
    pub sni_endpoint: Option<String>,
}

/// `GET /certificate-authority`: the root of the server's private authority.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct CertificateAuthority {
    /// PEM.
    pub certificate: String,
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub fingerprint: String,
    pub expires_at: String,
    /// The endings of names that it can vouch for.
    pub permitted: Vec<String>,
}
