//! The buildpacks that an app's builds use.

use crate::convention::{ApiResult, AppOfCaller, Control, JsonBody, RangeHeader};
use axum::response::Response;
use windlass_wire::{Buildpack, BuildpackInstallation, BuildpackInstallations};

pub(super) async fn list(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    Ok(range.answer(shape(platform.buildpacks(&app)?)))
}

/// Replaces the whole list.
pub(super) async fn update(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    range: RangeHeader,
    JsonBody(body): JsonBody<BuildpackInstallations>,
) -> ApiResult<Response> {
    let buildpacks: Vec<String> = body.updates.into_iter().map(|update| update.buildpack).collect();
    Ok(range.answer(shape(platform.set_buildpacks(&user, &app, &buildpacks)?)))
}

fn shape(buildpacks: Vec<String>) -> Vec<BuildpackInstallation> {
    let installed = buildpacks.into_iter().enumerate();
    installed
        .map(|(ordinal, name)| BuildpackInstallation {
            ordinal,
            buildpack: Buildpack { url: url(&name), name },
        })
        .collect()
}

/// Names are URNs, as Heroku's clients expect them.
pub(super) fn url(buildpack: &str) -> String {
    let is_url = buildpack.contains("://") || buildpack.starts_with("git@");
    if is_url { buildpack.to_owned() } else { format!("urn:buildpack:{buildpack}") }
}
