//! Setups: apps from a source with an app.json.

use crate::convention::{ApiResult, BaseUrl, Caller, JsonBody, time, to_the_end};
use crate::heroku::{app_reference, fixed, output_stream, stack};
use crate::state::ApiState;
use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use windlass_control::pipelines::AppSetupRequest;
use windlass_control::receive::SourceRequest;
use windlass_control::records::{self, App, User};
use windlass_control::{PlatformError, Result};
use windlass_wire::{AppSetup, AppSetupCreate, Postdeploy, SetupBuild};

pub(super) async fn create(
    Caller { user, .. }: Caller,
    State(state): State<ApiState>,
    base: BaseUrl,
    JsonBody(body): JsonBody<AppSetupCreate>,
) -> ApiResult<(StatusCode, Json<AppSetup>)> {
    fixed::check_region(body.app.region.as_deref())?;
    stack::named(body.app.stack.as_deref())?;
    let blob = body.source_blob;
    let request = AppSetupRequest {
        name: body.app.name,
        stack: stack::named(body.app.stack.as_deref())?,
        source: SourceRequest {
            url: blob.url.unwrap_or_default(),
            version: blob.version,
            checksum: blob.checksum,
        },
        env: body.overrides.env,
        buildpacks: body.overrides.buildpacks.into_iter().map(|one| one.url).collect(),
    };
    let (platform, its_user) = (state.platform.clone(), user.clone());
    let setup = to_the_end(async move { platform.set_up_app(&its_user, request).await }).await?;
    let (setup, app) = state.platform.app_setup(&user, &setup.id.to_string())?;
    let shaped = shape(&state, &base, &user, &setup, &app)?;
    Ok((StatusCode::ACCEPTED, Json(shaped)))
}

pub(super) async fn info(
    Caller { user, .. }: Caller,
    State(state): State<ApiState>,
    base: BaseUrl,
    Path(id): Path<String>,
) -> ApiResult<Json<AppSetup>> {
    let (setup, app) = state.platform.app_setup(&user, &id)?;
    Ok(Json(shape(&state, &base, &user, &setup, &app)?))
}

fn shape(
    state: &ApiState,
    base: &BaseUrl,
    user: &User,
    setup: &records::AppSetup,
    app: &App,
) -> Result<AppSetup> {
    let build = match setup.build.map(|id| state.platform.build(app, &id.to_string())) {
        Some(Ok(build)) => {
            let id = build.id.to_string();
            let output_stream_url = output_stream::url(state, base, "builds", user.id, app, &id);
            let status = build.status.as_str().to_owned();
            Some(SetupBuild { id, status, output_stream_url })
        }
        None | Some(Err(PlatformError::NotFound { .. })) => None,
        Some(Err(error)) => return Err(error),
    };
    // What is wrong with app.json begins with its name.
    let of_manifest = |failure: &&String| failure.starts_with("app.json");
    Ok(AppSetup {
        id: setup.id.to_string(),
        app: app_reference(app),
        status: setup.status.as_str().to_owned(),
        failure_message: setup.failure.clone(),
        build,
        manifest_errors: setup.failure.iter().filter(of_manifest).cloned().collect(),
        postdeploy: setup
            .postdeploy
            .clone()
            .map(|(output, exit_code)| Postdeploy { output, exit_code }),
        resolved_success_url: None,
        created_at: time(setup.created_at),
        updated_at: time(setup.updated_at),
    })
}
