//! Typed identifiers: one type a noun, so that they cannot be mixed up.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! uuid_id {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Returns a new random identifier.
            #[must_use]
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )*};
}

uuid_id! {
    /// Identifies an app; stays the same when the app is renamed.
    AppId,
    /// Identifies a build.
    BuildId,
    /// Identifies a slug: that of a build has the build's number.
    SlugId,
    /// Identifies a release; people use its version number within the app.
    ReleaseId,
    /// Identifies a user.
    UserId,
    /// Identifies an access token (never the secret itself).
    TokenId,
    /// Identifies an SSH public key.
    KeyId,
    /// Identifies a domain of an app.
    DomainId,
    /// Identifies a link between two apps.
    NetworkLinkId,
    /// Identifies a volume; stays the same when another app takes it over.
    VolumeId,
    /// Identifies a snapshot of a volume.
    SnapshotId,
    /// Identifies a certificate; stays the same when it is renewed.
    CertificateId,
    /// Identifies a cron job.
    CronJobId,
    /// Identifies a webhook.
    WebhookId,
    /// Identifies an event that webhooks are told of.
    WebhookEventId,
    /// Identifies the telling of one event to one webhook.
    WebhookDeliveryId,
    /// Identifies a log drain.
    LogDrainId,
    /// Identifies a run of a cron job; people use its number within the app.
    CronRunId,
    /// Identifies a pipeline.
    PipelineId,
    /// Identifies an app's place in a pipeline.
    CouplingId,
    /// Identifies a promotion.
    PromotionId,
    /// Identifies what a promotion does to one app.
    PromotionTargetId,
    /// Identifies a review app, which outlives the app that it is.
    ReviewAppId,
    /// Identifies the setup of an app from a source.
    AppSetupId,
    /// Identifies a team; stays the same when the team is renamed.
    TeamId,
    /// Identifies somebody's place in a team.
    MembershipId,
    /// Identifies what somebody has been given on one app.
    CollaboratorId,
    /// Identifies an invitation (never the secret in its link).
    InvitationId,
    /// Identifies a passkey; devices have an identifier of their own for it.
    PasskeyId,
    /// Identifies the offer of an app to somebody.
    AppTransferId,
}

/// Identifies one launch of one process, for example `web-1-5f0c2a91`. Never used twice,
/// so that leftovers of an earlier launch cannot be taken for it. At most 63 characters
/// of `[a-z0-9-]`: it names directories, cgroups and hosts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Debug)]
#[serde(transparent)]
pub struct InstanceId(pub String);

impl InstanceId {
    /// Returns a new identifier for process `process` number `index`.
    #[must_use]
    pub fn random(process: &str, index: u32) -> Self {
        let nonce = Uuid::new_v4().simple().to_string();
        let process: String = process
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .take(24)
            .collect();
        Self(format!("{process}-{index}-{}", &nonce[..12]))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The digest of an image or layer: `sha256:` and 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Debug)]
#[serde(transparent)]
pub struct Digest(String);

/// The text is not a digest.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a digest: expected `sha256:` and 64 hexadecimal digits")]
pub struct InvalidDigest(String);

impl Digest {
    /// Returns the digest whose 32 bytes are given.
    #[must_use]
    pub fn from_sha256(bytes: &[u8; 32]) -> Self {
        use fmt::Write;
        let mut text = String::with_capacity(71);
        text.push_str("sha256:");
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the 64 hexadecimal digits, which are safe as a file name.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.strip_prefix("sha256:").unwrap_or_default();
        let valid = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidDigest(text.to_owned())) }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
