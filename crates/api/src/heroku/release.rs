//! Releases and rollbacks.

use super::{Users, app, app_reference};
use crate::convention::{
    ApiError, ApiResult, AppOfCaller, Control, JsonBody, RangeHeader, time, to_the_end,
};
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value};
use windlass_control::records::{self, App};
use windlass_control::{Platform, Result};
use windlass_wire::{ConfigVars, Release};

pub(super) async fn list(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    let mut users = Users::new(&platform);
    let releases = platform.releases(&app, range.newest(&["version", "created_at"]))?;
    let shaped = releases.into_iter().map(|release| shape(&platform, &app, &mut users, release));
    Ok(range.answer(shaped.collect::<Result<Vec<Release>>>()?))
}

pub(super) async fn info(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<Json<Release>> {
    let release = platform.release(&app, &name)?;
    Ok(Json(shape(&platform, &app, &mut Users::new(&platform), release)?))
}

pub(super) async fn config_vars(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<Json<ConfigVars>> {
    Ok(Json(platform.release(&app, &name)?.config_vars))
}

/// Rolls back. Answers when the new release is in force.
pub(super) async fn create(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    JsonBody(body): JsonBody<Map<String, Value>>,
) -> ApiResult<(StatusCode, Json<Release>)> {
    let target = rollback_target(&body)?;
    let (control, its_app, its_user) = (platform.clone(), app.clone(), user.clone());
    let release =
        to_the_end(async move { control.rollback(&its_user, &its_app, &target).await }).await?;
    let app = app::current(&platform, &user, &app)?;
    let release = shape(&platform, &app, &mut Users::new(&platform), release)?;
    Ok((StatusCode::CREATED, Json(release)))
}

/// Reads the release to go back to: an id, or a version as text or number.
fn rollback_target(body: &Map<String, Value>) -> ApiResult<String> {
    match body.get("release") {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        _ if body.contains_key("slug") => Err(ApiError::invalid(
            "Slugs cannot be released here: push with git to make a release, or roll back with `release`.",
        )),
        _ => Err(ApiError::invalid(
            "`release` must be the id or version of the release to roll back to.",
        )),
    }
}

fn shape(
    platform: &Platform,
    app: &App,
    users: &mut Users<'_>,
    release: records::Release,
) -> Result<Release> {
    Ok(Release {
        id: release.id.to_string(),
        version: release.version,
        status: release.status.as_str().to_owned(),
        current: release.version == app.current_release,
        created_at: time(release.created_at),
        updated_at: time(release.updated_at),
        app: app_reference(app),
        user: users.reference(release.user)?,
        slug: None,
        artifacts: Vec::new(),
        addon_plan_names: Vec::new(),
        eligible_for_rollback: platform.is_rollback_target(&release),
        output_stream_url: None,
        oci_image: None,
        description: release.description,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rollback_targets() {
        let target = |body: Value| rollback_target(body.as_object().unwrap());
        assert_eq!(target(json!({"release": "v7"})).unwrap(), "v7");
        assert_eq!(target(json!({"release": 7})).unwrap(), "7");
        assert!(target(json!({"slug": "x"})).unwrap_err().body.message.contains("Slugs"));
        assert_eq!(target(json!({})).unwrap_err().status.as_u16(), 422);
    }
}
