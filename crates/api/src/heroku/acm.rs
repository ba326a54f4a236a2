//! Automatic certificates of an app. Heroku answers with the app, and so do we.

use super::app;
use crate::convention::{ApiResult, AppOfCaller, BaseUrl, Control};
use axum::Json;
use http::StatusCode;
use windlass_wire::App;

pub(super) async fn enable(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    base: BaseUrl,
) -> ApiResult<(StatusCode, Json<App>)> {
    platform.set_automatic_certificates(&user, &app, true)?;
    Ok((StatusCode::CREATED, Json(app::one(&platform, &base, &app)?)))
}

pub(super) async fn disable(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    base: BaseUrl,
) -> ApiResult<Json<App>> {
    platform.set_automatic_certificates(&user, &app, false)?;
    Ok(Json(app::one(&platform, &base, &app)?))
}

/// Tries again what has failed.
pub(super) async fn refresh(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    base: BaseUrl,
) -> ApiResult<Json<App>> {
    platform.refresh_automatic_certificates(&app)?;
    Ok(Json(app::one(&platform, &base, &app)?))
}
