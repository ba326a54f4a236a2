//! The account's second factor.

use crate::convention::{ApiResult, Caller, Control, Endpoints, JsonBody, Needs};
use axum::Json;
use http::{HeaderMap, StatusCode};
use windlass_wire::{RecoveryCodes, TwoFactor, TwoFactorConfirm, TwoFactorProposal};

/// Where clients send a one-time password or a recovery code.
const HEADER: &str = "heroku-two-factor-code";

pub(super) fn endpoints() -> Endpoints {
    use Needs::Anybody;
    Endpoints::new()
        .get("/account/two-factor", Anybody, info)
        .post("/account/two-factor", Anybody, propose)
        .post("/account/two-factor/actions/confirm", Anybody, confirm)
        .delete("/account/two-factor", Anybody, disable)
}

/// Returns the code that a request shows.
pub(super) fn code(headers: &HeaderMap) -> Option<&str> {
    headers.get(HEADER).and_then(|code| code.to_str().ok()).filter(|code| !code.is_empty())
}

async fn info(caller: Caller, Control(platform): Control) -> ApiResult<Json<TwoFactor>> {
    let status = platform.second_factor_status(&caller.user)?;
    Ok(Json(TwoFactor { enabled: status.enabled, recovery_codes_left: status.recovery_codes_left }))
}

async fn propose(
    caller: Caller,
    Control(platform): Control,
) -> ApiResult<(StatusCode, Json<TwoFactorProposal>)> {
    let made = platform.propose_second_factor(&caller.user)?;
    let proposal = TwoFactorProposal { secret: made.secret, url: made.url };
    Ok((StatusCode::CREATED, Json(proposal)))
}

async fn confirm(
    caller: Caller,
    Control(platform): Control,
    JsonBody(body): JsonBody<TwoFactorConfirm>,
) -> ApiResult<Json<RecoveryCodes>> {
    let recovery_codes = platform.confirm_second_factor(&caller.user, &body.code)?;
    Ok(Json(RecoveryCodes { recovery_codes }))
}

async fn disable(
    caller: Caller,
    Control(platform): Control,
    headers: HeaderMap,
) -> ApiResult<Json<TwoFactor>> {
    platform.disable_second_factor(&caller.user, code(&headers))?;
    Ok(Json(TwoFactor { enabled: false, recovery_codes_left: 0 }))
}
