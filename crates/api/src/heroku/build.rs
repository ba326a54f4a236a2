//! Builds and their output.

use super::{Users, fixed};
use crate::convention::{ApiError, ApiResult, AppOfCaller, BaseUrl, Control, RangeHeader, time};
use crate::state::ApiState;
use crate::stream::text_stream;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use std::collections::HashMap;
use windlass_control::records::{self, App};
use windlass_control::{Platform, Result};
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

/// Streams a build's output from its beginning; ends when the build has ended.
pub(super) async fn stream(
    State(state): State<ApiState>,
    Control(platform): Control,
    Path((user, app, id, signature)): Path<(String, String, String, String)>,
) -> ApiResult<Response> {
    if !state.is_signed(&signed_part(&user, &app, &id), &signature) {
        return Err(ApiError::not_found("stream"));
    }
    let user: UserId = user.parse().map_err(|_| ApiError::not_found("stream"))?;
    let user = platform.user(user)?;
    let build = platform.build(&platform.app(&user, &app)?, &id)?;
    Ok(text_stream(platform.build_output(&build)))
}

fn signed_part(user: &str, app: &str, build: &str) -> String {
    format!("/streams/builds/{user}/{app}/{build}")
}

struct Shaper<'a> {
    state: &'a ApiState,
    base: &'a BaseUrl,
    app: &'a App,
    caller: UserId,
    users: Users<'a>,
    releases: HashMap<BuildId, String>,
}

impl<'a> Shaper<'a> {
    fn new(state: &'a ApiState, base: &'a BaseUrl, app: &'a App, caller: UserId) -> Result<Self> {
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

    fn shape(&mut self, build: records::Build) -> Result<Build> {
        let id = build.id.to_string();
        let path = signed_part(&self.caller.to_string(), &self.app.id.to_string(), &id);
        let platform = &self.state.platform;
        Ok(Build {
            output_stream_url: format!("{}{path}/{}", self.base.0, self.state.sign(&path)),
            id,
            app: IdReference { id: self.app.id.to_string() },
            status: build.status.as_str().to_owned(),
            buildpacks: build
                .buildpack
                .map(|name| vec![BuildBuildpack { url: format!("urn:buildpack:{name}"), name }]),
            source_blob: SourceBlob {
                url: self.base.rebase(&platform.git_url(self.app), &platform.settings().api_url),
                checksum: None,
                version: build.commit,
                version_description: None,
            },
            release: self.releases.get(&build.id).map(|id| IdReference { id: id.clone() }),
            slug: None,
            stack: fixed::STACK.to_owned(),
            generation: fixed::GENERATION.to_owned(),
            user: self.users.reference(build.user)?,
            created_at: time(build.created_at),
            updated_at: time(build.updated_at),
        })
    }
}
