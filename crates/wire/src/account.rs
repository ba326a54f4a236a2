use crate::Reference;
use serde::{Deserialize, Serialize};

/// `GET /account`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Account {
    pub id: String,
    pub email: String,
    pub name: Option<String>,
    pub verified: bool,
    pub two_factor_authentication: bool,
    pub allow_tracking: bool,
    pub beta: bool,
    pub federated: bool,
    pub identity_provider: Option<Reference>,
    pub last_login: Option<String>,
    pub sms_number: Option<String>,
    pub suspended_at: Option<String>,
    pub delinquent_at: Option<String>,
    pub country_of_residence: Option<String>,
    pub default_organization: Option<Reference>,
    pub default_team: Option<Reference>,
    pub created_at: String,
    pub updated_at: String,
}

/// `GET /account/keys`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Key {
    pub id: String,
    pub public_key: String,
    pub comment: String,
    pub email: String,
    /// MD5 in colon form, as Heroku shows it.
    pub fingerprint: String,
    pub created_at: String,
    pub updated_at: String,
}

/// `POST /account/keys`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct KeyCreate {
    pub public_key: String,
}

/// `GET /oauth/authorizations`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Authorization {
    pub id: String,
    pub access_token: Option<AccessToken>,
    pub client: Option<Reference>,
    pub grant: Option<Reference>,
    pub refresh_token: Option<AccessToken>,
    pub session: Option<crate::IdReference>,
    pub scope: Vec<String>,
    pub description: String,
    pub user: AuthorizationUser,
    pub created_at: String,
    pub updated_at: String,
    #[serde(default)]
    pub expires_at: Option<String>,
    /// To within a minute.
    #[serde(default)]
    pub last_used_at: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct AuthorizationUser {
    pub id: String,
    pub email: String,
    pub full_name: Option<String>,
}

/// The secret is present only in the answer that created it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct AccessToken {
    pub id: String,
    pub token: String,
    pub expires_in: Option<u64>,
}

/// `POST /oauth/authorizations`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct AuthorizationCreate {
    pub description: Option<String>,
    /// None is `global`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Vec<String>>,
    /// Seconds, as a number or as text.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "seconds")]
    pub expires_in: Option<u64>,
}

/// `PATCH /oauth/authorizations/:authorization`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct AuthorizationUpdate {
    pub description: Option<String>,
}

/// `PATCH /account`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct AccountUpdate {
    pub name: Option<String>,
    /// Only Heroku's dashboard has passwords.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let wrong = || serde::de::Error::custom("`expires_in` is a number of seconds");
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Null => Ok(None),
        serde_json::Value::String(text) if text.is_empty() => Ok(None),
        serde_json::Value::String(text) => text.parse().map(Some).map_err(|_| wrong()),
        other => other.as_u64().map(Some).ok_or_else(wrong),
    }
}
