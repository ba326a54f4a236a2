//! Certificates: imported ones, those that public authorities issued, and those of our own.
//!
//! - `operations` is what people and ACME do with them,
//! - `select` says which one is shown for which host,
//! - `sync` gets them to the router and keeps the private ones up to date,
//! - `authority` is the private authority,
//! - `own` says what the API itself shows.

mod authority;
mod operations;
mod own;
mod select;
mod sync;

pub use operations::{CertificateCheck, CertificateView};
pub use own::OwnCertificate;
pub use sync::AuthorityView;
pub(crate) use sync::CertificateSync;

/// Which hosts get a certificate of the private authority when they have no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivateCertificates {
    Off,
    /// Names that exist in private networks only, as `*.localhost`.
    PrivateNames,
    /// Those, and all below the platform's domain.
    Domain,
}
