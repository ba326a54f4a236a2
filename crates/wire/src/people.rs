//! Who has access: collaborators, teams, invitations, transfers, second factors, activity.

use crate::{Authorization, Reference, UserReference};
use serde::{Deserialize, Serialize};

/// A permission on an app: `view`, `deploy`, `operate`, `manage`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct TeamAppPermission {
    pub name: String,
    pub description: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct CollaboratorUser {
    pub id: String,
    pub email: String,
    pub federated: bool,
}

/// `GET /apps/:app/collaborators`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Collaborator {
    pub id: String,
    pub app: Reference,
    pub user: CollaboratorUser,
    /// `owner` or `collaborator`.
    pub role: Option<String>,
    pub permissions: Vec<TeamAppPermission>,
    pub created_at: String,
    pub updated_at: String,
}

/// `POST /apps/:app/collaborators`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct CollaboratorCreate {
    /// Address, id or `~`.
    pub user: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<String>>,
}

/// `PATCH /teams/apps/:app/collaborators/:collaborator`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct CollaboratorUpdate {
    pub permissions: Vec<String>,
}

/// `GET /teams`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Team {
    pub id: String,
    pub name: String,
    pub credit_card_collections: bool,
    pub default: bool,
    pub enterprise_account: Option<Reference>,
    pub identity_provider: Option<Reference>,
    pub membership_limit: Option<u32>,
    pub provisioned_licenses: bool,
    /// What the one who asks is in it.
    pub role: Option<String>,
    #[serde(rename = "type")]
    pub kind: String,
    pub created_at: String,
    pub updated_at: String,
}

/// `POST /teams`, `PATCH /teams/:team`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct TeamName {
    pub name: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct NamedUser {
    pub id: String,
    pub email: String,
    pub name: Option<String>,
}

/// `GET /teams/:team/members`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct TeamMember {
    pub id: String,
    pub email: String,
    pub federated: bool,
    pub identity_provider: Option<Reference>,
    /// `admin`, `member`, `viewer`; `collaborator` for whoever was only added to some of its apps.
    pub role: Option<String>,
    pub two_factor_authentication: bool,
    pub user: NamedUser,
    pub created_at: String,
    pub updated_at: String,
}

/// `PUT /teams/:team/members`, `PUT /teams/:team/invitations`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct TeamMemberPut {
    pub email: String,
    pub role: String,
}

/// `GET /teams/:team/invitations`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct TeamInvitation {
    pub id: String,
    pub invited_by: NamedUser,
    pub team: Reference,
    pub role: Option<String>,
    pub user: NamedUser,
    pub created_at: String,
    pub updated_at: String,
    pub expires_at: String,
    /// The link's secret and the link; present only in the answer that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// `POST /teams/apps`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct TeamAppCreate {
    pub name: Option<String>,
    pub team: Option<String>,
    pub region: Option<String>,
    pub stack: Option<String>,
    pub locked: Option<bool>,
    pub personal: Option<bool>,
    pub space: Option<String>,
}

/// `PATCH /teams/apps/:app`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct TeamAppUpdate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked: Option<bool>,
    /// A team's name, or somebody's address or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// `GET /account/app-transfers`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct AppTransfer {
    pub id: String,
    pub app: Reference,
    pub owner: UserReference,
    pub recipient: UserReference,
    /// `pending`, `accepted` or `declined`.
    pub state: String,
    pub created_at: String,
    pub updated_at: String,
}

/// `POST /account/app-transfers`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct AppTransferCreate {
    pub app: String,
    pub recipient: String,
}

/// `PATCH /account/app-transfers/:transfer`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct AppTransferUpdate {
    pub state: String,
}

/// `GET /invitations`: who was invited to the server and has not come in yet.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Invitation {
    pub id: String,
    pub email: String,
    pub invited_by: UserReference,
    pub created_at: String,
    pub expires_at: String,
    /// The link's secret and the link; present only in the answer that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// `POST /invitations`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct InvitationCreate {
    pub email: String,
}

/// `POST /invitations/actions/accept`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct InvitationAccept {
    pub token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Who came in, with their first token.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct InvitationAccepted {
    pub user: NamedUser,
    pub authorization: Authorization,
}

/// `GET /account/two-factor`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct TwoFactor {
    pub enabled: bool,
    pub recovery_codes_left: u32,
}

/// `POST /account/two-factor`: shown once, and in force only after it was confirmed.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct TwoFactorProposal {
    pub secret: String,
    /// `otpauth://…`
    pub url: String,
}

/// `POST /account/two-factor/actions/confirm`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct TwoFactorConfirm {
    pub code: String,
}

/// Each is good once, in place of a code.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct RecoveryCodes {
    pub recovery_codes: Vec<String>,
}

/// `GET /apps/:app/activity`, `GET /activity`: one change that somebody made.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Activity {
    pub id: String,
    /// Counted from 1 on this server.
    pub number: u64,
    pub created_at: String,
    pub user: UserReference,
    /// What the token was for, or which SSH key it was.
    pub token: Option<String>,
    pub app: Option<Reference>,
    /// `PATCH /apps/{app}/config-vars`, `git push`.
    pub action: String,
    pub address: Option<String>,
    pub request_id: Option<String>,
}
