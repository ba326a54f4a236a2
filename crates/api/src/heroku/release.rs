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
use windlass_core::access::Permission;
use windlass_core::ids::UserId;
use windlass_wire::{Artifact, ConfigVars, IdReference, Release};

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
    let (app, id) = output_stream::open(&state, "releases", parts, Permission::View)?;
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

/// Releases a slug, or rolls back. Answers when the new release is in force.
pub(super) async fn create(
    AppOfCaller { user, app }: AppOfCaller,
    State(state): State<ApiState>,
    base: BaseUrl,
    JsonBody(body): JsonBody<Map<String, Value>>,
) -> ApiResult<(StatusCode, Json<Release>)> {
    let wanted = wanted(&body)?;
    let platform = &state.platform;
    let (control, its_app, its_user) = (platform.clone(), app.clone(), user.clone());
    let make = async move {
        match wanted {
            Wanted::Rollback(target) => control.rollback(&its_user, &its_app, &target).await,
            Wanted::Slug { id, description } => {
                control.release_slug(&its_user, &its_app, &id, description).await
            }
        }
    };
    let release = to_the_end(make).await?;
    let app = app::current(platform, &user, &app)?;
    let release = Shaper::new(&state, &base, &app, user.id).shape(release)?;
    Ok((StatusCode::CREATED, Json(release)))
}

/// What a new release is to be made of.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// The release to go back to: an id or a version.
    Rollback(String),
    Slug {
        id: String,
        description: Option<String>,
    },
}

/// Reads what to release. A version comes as text or as number.
fn wanted(body: &Map<String, Value>) -> ApiResult<Wanted> {
    let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    match (body.get("release"), body.get("slug")) {
        (Some(Value::String(text)), None) => Ok(Wanted::Rollback(text.clone())),
        (Some(Value::Number(number)), None) => Ok(Wanted::Rollback(number.to_string())),
        (None, Some(Value::String(id))) => {
            Ok(Wanted::Slug { id: id.clone(), description: text("description") })
        }
        _ if body.contains_key("oci_image") => Err(ApiError::invalid(
            "Images are released by process type: PATCH /apps/:app/formation with `docker_image`.",
        )),
        _ => Err(ApiError::invalid(
            "Give either `release`, the id or version of the release to roll back to, or `slug`, the id of a slug.",
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
        let slug = platform.slug_of(&release).map(|slug| slug.to_string());
        Ok(Release {
            id,
            version: release.version,
            status: release.status.as_str().to_owned(),
            current: release.version == self.app.current_release,
            created_at: time(release.created_at),
            updated_at: time(release.updated_at),
            app: app_reference(self.app),
            user: self.users.reference(release.user)?,
            artifacts: slug
                .iter()
                .map(|id| Artifact { kind: "slug".into(), id: id.clone() })
                .collect(),
            slug: slug.map(|id| IdReference { id }),
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
    fn what_is_to_be_released() {
        let wanted = |body: Value| wanted(body.as_object().unwrap());
        assert_eq!(wanted(json!({"release": "v7"})).unwrap(), Wanted::Rollback("v7".into()));
        assert_eq!(wanted(json!({"release": 7})).unwrap(), Wanted::Rollback("7".into()));
        let slug = Wanted::Slug { id: "x".into(), description: Some("y".into()) };
        assert_eq!(wanted(json!({"slug": "x", "description": "y"})).unwrap(), slug);
        for bad in [
            json!({}),
            json!({"slug": 1}),
            json!({"release": "v7", "slug": "x"}),
            json!({"oci_image": "x"}),
        ] {
            assert_eq!(wanted(bad).unwrap_err().status.as_u16(), 422);
        }
    }
}
