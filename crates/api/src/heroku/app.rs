//! Apps and who works on them.

use super::{Users, app_reference, fixed};
use crate::convention::{
    ApiError, ApiResult, AppOfCaller, BaseUrl, Caller, Control, JsonBody, RangeHeader, derived_id,
    time, to_the_end,
};
use axum::Json;
use axum::extract::Query;
use axum::response::Response;
use http::StatusCode;
use windlass_control::records;
use windlass_control::{Platform, Result};
use windlass_wire::{App, AppCreate, AppUpdate, Collaborator};

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
) -> ApiResult<(StatusCode, Json<App>)> {
    fixed::check_region(body.region.as_deref())?;
    fixed::check_stack(body.stack.as_deref())?;
    let control = platform.clone();
    let app =
        to_the_end(async move { control.create_app(&caller.user, body.name.as_deref()).await })
            .await?;
    let app = shape(&platform, &base, &mut Users::new(&platform), &app)?;
    Ok((StatusCode::CREATED, Json(app)))
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
    fixed::check_stack(body.build_stack.as_deref())?;
    let control = platform.clone();
    let change = async move {
        let mut app = app;
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

pub(super) async fn collaborators(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    let owner = Collaborator {
        id: derived_id(app.id.0, "owner").to_string(),
        app: app_reference(&app),
        user: Users::new(&platform).reference(app.owner)?,
        role: "owner".to_owned(),
        permissions: Vec::new(),
        created_at: time(app.created_at),
        updated_at: time(app.created_at),
    };
    Ok(range.answer(vec![owner]))
}

/// Returns the app as others of its resources answer with it.
pub(super) fn one(platform: &Platform, base: &BaseUrl, app: &records::App) -> Result<App> {
    shape(platform, base, &mut Users::new(platform), app)
}

fn shape(
    platform: &Platform,
    base: &BaseUrl,
    users: &mut Users<'_>,
    app: &records::App,
) -> Result<App> {
    let build = platform.current_build(app)?;
    Ok(App {
        id: app.id.to_string(),
        name: app.name.to_string(),
        acm: platform.has_automatic_certificates(app)?,
        archived_at: None,
        slug_size: build.as_ref().and_then(|build| build.image_size),
        buildpack_provided_description: build.and_then(|build| build.buildpack),
        build_stack: fixed::stack_reference(),
        stack: fixed::stack_reference(),
        created_at: time(app.created_at),
        updated_at: time(app.updated_at),
        released_at: app.released_at.map(time),
        git_url: base.rebase(&platform.git_url(app), &platform.settings().api_url),
        generation: fixed::generation_reference(),
        internal_routing: None,
        maintenance: app.maintenance,
        owner: users.reference(app.owner)?,
        organization: None,
        team: None,
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
