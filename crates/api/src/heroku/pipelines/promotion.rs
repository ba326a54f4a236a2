//! Promotions.

use super::id;
use crate::convention::{ApiResult, Caller, Control, JsonBody, RangeHeader, time};
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use windlass_control::pipelines::PromotionRequest;
use windlass_control::records::{self, Status};
use windlass_wire::{
    PipelinePromotion, PipelinePromotionCreate, PipelinePromotionTarget, PromotionSource,
};

/// Starts to promote; the targets tell what becomes of it.
pub(super) async fn create(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    JsonBody(body): JsonBody<PipelinePromotionCreate>,
) -> ApiResult<(StatusCode, Json<PipelinePromotion>)> {
    let targets: Result<Vec<_>, _> =
        body.targets.iter().map(|target| platform.app(&user, &target.app.id)).collect();
    let request = PromotionRequest {
        pipeline: platform.pipeline(&user, &body.pipeline.id)?,
        source: platform.app(&user, &body.source.app.id)?,
        release: body.source.release.map(|release| release.id),
        targets: targets?,
    };
    let (promotion, targets) = platform.promote_apps(&user, request)?;
    Ok((StatusCode::CREATED, Json(shape(&promotion, &targets))))
}

pub(super) async fn info(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(id): Path<String>,
) -> ApiResult<Json<PipelinePromotion>> {
    let (promotion, targets) = platform.promotion(&user, &id)?;
    Ok(Json(shape(&promotion, &targets)))
}

pub(super) async fn targets(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    range: RangeHeader,
    Path(id): Path<String>,
) -> ApiResult<Response> {
    let (_, targets) = platform.promotion(&user, &id)?;
    Ok(range.answer(targets.into_iter().map(shape_target).collect()))
}

fn shape(
    promotion: &records::Promotion,
    targets: &[records::PromotionTarget],
) -> PipelinePromotion {
    let pending = targets.iter().any(|target| target.status == Status::Pending);
    PipelinePromotion {
        id: promotion.id.to_string(),
        pipeline: id(promotion.pipeline),
        source: PromotionSource {
            app: id(promotion.source_app),
            release: Some(id(promotion.source_release)),
        },
        status: if pending { "pending" } else { "completed" }.to_owned(),
        created_at: time(promotion.created_at),
        updated_at: Some(time(promotion.updated_at)),
    }
}

fn shape_target(target: records::PromotionTarget) -> PipelinePromotionTarget {
    PipelinePromotionTarget {
        id: target.id.to_string(),
        app: id(target.app),
        pipeline_promotion: id(target.promotion),
        release: target.release.map(id),
        status: target.status.as_str().to_owned(),
        error_message: target.error,
    }
}
