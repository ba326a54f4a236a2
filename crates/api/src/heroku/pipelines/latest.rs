//! The latest builds, releases and deployments of a pipeline's apps, one an app.

use crate::convention::{ApiResult, BaseUrl, Caller, RangeHeader};
use crate::heroku::{build, release};
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::response::Response;
use windlass_control::records::{App, User};
use windlass_wire::{Build, Release};

/// How far back a deployment is looked for, in releases.
const DEPLOYMENTS: u32 = 100;

/// Returns the apps of a pipeline that a caller may see.
fn apps(state: &ApiState, user: &User, name: &str) -> ApiResult<Vec<App>> {
    let platform = &state.platform;
    let pipeline = platform.pipeline(user, name)?;
    let couplings = platform.couplings_of(user, &pipeline)?.into_iter();
    let apps: Result<_, _> =
        couplings.map(|coupling| platform.app(user, &coupling.app.to_string())).collect();
    Ok(apps?)
}

pub(super) async fn builds(
    Caller { user, .. }: Caller,
    State(state): State<ApiState>,
    base: BaseUrl,
    range: RangeHeader,
    Path(name): Path<String>,
) -> ApiResult<Response> {
    let mut latest: Vec<Build> = Vec::new();
    for app in apps(&state, &user, &name)? {
        for build in state.platform.builds(&app, 1)? {
            latest.push(build::Shaper::new(&state, &base, &app, user.id)?.shape(build)?);
        }
    }
    Ok(range.answer(latest))
}

pub(super) async fn releases(
    Caller { user, .. }: Caller,
    State(state): State<ApiState>,
    base: BaseUrl,
    range: RangeHeader,
    Path(name): Path<String>,
) -> ApiResult<Response> {
    let mut latest: Vec<Release> = Vec::new();
    for app in apps(&state, &user, &name)? {
        for release in state.platform.releases(&app, 1)? {
            latest.push(release::Shaper::new(&state, &base, &app, user.id).shape(release)?);
        }
    }
    Ok(range.answer(latest))
}

/// A deployment is a release with other code than the one before it.
pub(super) async fn deployments(
    Caller { user, .. }: Caller,
    State(state): State<ApiState>,
    base: BaseUrl,
    range: RangeHeader,
    Path(name): Path<String>,
) -> ApiResult<Response> {
    let mut latest: Vec<Release> = Vec::new();
    for app in apps(&state, &user, &name)? {
        let releases = state.platform.releases(&app, DEPLOYMENTS)?;
        let before = releases.iter().skip(1).map(Some).chain([None]);
        let mut pairs = releases.iter().zip(before);
        let changed = pairs.find(|(release, before)| {
            release.image.is_some() && before.is_none_or(|before| before.image != release.image)
        });
        if let Some((release, _)) = changed {
            let mut shaper = release::Shaper::new(&state, &base, &app, user.id);
            latest.push(shaper.shape(release.clone())?);
        }
    }
    Ok(range.answer(latest))
}
