//! The account behind the token.

use crate::convention::{ApiError, ApiResult, Caller, Control, Endpoints, JsonBody, Needs, time};
use axum::Json;
use http::StatusCode;
use serde_json::{Value, json};
use windlass_control::Platform;
use windlass_control::records::User;
use windlass_wire::{Account, AccountUpdate};

pub(super) fn endpoints() -> Endpoints {
    use Needs::Anybody;
    Endpoints::new()
        .get("/account", Anybody, info)
        .patch("/account", Anybody, update)
        .get("/users/~", Anybody, info)
        .patch("/users/~", Anybody, update)
        .get("/account/rate-limits", Anybody, rate_limits)
}

async fn info(Caller { user, .. }: Caller, Control(platform): Control) -> ApiResult<Json<Account>> {
    Ok(Json(shape(&platform, user)?))
}

async fn update(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    JsonBody(body): JsonBody<AccountUpdate>,
) -> ApiResult<Json<Account>> {
    change(&platform, &user, &body).map(Json)
}

pub(super) fn change(platform: &Platform, user: &User, body: &AccountUpdate) -> ApiResult<Account> {
    if body.password.is_some() {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "passwords_unsupported",
            "There are no passwords here: people log in with tokens, and with a second factor if they set one up.",
        ));
    }
    let user = match &body.name {
        Some(name) => platform.rename_user(user, name)?,
        None => user.clone(),
    };
    shape(platform, user)
}

pub(super) fn shape(platform: &Platform, user: User) -> ApiResult<Account> {
    let created_at = time(user.created_at);
    Ok(Account {
        id: user.id.to_string(),
        email: user.email,
        name: user.name,
        verified: true,
        two_factor_authentication: platform.has_second_factor(user.id)?,
        allow_tracking: false,
        beta: false,
        federated: false,
        identity_provider: None,
        last_login: user.last_login_at.map(time),
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

async fn rate_limits(caller: Caller, Control(platform): Control) -> Json<Value> {
    Json(json!({ "remaining": platform.requests_left(&caller.user) }))
}
