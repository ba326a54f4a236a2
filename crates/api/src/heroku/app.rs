//! Apps.

use super::{Users, fixed, stack, team};
use crate::convention::audit::About;
use crate::convention::{
    ApiError, ApiResult, AppOfCaller, BaseUrl, Caller, Control, JsonBody, RangeHeader, time,
    to_the_end,
};
use axum::extract::Query;
use axum::response::Response;
use axum::{Extension, Json};
use http::StatusCode;
use serde_json::Value;
use windlass_control::records;
use windlass_control::{Platform, Result};
use windlass_wire::{App, AppCreate, AppUpdate};

pub(super) async fn list(
    caller: Caller,
    Control(platform): Control,
    base: BaseUrl,
    range: RangeHeader,
) -> ApiResult<Response> {
    let mut users = Users::new(&platform);
    let apps = platform.apps(&caller.user)?;
    let apps: Result<Vec<App>> =
        apps.iter().map(|app| shape(&platform, &base, &mut users, app)).collect();
    Ok(range.answer(apps?))
}

pub(super) async fn create(
    caller: Caller,
    Control(platform): Control,
    base: BaseUrl,
    JsonBody(body): JsonBody<AppCreate>,
) -> ApiResult<(StatusCode, Extension<About>, Json<App>)> {
    fixed::check_region(body.region.as_deref())?;
    let stack = stack::named(body.stack.as_deref())?;
    let control = platform.clone();
    let create = async move {
        let app = control.create_app(&caller.user, body.name.as_deref()).await?;
        if let Some(stack) = stack {
            control.set_build_stack(&caller.user, &app, stack)?;
        }
        Ok(app)
    };
    let app = to_the_end(create).await?;
    let shape = shape(&platform, &base, &mut Users::new(&platform), &app)?;
    Ok((StatusCode::CREATED, Extension(About(app)), Json(shape)))
}

pub(super) async fn info(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    base: BaseUrl,
) -> ApiResult<Json<App>> {
    Ok(Json(shape(&platform, &base, &mut Users::new(&platform), &app)?))
}

pub(super) async fn update(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    base: BaseUrl,
    JsonBody(body): JsonBody<AppUpdate>,
) -> ApiResult<Json<App>> {
    let stack = stack::named(body.build_stack.as_deref())?;
    let control = platform.clone();
    let change = async move {
        let mut app = app;
        if let Some(stack) = stack {
            control.set_build_stack(&user, &app, stack)?;
        }
        if let Some(on) = body.maintenance {
            app = control.set_maintenance(&user, &app, on).await?;
        }
        if let Some(name) = body.name.filter(|name| *name != app.name.as_str()) {
            app = control.rename_app(&user, &app, &name).await?;
        }
        Ok(app)
    };
    let app = to_the_end(change).await?;
    Ok(Json(shape(&platform, &base, &mut Users::new(&platform), &app)?))
}

/// What is destroyed with an app, beside what always is.
#[derive(serde::Deserialize)]
pub(super) struct DestroyOptions {
    #[serde(default)]
    with_volumes: bool,
}

pub(super) async fn destroy(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    base: BaseUrl,
    Query(options): Query<DestroyOptions>,
) -> ApiResult<Json<App>> {
    let last = shape(&platform, &base, &mut Users::new(&platform), &app)?;
    to_the_end(async move { platform.destroy_app(&user, &app, options.with_volumes).await })
        .await?;
    Ok(Json(last))
}

/// Returns the app as others of its resources answer with it.
pub(super) fn one(platform: &Platform, base: &BaseUrl, app: &records::App) -> Result<App> {
    shape(platform, base, &mut Users::new(platform), app)
}

/// Returns the app with what only apps of teams have, as `user` sees it.
pub(super) fn team_shape(
    platform: &Platform,
    base: &BaseUrl,
    user: &records::User,
    app: &records::App,
) -> Result<Value> {
    let joined = platform.collaborators(app)?.iter().any(|one| one.user.id == user.id)
        || (app.team.is_none() && app.owner == user.id);
    let mut shape = serde_json::json!(one(platform, base, app)?);
    shape["locked"] = app.locked.into();
    shape["joined"] = joined.into();
    Ok(shape)
}

fn shape(
    platform: &Platform,
    base: &BaseUrl,
    users: &mut Users<'_>,
    app: &records::App,
) -> Result<App> {
    let build = platform.current_build(app)?;
    let of = platform.team_of_app(app)?;
    Ok(App {
        id: app.id.to_string(),
        name: app.name.to_string(),
        acm: platform.has_automatic_certificates(app)?,
        archived_at: None,
        slug_size: build.as_ref().and_then(|build| build.image_size),
        buildpack_provided_description: build.and_then(|build| build.buildpack),
        build_stack: stack::reference(platform.build_stack(app)?),
        stack: stack::reference(platform.stack(app)?),
        created_at: time(app.created_at),
        updated_at: time(app.updated_at),
        released_at: app.released_at.map(time),
        git_url: base.rebase(&platform.git_url(app), &platform.settings().api_url),
        generation: fixed::generation_reference(),
        internal_routing: None,
        maintenance: app.maintenance,
        owner: match &of {
            Some(of) => team::manager(of),
            None => users.reference(app.owner)?,
        },
        organization: of.as_ref().map(team::reference),
        team: of.as_ref().map(team::reference),
        region: fixed::region_reference(),
        repo_size: None,
        space: None,
        web_url: platform.app_url(app),
        process_tier: "production".to_owned(),
    })
}

/// The current state of an app whose record may have changed since it was read.
pub(super) fn current(
    platform: &Platform,
    user: &records::User,
    app: &records::App,
) -> ApiResult<records::App> {
    platform.app(user, &app.id.to_string()).map_err(ApiError::from)
}
