//! Builds and their output.

use super::{Users, buildpack, fixed, output_stream};
use crate::convention::{ApiResult, AppOfCaller, BaseUrl, Control, RangeHeader, time, to_the_end};
use crate::state::ApiState;
use crate::stream::text_stream;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use std::collections::HashMap;
use windlass_control::records::{self, App, BuildStatus};
use windlass_control::{Platform, Result};
use windlass_core::access::Permission;
use windlass_core::ids::{BuildId, UserId};
use windlass_wire::{Build, BuildBuildpack, IdReference, SourceBlob};

/// User, app, build, and the signature that makes the URL unguessable.
pub(super) const STREAM_ROUTE: &str = "/streams/builds/{user}/{app}/{build}/{signature}";

pub(super) async fn list(
    AppOfCaller { user, app }: AppOfCaller,
    State(state): State<ApiState>,
    base: BaseUrl,
    range: RangeHeader,
) -> ApiResult<Response> {
    let builds = state.platform.builds(&app, range.newest(&["created_at"]))?;
    let mut shaper = Shaper::new(&state, &base, &app, user.id)?;
    let builds: Result<Vec<Build>> = builds.into_iter().map(|build| shaper.shape(build)).collect();
    Ok(range.answer(builds?))
}

pub(super) async fn info(
    AppOfCaller { user, app }: AppOfCaller,
    State(state): State<ApiState>,
    base: BaseUrl,
    Path((_, id)): Path<(String, String)>,
) -> ApiResult<Json<Build>> {
    let build = state.platform.build(&app, &id)?;
    Ok(Json(Shaper::new(&state, &base, &app, user.id)?.shape(build)?))
}

/// Stops a build, or its release if that is not live yet.
pub(super) async fn cancel(
    AppOfCaller { user, app }: AppOfCaller,
    State(state): State<ApiState>,
    base: BaseUrl,
    Path((_, id)): Path<(String, String)>,
) -> ApiResult<Json<Build>> {
    let build = state.platform.cancel_build(&user, &app, &id).await?;
    Ok(Json(Shaper::new(&state, &base, &app, user.id)?.shape(build)?))
}

/// Empties an app's build cache.
pub(super) async fn purge_cache(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
) -> ApiResult<Json<serde_json::Value>> {
    to_the_end(async move { platform.purge_build_cache(&user, &app).await }).await?;
    Ok(Json(serde_json::json!({})))
}

/// Streams a build's output from its beginning; ends when its release is live or has failed.
pub(super) async fn stream(
    State(state): State<ApiState>,
    Path(parts): Path<output_stream::Parts>,
) -> ApiResult<Response> {
    let (app, id) = output_stream::open(&state, "builds", parts, Permission::View)?;
    let build = state.platform.build(&app, &id)?;
    Ok(text_stream(state.platform.build_output(&build)))
}

pub(super) struct Shaper<'a> {
    state: &'a ApiState,
    base: &'a BaseUrl,
    app: &'a App,
    caller: UserId,
    users: Users<'a>,
    releases: HashMap<BuildId, String>,
}

impl<'a> Shaper<'a> {
    pub(super) fn new(
        state: &'a ApiState,
        base: &'a BaseUrl,
        app: &'a App,
        caller: UserId,
    ) -> Result<Self> {
        let platform: &Platform = &state.platform;
        let mut releases = HashMap::new();
        // Oldest last, and it wins: a rollback repeats the build of the release it goes back to.
        for release in platform.releases(app, u32::MAX)? {
            if let Some(build) = release.build {
                releases.insert(build, release.id.to_string());
            }
        }
        Ok(Self { state, base, app, caller, users: Users::new(platform), releases })
    }

    pub(super) fn shape(&mut self, build: records::Build) -> Result<Build> {
        let id = build.id.to_string();
        let output_stream_url =
            output_stream::url(self.state, self.base, "builds", self.caller, self.app, &id);
        let platform = &self.state.platform;
        let slug = platform.slug_of_build(&build).map(|id| IdReference { id: id.to_string() });
        Ok(Build {
            output_stream_url,
            id,
            app: IdReference { id: self.app.id.to_string() },
            status: build.status.as_str().to_owned(),
            buildpacks: (build.status == BuildStatus::Succeeded).then(|| {
                let used = build.buildpacks.into_iter();
                used.map(|name| BuildBuildpack { url: buildpack::url(&name), name }).collect()
            }),
            source_blob: SourceBlob {
                url: self.base.rebase(&platform.git_url(self.app), &platform.settings().api_url),
                checksum: None,
                version: build.commit,
                version_description: None,
            },
            release: self.releases.get(&build.id).map(|id| IdReference { id: id.clone() }),
            slug,
            stack: platform.stack_of_image(build.image.as_ref()).to_owned(),
            generation: fixed::GENERATION.to_owned(),
            user: self.users.reference(build.user)?,
            failure: build.failure,
            created_at: time(build.created_at),
            updated_at: time(build.updated_at),
        })
    }
}
