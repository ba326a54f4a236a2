//! Pipelines themselves.

use super::{generation, owner, owner_named, shown_owner, stage};
use crate::convention::{ApiResult, Caller, Control, ExactJsonBody, JsonBody, RangeHeader, time};
use crate::heroku::stack as stacks;
use axum::Json;
use axum::extract::{Path, Query};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use windlass_control::records;
use windlass_wire::{
    ConfigVars, ConfigVarsUpdate, IdReference, Pipeline, PipelineCreate, PipelineStack,
    PipelineTransfer, PipelineTransferCreate, PipelineUpdate,
};

/// What the list is narrowed to; clients write the key as it stands here.
#[derive(Default, Deserialize)]
pub(super) struct Filter {
    #[serde(rename = "eq[name]")]
    name: Option<String>,
}

pub(super) async fn list(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Query(filter): Query<Filter>,
    range: RangeHeader,
) -> ApiResult<Response> {
    let mut pipelines = platform.pipelines(&user)?;
    if let Some(name) = &filter.name {
        pipelines.retain(|pipeline| pipeline.name.as_str() == name);
    }
    Ok(range.answer(pipelines.iter().map(shape).collect()))
}

pub(super) async fn create(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    JsonBody(body): JsonBody<PipelineCreate>,
) -> ApiResult<(StatusCode, Json<Pipeline>)> {
    let owner = body.owner.as_ref().map(owner).transpose()?;
    let pipeline = platform.create_pipeline(&user, &body.name, owner)?;
    Ok((StatusCode::CREATED, Json(shape(&pipeline))))
}

pub(super) async fn info(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(name): Path<String>,
) -> ApiResult<Json<Pipeline>> {
    Ok(Json(shape(&platform.pipeline(&user, &name)?)))
}

pub(super) async fn update(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(name): Path<String>,
    JsonBody(body): JsonBody<PipelineUpdate>,
) -> ApiResult<Json<Pipeline>> {
    let mut pipeline = platform.pipeline(&user, &name)?;
    if let Some(name) = body.name {
        pipeline = platform.rename_pipeline(&user, &pipeline, &name)?;
    }
    Ok(Json(shape(&pipeline)))
}

pub(super) async fn destroy(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(name): Path<String>,
) -> ApiResult<Json<Pipeline>> {
    let pipeline = platform.pipeline(&user, &name)?;
    platform.destroy_pipeline(&user, &pipeline)?;
    Ok(Json(shape(&pipeline)))
}

/// The stack that apps have unless they say otherwise.
pub(super) async fn stack(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(name): Path<String>,
) -> ApiResult<Json<PipelineStack>> {
    let pipeline = platform.pipeline(&user, &name)?;
    let mut couplings = platform.couplings_of(&user, &pipeline)?;
    couplings.sort_by_key(|coupling| coupling.stage);
    let last = couplings.last().map(|coupling| platform.app(&user, &coupling.app.to_string()));
    let stack = match last.transpose()? {
        Some(app) => Some(stacks::reference(platform.stack(&app)?)),
        None => None,
    };
    Ok(Json(PipelineStack { stack }))
}

pub(super) async fn transfer(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    JsonBody(body): JsonBody<PipelineTransferCreate>,
) -> ApiResult<(StatusCode, Json<PipelineTransfer>)> {
    let pipeline = platform.pipeline(&user, &body.pipeline.id)?;
    let new_owner = owner_named(&platform, &user, &body.new_owner)?;
    let given = platform.transfer_pipeline(&user, &pipeline, new_owner)?;
    let answer = PipelineTransfer {
        pipeline: IdReference { id: pipeline.id.to_string() },
        previous_owner: Some(shown_owner(pipeline.owner)),
        new_owner: Some(shown_owner(given.owner)),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

pub(super) async fn config_vars(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path((name, of)): Path<(String, String)>,
) -> ApiResult<Json<ConfigVars>> {
    let pipeline = platform.pipeline(&user, &name)?;
    Ok(Json(platform.stage_config_vars(&user, &pipeline, stage(&of)?)?))
}

pub(super) async fn update_config_vars(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path((name, of)): Path<(String, String)>,
    ExactJsonBody(changes): ExactJsonBody<ConfigVarsUpdate>,
) -> ApiResult<Json<ConfigVars>> {
    let pipeline = platform.pipeline(&user, &name)?;
    Ok(Json(platform.update_stage_config_vars(&user, &pipeline, stage(&of)?, changes)?))
}

pub(super) fn shape(pipeline: &records::Pipeline) -> Pipeline {
    Pipeline {
        id: pipeline.id.to_string(),
        name: pipeline.name.to_string(),
        owner: Some(shown_owner(pipeline.owner)),
        generation: generation(),
        created_at: time(pipeline.created_at),
        updated_at: time(pipeline.updated_at),
    }
}
