//! Apps that are offered to somebody else.

use super::{Users, app_reference};
use crate::convention::audit::About;
use crate::convention::{
    ApiResult, Caller, Control, Endpoints, JsonBody, Needs, RangeHeader, time,
};
use axum::extract::Path;
use axum::response::Response;
use axum::{Extension, Json};
use http::StatusCode;
use windlass_control::{Platform, PlatformError, records};
use windlass_wire::{AppTransfer, AppTransferCreate, AppTransferUpdate};

pub(super) fn endpoints() -> Endpoints {
    use Needs::Found;
    Endpoints::new()
        .get("/account/app-transfers", Needs::Anybody, list)
        .post("/account/app-transfers", Found, create)
        .get("/account/app-transfers/{transfer}", Found, info)
        .patch("/account/app-transfers/{transfer}", Found, update)
        .delete("/account/app-transfers/{transfer}", Found, remove)
}

async fn list(
    caller: Caller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    let transfers = platform.app_transfers(&caller.user)?;
    let shapes: ApiResult<Vec<_>> = transfers.iter().map(|one| shape(&platform, one)).collect();
    Ok(range.answer(shapes?))
}

async fn create(
    caller: Caller,
    Control(platform): Control,
    JsonBody(body): JsonBody<AppTransferCreate>,
) -> ApiResult<(StatusCode, Extension<About>, Json<AppTransfer>)> {
    let app = platform.app(&caller.user, &body.app)?;
    let offer = platform.offer_app(&caller.user, &app, &body.recipient)?;
    let shape = shape(&platform, &offer)?;
    Ok((StatusCode::CREATED, Extension(About(app)), Json(shape)))
}

async fn info(
    caller: Caller,
    Control(platform): Control,
    Path(transfer): Path<String>,
) -> ApiResult<Json<AppTransfer>> {
    Ok(Json(shape(&platform, &platform.app_transfer(&caller.user, &transfer)?)?))
}

async fn update(
    caller: Caller,
    Control(platform): Control,
    Path(transfer): Path<String>,
    JsonBody(body): JsonBody<AppTransferUpdate>,
) -> ApiResult<(Extension<About>, Json<AppTransfer>)> {
    let state = body.state.parse::<records::TransferState>();
    let state = state.map_err(|error| PlatformError::Invalid(error.to_string()))?;
    let answered = platform.answer_app_transfer(&caller.user, &transfer, state)?;
    let app = platform.app_of_transfer(&answered)?;
    Ok((Extension(About(app)), Json(shape(&platform, &answered)?)))
}

async fn remove(
    caller: Caller,
    Control(platform): Control,
    Path(transfer): Path<String>,
) -> ApiResult<Json<AppTransfer>> {
    let withdrawn = platform.withdraw_app_transfer(&caller.user, &transfer)?;
    Ok(Json(shape(&platform, &withdrawn)?))
}

fn shape(platform: &Platform, transfer: &records::AppTransfer) -> ApiResult<AppTransfer> {
    let mut users = Users::new(platform);
    Ok(AppTransfer {
        id: transfer.id.to_string(),
        app: app_reference(&platform.app_of_transfer(transfer)?),
        owner: users.reference(transfer.owner)?,
        recipient: users.reference(transfer.recipient)?,
        state: transfer.state.to_string(),
        created_at: time(transfer.created_at),
        updated_at: time(transfer.updated_at),
    })
}
