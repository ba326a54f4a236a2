//! What can go wrong for a caller of the platform, in the caller's words.

use windlass_core::driver::DriverError;
use windlass_core::names::InvalidName;
use windlass_oci::OciError;
use windlass_store::StoreError;

pub type Result<T> = std::result::Result<T, PlatformError>;

#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// No such thing, or not one that the caller may see. `resource` is Heroku's name for it.
    #[error("Couldn't find that {resource}.")]
    NotFound { resource: &'static str },
    /// The same, with a message that says more.
    #[error("{message}")]
    Missing { resource: &'static str, message: String },
    /// The request makes no sense; the message says what is wrong and what to do.
    #[error("{0}")]
    Invalid(String),
    /// It makes sense, but not now.
    #[error("{0}")]
    Conflict(String),
    #[error("Invalid credentials provided.")]
    Unauthorized,
    #[error("{0}")]
    Forbidden(String),
    /// Who asks has to show a second factor; the message says why.
    #[error("This {0}: the one that your authenticator app shows, or a recovery code.")]
    TwoFactor(&'static str),
    /// Too much in too little time; it may be tried again `after` that.
    #[error("{message}")]
    TooMany { message: String, after: std::time::Duration },
    /// A release did not come up; the old one goes on serving.
    #[error("{0}")]
    ReleaseFailed(String),
    /// Our fault. The chain is logged where the door answers.
    #[error("the platform failed: {0}")]
    Internal(String, #[source] Option<Box<dyn std::error::Error + Send + Sync>>),
}

impl PlatformError {
    pub(crate) fn internal(
        what: &str,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Internal(what.to_owned(), Some(Box::new(source)))
    }
}

impl From<StoreError> for PlatformError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Taken(what) => Self::Invalid(format!("{what} is already taken")),
            other => Self::internal("its database could not be used", other),
        }
    }
}

impl From<InvalidName> for PlatformError {
    fn from(error: InvalidName) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<OciError> for PlatformError {
    fn from(error: OciError) -> Self {
        if let OciError::Archive(message) = error {
            return Self::Invalid(message);
        }
        Self::internal("its image store could not be used", error)
    }
}

impl From<DriverError> for PlatformError {
    fn from(error: DriverError) -> Self {
        Self::internal("the driver refused", error)
    }
}
