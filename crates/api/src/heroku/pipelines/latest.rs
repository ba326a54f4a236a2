//! The latest builds, releases and deployments of a pipeline's apps, one an app.

use crate::convention::{ApiResult, BaseUrl, Caller, RangeHeader};
use crate::heroku::{build, release};
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use windlass_control::Platform;
use windlass_control::records::{self, App, User};

/// How far back a deployment is looked for, in releases.
const DEPLOYMENTS: u32 = 100;

/// Answers what `latest` returns for each app of a pipeline that the caller may see, in which there
/// is any.
fn one_an_app<T: Serialize>(
    platform: &Platform,
    user: &User,
    pipeline: &str,
    range: RangeHeader,
    latest: impl Fn(&App) -> ApiResult<Option<T>>,
) -> ApiResult<Response> {
    let pipeline = platform.pipeline(user, pipeline)?;
    let mut all = Vec::new();
    for coupling in platform.couplings_of(user, &pipeline)? {
        all.extend(latest(&platform.app(user, &coupling.app.to_string())?)?);
    }
    Ok(range.answer(all))
}

pub(super) async fn builds(
    Caller { user, .. }: Caller,
    State(state): State<ApiState>,
    base: BaseUrl,
    range: RangeHeader,
    Path(name): Path<String>,
) -> ApiResult<Response> {
    one_an_app(&state.platform, &user, &name, range, |app| {
        let Some(build) = state.platform.builds(app, 1)?.pop() else { return Ok(None) };
        Ok(Some(build::Shaper::new(&state, &base, app, user.id)?.shape(build)?))
    })
}

pub(super) async fn releases(
    Caller { user, .. }: Caller,
    State(state): State<ApiState>,
    base: BaseUrl,
    range: RangeHeader,
    Path(name): Path<String>,
) -> ApiResult<Response> {
    one_an_app(&state.platform, &user, &name, range, |app| {
        let Some(release) = state.platform.releases(app, 1)?.pop() else { return Ok(None) };
        Ok(Some(release::Shaper::new(&state, &base, app, user.id).shape(release)?))
    })
}

/// A deployment is a release with other code than the one before it.
pub(super) async fn deployments(
    Caller { user, .. }: Caller,
    State(state): State<ApiState>,
    base: BaseUrl,
    range: RangeHeader,
    Path(name): Path<String>,
) -> ApiResult<Response> {
    one_an_app(&state.platform, &user, &name, range, |app| {
        let releases = state.platform.releases(app, DEPLOYMENTS)?;
        let Some(release) = last_deployment(&releases) else { return Ok(None) };
        Ok(Some(release::Shaper::new(&state, &base, app, user.id).shape(release.clone())?))
    })
}

/// Finds it among releases, the newest first.
fn last_deployment(releases: &[records::Release]) -> Option<&records::Release> {
    let before = releases.iter().skip(1).map(Some).chain([None]);
    let mut pairs = releases.iter().zip(before);
    let changed = pairs.find(|(release, before)| {
        release.image.is_some() && before.is_none_or(|before| before.image != release.image)
    });
    changed.map(|(release, _)| release)
}
