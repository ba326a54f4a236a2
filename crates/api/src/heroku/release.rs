//! Releases and rollbacks.

use super::{Users, app, app_reference, output_stream};
use crate::convention::{
    ApiError, ApiResult, AppOfCaller, BaseUrl, Control, JsonBody, RangeHeader, time, to_the_end,
};
use crate::state::ApiState;
use crate::stream::text_stream;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value};
use windlass_control::Result;
use windlass_control::records::{self, App};
use windlass_core::ids::UserId;
use windlass_wire::{ConfigVars, Release};

/// User, app, release, and the signature that makes the URL unguessable.
pub(super) const STREAM_ROUTE: &str = "/streams/releases/{user}/{app}/{release}/{signature}";

pub(super) async fn list(
    AppOfCaller { user, app }: AppOfCaller,
    State(state): State<ApiState>,
    base: BaseUrl,
    range: RangeHeader,
) -> ApiResult<Response> {
    let releases = state.platform.releases(&app, range.newest(&["version", "created_at"]))?;
    let mut shaper = Shaper::new(&state, &base, &app, user.id);
    let shaped = releases.into_iter().map(|release| shaper.shape(release));
    Ok(range.answer(shaped.collect::<Result<Vec<Release>>>()?))
}

pub(super) async fn info(
    AppOfCaller { user, app }: AppOfCaller,
    State(state): State<ApiState>,
    base: BaseUrl,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<Json<Release>> {
    let release = state.platform.release(&app, &name)?;
    Ok(Json(Shaper::new(&state, &base, &app, user.id).shape(release)?))
}

/// Streams what the release phase said from its beginning; ends with it.
pub(super) async fn stream(
    State(state): State<ApiState>,
    Path(parts): Path<output_stream::Parts>,
) -> ApiResult<Response> {
    let (app, id) = output_stream::open(&state, "releases", parts)?;
    let release = state.platform.release(&app, &id)?;
    Ok(text_stream(state.platform.release_output(&release)))
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
    State(state): State<ApiState>,
    base: BaseUrl,
    JsonBody(body): JsonBody<Map<String, Value>>,
) -> ApiResult<(StatusCode, Json<Release>)> {
    let target = rollback_target(&body)?;
    let platform = &state.platform;
    let (control, its_app, its_user) = (platform.clone(), app.clone(), user.clone());
    let release =
        to_the_end(async move { control.rollback(&its_user, &its_app, &target).await }).await?;
    let app = app::current(platform, &user, &app)?;
    let release = Shaper::new(&state, &base, &app, user.id).shape(release)?;
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

pub(super) struct Shaper<'a> {
    state: &'a ApiState,
    base: &'a BaseUrl,
    app: &'a App,
    caller: UserId,
    users: Users<'a>,
}

impl<'a> Shaper<'a> {
    pub(super) fn new(
        state: &'a ApiState,
        base: &'a BaseUrl,
        app: &'a App,
        caller: UserId,
    ) -> Self {
        Self { state, base, app, caller, users: Users::new(&state.platform) }
    }

    pub(super) fn shape(&mut self, release: records::Release) -> Result<Release> {
        let platform = &self.state.platform;
        let id = release.id.to_string();
        let output_stream_url = platform.has_release_output(&release).then(|| {
            output_stream::url(self.state, self.base, "releases", self.caller, self.app, &id)
        });
        Ok(Release {
            id,
            version: release.version,
            status: release.status.as_str().to_owned(),
            current: release.version == self.app.current_release,
            created_at: time(release.created_at),
            updated_at: time(release.updated_at),
            app: app_reference(self.app),
            user: self.users.reference(release.user)?,
            slug: None,
            artifacts: Vec::new(),
            addon_plan_names: Vec::new(),
            eligible_for_rollback: platform.is_rollback_target(&release),
            output_stream_url,
            oci_image: None,
            description: release.description,
        })
    }
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
