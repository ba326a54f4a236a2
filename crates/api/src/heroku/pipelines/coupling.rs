//! Couplings: apps in pipelines.

use super::{id, stage};
use crate::convention::{
    ApiError, ApiResult, AppOfCaller, BaseUrl, Caller, Control, JsonBody, RangeHeader, time,
};
use crate::heroku::app;
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use windlass_control::records::{self, User};
use windlass_control::{Platform, PlatformError, Result};
use windlass_core::ids::TeamId;
use windlass_wire::{
    FilterApps, PipelineCoupling, PipelineCouplingCreate, PipelineCouplingUpdate, Reference,
};

/// So many apps can be asked for at once.
const FILTERED: usize = 1_000;

pub(super) async fn list(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    Ok(range.answer(shape_all(&platform, platform.couplings(&user)?)?))
}

pub(super) async fn list_of_team(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(team): Path<String>,
    range: RangeHeader,
) -> ApiResult<Response> {
    let team = platform.team(&user, &team)?;
    let of_team =
        |coupling: &records::Coupling| is_of_team(&platform, &user, coupling, team.team.id);
    let couplings = platform.couplings(&user)?.into_iter().filter(of_team).collect();
    Ok(range.answer(shape_all(&platform, couplings)?))
}

fn is_of_team(
    platform: &Platform,
    user: &User,
    coupling: &records::Coupling,
    team: TeamId,
) -> bool {
    let app = platform.app(user, &coupling.app.to_string());
    app.is_ok_and(|app| app.team == Some(team))
}

pub(super) async fn list_of_pipeline(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(name): Path<String>,
    range: RangeHeader,
) -> ApiResult<Response> {
    let pipeline = platform.pipeline(&user, &name)?;
    Ok(range.answer(shape_all(&platform, platform.couplings_of(&user, &pipeline)?)?))
}

/// Clients take an empty answer for a coupling; only 404 says that there is none.
pub(super) async fn of_app(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
) -> ApiResult<Json<PipelineCoupling>> {
    Ok(Json(shape(&platform, &platform.coupling_of_app(&app)?)?))
}

pub(super) async fn info(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(id): Path<String>,
) -> ApiResult<Json<PipelineCoupling>> {
    Ok(Json(shape(&platform, &platform.coupling(&user, &id)?)?))
}

pub(super) async fn create(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    JsonBody(body): JsonBody<PipelineCouplingCreate>,
) -> ApiResult<(StatusCode, Json<PipelineCoupling>)> {
    let app = platform.app(&user, &body.app)?;
    let pipeline = platform.pipeline(&user, &body.pipeline)?;
    let coupling = platform.couple(&user, &app, &pipeline, stage(&body.stage)?)?;
    Ok((StatusCode::CREATED, Json(shape(&platform, &coupling)?)))
}

pub(super) async fn update(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<PipelineCouplingUpdate>,
) -> ApiResult<Json<PipelineCoupling>> {
    let mut coupling = platform.coupling(&user, &id)?;
    if let Some(to) = body.stage {
        coupling = platform.move_coupling(&user, &coupling, stage(&to)?)?;
    }
    Ok(Json(shape(&platform, &coupling)?))
}

pub(super) async fn remove(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(id): Path<String>,
) -> ApiResult<Json<PipelineCoupling>> {
    let coupling = platform.coupling(&user, &id)?;
    let last = shape(&platform, &coupling)?;
    platform.uncouple(&user, &coupling)?;
    Ok(Json(last))
}

/// Answers those of the named apps that the caller may see.
pub(super) async fn filter(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    base: BaseUrl,
    range: RangeHeader,
    JsonBody(body): JsonBody<FilterApps>,
) -> ApiResult<Response> {
    if body.among.id.len() > FILTERED {
        return Err(ApiError::invalid(format!(
            "At most {FILTERED} apps can be asked for at once."
        )));
    }
    let mut apps = Vec::new();
    for id in &body.among.id {
        match platform.app(&user, id) {
            Ok(found) => apps.push(app::one(&platform, &base, &found)?),
            Err(PlatformError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(range.answer(apps))
}

fn shape_all(
    platform: &Platform,
    couplings: Vec<records::Coupling>,
) -> Result<Vec<PipelineCoupling>> {
    couplings.iter().map(|coupling| shape(platform, coupling)).collect()
}

fn shape(platform: &Platform, coupling: &records::Coupling) -> Result<PipelineCoupling> {
    let pipeline = platform.pipeline_of(coupling)?;
    Ok(PipelineCoupling {
        id: coupling.id.to_string(),
        app: id(coupling.app),
        pipeline: Reference { id: pipeline.id.to_string(), name: pipeline.name.to_string() },
        stage: coupling.stage.to_string(),
        created_at: time(coupling.created_at),
        updated_at: time(coupling.updated_at),
    })
}
