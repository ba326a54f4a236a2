//! Review apps.

use super::id;
use crate::convention::{
    ApiResult, AppOfCaller, Caller, Control, JsonBody, RangeHeader, time, to_the_end,
};
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use windlass_control::pipelines::ReviewAppRequest;
use windlass_control::receive::SourceRequest;
use windlass_control::records::{self, ReviewAppStatus};
use windlass_wire::{BuildSource, ReviewApp, ReviewAppCreate};

/// What clients send in place of a URL if the server is to find the source itself.
const RESOLVE: &str = "resolve";

pub(super) async fn create(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    JsonBody(body): JsonBody<ReviewAppCreate>,
) -> ApiResult<(StatusCode, Json<ReviewApp>)> {
    let pipeline = platform.pipeline(&user, &body.pipeline)?;
    let request = ReviewAppRequest {
        branch: body.branch,
        request: body.pr_number,
        source: source(body.source_blob),
        environment: body.environment,
    };
    let created = async move { platform.create_review_app(&user, &pipeline, request).await };
    let review = to_the_end(created).await?;
    Ok((StatusCode::CREATED, Json(shape(review))))
}

fn source(blob: BuildSource) -> Option<SourceRequest> {
    let url = blob.url.filter(|url| url != RESOLVE)?;
    Some(SourceRequest { url, version: blob.version, checksum: blob.checksum })
}

pub(super) async fn list(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    range: RangeHeader,
    Path(name): Path<String>,
) -> ApiResult<Response> {
    let pipeline = platform.pipeline(&user, &name)?;
    let reviews = platform.review_apps(&pipeline)?;
    Ok(range.answer(reviews.into_iter().map(shape).collect()))
}

pub(super) async fn info(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(id): Path<String>,
) -> ApiResult<Json<ReviewApp>> {
    Ok(Json(shape(platform.review_app(&user, &id)?)))
}

pub(super) async fn of_app(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
) -> ApiResult<Json<ReviewApp>> {
    Ok(Json(shape(platform.review_app_of(&app)?)))
}

/// Answers at once; it is gone a little later.
pub(super) async fn destroy(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(id): Path<String>,
) -> ApiResult<Json<ReviewApp>> {
    let review = platform.review_app(&user, &id)?;
    Ok(Json(shape(platform.destroy_review_app(&user, &review)?)))
}

fn shape(review: records::ReviewApp) -> ReviewApp {
    // Heroku tells here what it was doing when it failed.
    let failed = review.status == ReviewAppStatus::Errored;
    ReviewApp {
        id: review.id.to_string(),
        app: review.app.map(id),
        app_setup: review.setup.map(id),
        branch: review.branch,
        pipeline: id(review.pipeline),
        status: review.status.as_str().to_owned(),
        creator: id(review.creator),
        wait_for_ci: false,
        error_status: failed.then(|| "creating".to_owned()),
        message: review.message,
        fork_repo: None,
        pr_number: review.request,
        created_at: time(review.created_at),
        updated_at: time(review.updated_at),
    }
}
