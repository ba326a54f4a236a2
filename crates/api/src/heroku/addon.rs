//! Add-ons in Heroku's shapes: there are none yet, and refusals say what to do now.

use crate::convention::{
    ApiError, ApiResult, AppOfCaller, Caller, Control, Endpoints, JsonBody, Needs, OPERATE,
    RangeHeader, VIEW,
};
use axum::Json;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

const REFUSED: &str = "add_ons_not_available";
const LATER: &str = "There are no add-ons on this server yet; they come in a later version. Until then run the service beside it, or as an app of its own, and give its address to the app as a config var: windlass config:set DATABASE_URL=…";

pub(super) fn endpoints() -> Endpoints {
    Endpoints::new()
        .get("/addon-services", Needs::Anybody, nothing)
        .get("/addon-services/{service}", Needs::Anybody, no_service)
        .get("/addon-services/{service}/plans", Needs::Anybody, no_service)
        .get("/addon-services/{service}/plans/{plan}", Needs::Anybody, no_service)
        .get("/addon-services/{service}/region-capabilities", Needs::Anybody, no_service)
        .get("/addon-region-capabilities", Needs::Anybody, nothing)
        .get("/plans/{plan}", Needs::Anybody, no_plan)
        .merge(addons())
        .merge(attachments())
        .get("/apps/{app}/usage", VIEW, usage)
        .get("/apps/{app}/telemetry-drains", VIEW, nothing_of_app)
        .post("/telemetry-drains", Needs::Anybody, no_telemetry)
        .get("/telemetry-drains/{drain}", Needs::Anybody, no_telemetry_drain)
        .patch("/telemetry-drains/{drain}", Needs::Anybody, no_telemetry_drain)
        .delete("/telemetry-drains/{drain}", Needs::Anybody, no_telemetry_drain)
}

fn addons() -> Endpoints {
    Endpoints::new()
        .get("/addons", Needs::Anybody, nothing)
        .get("/users/~/addons", Needs::Anybody, nothing)
        .get("/addons/{addon}", Needs::Anybody, no_addon)
        .get("/addons/{addon}/addon-attachments", Needs::Anybody, no_addon)
        .get("/addons/{addon}/config", Needs::Anybody, no_addon)
        .patch("/addons/{addon}/config", Needs::Anybody, no_addon)
        .post("/addons/{addon}/actions/provision", Needs::Anybody, no_addon)
        .post("/addons/{addon}/actions/deprovision", Needs::Anybody, no_addon)
        .get("/addons/{addon}/log-drains", Needs::Anybody, no_addon)
        .put("/addons/{addon}/log-drains/{drain}", Needs::Anybody, no_addon)
        .get("/addons/{addon}/webhooks", Needs::Anybody, no_addon)
        .post("/addons/{addon}/webhooks", Needs::Anybody, no_addon)
        .get("/addons/{addon}/webhooks/{webhook}", Needs::Anybody, no_addon)
        .patch("/addons/{addon}/webhooks/{webhook}", Needs::Anybody, no_addon)
        .delete("/addons/{addon}/webhooks/{webhook}", Needs::Anybody, no_addon)
        .get("/addons/{addon}/webhook-deliveries", Needs::Anybody, no_addon)
        .get("/addons/{addon}/webhook-deliveries/{delivery}", Needs::Anybody, no_addon)
        .get("/addons/{addon}/webhook-events", Needs::Anybody, no_addon)
        .get("/addons/{addon}/webhook-events/{event}", Needs::Anybody, no_addon)
        .get("/apps/{app}/addons", VIEW, nothing_of_app)
        .post("/apps/{app}/addons", OPERATE, refuse)
        .get("/apps/{app}/addons/{addon}", VIEW, no_addon_of_app)
        .patch("/apps/{app}/addons/{addon}", OPERATE, no_addon_of_app)
        .delete("/apps/{app}/addons/{addon}", OPERATE, no_addon_of_app)
        .post("/actions/addons/resolve", Needs::Found, resolve_addon)
}

fn attachments() -> Endpoints {
    Endpoints::new()
        .get("/addon-attachments", Needs::Anybody, nothing)
        .post("/addon-attachments", Needs::Anybody, no_addon)
        .get("/addon-attachments/{attachment}", Needs::Anybody, no_attachment)
        .delete("/addon-attachments/{attachment}", Needs::Anybody, no_attachment)
        .get("/apps/{app}/addon-attachments", VIEW, nothing_of_app)
        .get("/apps/{app}/addon-attachments/{attachment}", VIEW, no_attachment_of_app)
        .post("/actions/addon-attachments/resolve", Needs::Found, resolve_attachment)
}

async fn nothing(_caller: Caller, range: RangeHeader) -> Response {
    range.answer(Vec::<Value>::new())
}

async fn nothing_of_app(_app: AppOfCaller, range: RangeHeader) -> Response {
    range.answer(Vec::<Value>::new())
}

async fn no_service(_caller: Caller) -> ApiError {
    ApiError::not_found("add_on_service")
}

async fn no_plan(_caller: Caller) -> ApiError {
    ApiError::not_found("plan")
}

async fn no_addon(_caller: Caller) -> ApiError {
    missing_addon()
}

async fn no_addon_of_app(_app: AppOfCaller) -> ApiError {
    missing_addon()
}

/// Clients look for this name of the resource.
fn missing_addon() -> ApiError {
    ApiError::not_found("add_on")
}

async fn no_attachment(_caller: Caller) -> ApiError {
    missing_attachment()
}

async fn no_attachment_of_app(_app: AppOfCaller) -> ApiError {
    missing_attachment()
}

/// Clients look for this name of the resource, with its blank.
fn missing_attachment() -> ApiError {
    ApiError::not_found("add_on attachment")
}

async fn refuse(_app: AppOfCaller) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, REFUSED, LATER)
}

/// What is to be found, perhaps among those of one app.
#[derive(Deserialize)]
struct Resolve {
    app: Option<String>,
}

async fn resolve_addon(
    caller: Caller,
    control: Control,
    JsonBody(body): JsonBody<Resolve>,
) -> ApiResult<Json<Value>> {
    check_app(&caller, &control, &body)?;
    Err(missing_addon())
}

async fn resolve_attachment(
    caller: Caller,
    control: Control,
    JsonBody(body): JsonBody<Resolve>,
) -> ApiResult<Json<Value>> {
    check_app(&caller, &control, &body)?;
    Err(missing_attachment())
}

/// That there is no such app is said first, as for every other call.
fn check_app(caller: &Caller, Control(platform): &Control, body: &Resolve) -> ApiResult<()> {
    match &body.app {
        Some(app) => Ok(platform.app(&caller.user, app).map(drop)?),
        None => Ok(()),
    }
}

/// Metered use of add-ons.
async fn usage(_app: AppOfCaller) -> Json<Value> {
    Json(json!({"addons": []}))
}

async fn no_telemetry(_caller: Caller) -> ApiError {
    ApiError::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "telemetry_drains_not_available",
        "There are no telemetry drains here. Logs go elsewhere with a log drain (windlass drains:add URL); apps send traces and metrics themselves.",
    )
}

async fn no_telemetry_drain(_caller: Caller) -> ApiError {
    ApiError::not_found("telemetry_drain")
}
