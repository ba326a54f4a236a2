//! Places to send archives to.

use super::build::Shaper;
use super::buildpack;
use crate::convention::{ApiError, ApiResult, AppOfCaller, BaseUrl, Caller, Control, JsonBody};
use crate::state::ApiState;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use http::StatusCode;
use http_body_util::BodyExt;
use serde::Deserialize;
use std::time::Duration;
use windlass_control::receive::SourceRequest;
use windlass_wire::{Build, BuildCreate, Source, SourceUrls};

/// How long a client that sends an archive may be silent.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

pub(super) async fn create(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    base: BaseUrl,
) -> (StatusCode, Json<Source>) {
    let url = format!("{}/sources/{}", base.0, platform.create_source(&user));
    let source_blob = SourceUrls { put_url: url.clone(), get_url: url };
    (StatusCode::CREATED, Json(Source { source_blob }))
}

/// The same below an app, as older clients ask for it.
pub(super) async fn create_for_app(
    _app: AppOfCaller,
    caller: Caller,
    control: Control,
    base: BaseUrl,
) -> (StatusCode, Json<Source>) {
    create(caller, control, base).await
}

/// Takes an archive. The URL carries its own secret.
pub(super) async fn upload(
    Control(platform): Control,
    Path(secret): Path<String>,
    mut body: Body,
) -> ApiResult<StatusCode> {
    let mut upload = platform.begin_upload(&secret).await?;
    loop {
        let frame = tokio::time::timeout(SILENCE_LIMIT, body.frame()).await.map_err(|_| {
            let message = "The archive stopped coming in.";
            ApiError::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
        })?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| {
            let message = format!("The archive ended early: {error}");
            ApiError::new(StatusCode::BAD_REQUEST, "bad_request", message)
        })?;
        if let Some(bytes) = frame.data_ref() {
            upload.write(bytes).await?;
        }
    }
    upload.finish().await?;
    Ok(StatusCode::OK)
}

/// A build, with what clients of Heroku may say beside it.
#[derive(Deserialize)]
pub(super) struct BuildWanted {
    #[serde(flatten)]
    build: BuildCreate,
    #[serde(default)]
    buildpacks: Vec<BuildpackWanted>,
}

#[derive(Deserialize)]
struct BuildpackWanted {
    url: Option<String>,
    name: Option<String>,
}

/// Refuses buildpacks for one build alone: to build with others than were asked for is worse.
fn check_buildpacks(own: &[String], wanted: &[BuildpackWanted]) -> ApiResult<()> {
    let is = |own: &String, wanted: &BuildpackWanted| {
        let names = [&wanted.url, &wanted.name];
        let mut names = names.into_iter().flatten();
        names.any(|name| name == own || *name == buildpack::url(own))
    };
    let same =
        own.len() == wanted.len() && own.iter().zip(wanted).all(|(own, wanted)| is(own, wanted));
    if wanted.is_empty() || same {
        return Ok(());
    }
    Err(ApiError::invalid(
        "One build alone cannot have buildpacks of its own here: set those of the app first \
         (PUT /apps/:app/buildpack-installations, `windlass buildpacks:set`).",
    ))
}

/// Starts a build of an archive.
pub(super) async fn build(
    AppOfCaller { user, app }: AppOfCaller,
    State(state): State<ApiState>,
    base: BaseUrl,
    JsonBody(body): JsonBody<BuildWanted>,
) -> ApiResult<(StatusCode, Json<Build>)> {
    check_buildpacks(&state.platform.buildpacks(&app)?, &body.buildpacks)?;
    let blob = body.build.source_blob;
    let Some(url) = blob.url else {
        return Err(ApiError::invalid("A build needs source_blob.url: see POST /sources."));
    };
    let request = SourceRequest { url, version: blob.version, checksum: blob.checksum };
    let build = state.platform.start_build(&user, &app, request)?;
    let shaped = Shaper::new(&state, &base, &app, user.id)?.shape(build)?;
    Ok((StatusCode::CREATED, Json(shaped)))
}
