//! The account behind the token.

use crate::convention::request_id::RATE_LIMIT_REMAINING;
use crate::convention::{Caller, time};
use axum::Json;
use serde_json::{Value, json};
use windlass_wire::Account;

pub(super) async fn info(Caller { user, .. }: Caller) -> Json<Account> {
    let created_at = time(user.created_at);
    Json(Account {
        id: user.id.to_string(),
        email: user.email,
        name: None,
        verified: true,
        two_factor_authentication: false,
        allow_tracking: false,
        beta: false,
        federated: false,
        identity_provider: None,
        last_login: None,
        sms_number: None,
        suspended_at: None,
        delinquent_at: None,
        country_of_residence: None,
        default_organization: None,
        default_team: None,
        updated_at: created_at.clone(),
        created_at,
    })
}

pub(super) async fn rate_limits(_caller: Caller) -> Json<Value> {
    Json(json!({ "remaining": RATE_LIMIT_REMAINING }))
}
