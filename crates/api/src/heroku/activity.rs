//! The audit trail: who changed what, from where.

use crate::convention::{
    ApiResult, AppOfCaller, Control, Endpoints, Needs, OPERATE, RangeHeader, derived_id, time,
};
use axum::response::Response;
use uuid::Uuid;
use windlass_control::Platform;
use windlass_control::records::{self, App};
use windlass_wire::{Activity, Reference, UserReference};

/// So many entries can be looked back at, the newest first.
const MOST: u32 = 1_000;

pub(super) fn endpoints() -> Endpoints {
    Endpoints::new()
        .get("/activity", Needs::Owner, of_all)
        // Addresses and names of tokens are nothing for everybody who may look at an app.
        .get("/apps/{app}/activity", OPERATE, of_app)
}

async fn of_all(Control(platform): Control, range: RangeHeader) -> ApiResult<Response> {
    answer(&platform, None, &range)
}

async fn of_app(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    answer(&platform, Some(&app), &range)
}

fn answer(platform: &Platform, app: Option<&App>, range: &RangeHeader) -> ApiResult<Response> {
    let most = range.newest(&["number", "created_at"]).min(MOST);
    let entries = platform.activity(app, most)?;
    Ok(range.answer(entries.into_iter().map(shape).collect()))
}

fn shape((number, entry): (u64, records::Activity)) -> Activity {
    let user = UserReference { id: entry.user.to_string(), email: entry.email };
    Activity {
        id: derived_id(Uuid::from_u64_pair(number, entry.at), "activity").to_string(),
        number,
        created_at: time(entry.at),
        user,
        token: entry.token,
        app: entry.app.map(|(id, name)| Reference { id: id.to_string(), name }),
        action: entry.action,
        address: entry.address,
        request_id: entry.request,
    }
}
