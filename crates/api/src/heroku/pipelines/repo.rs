//! The repository of a pipeline's review apps, and what the next stage has not of it.

use super::repo_number;
use crate::convention::{
    ApiError, ApiResult, AppOfCaller, Caller, Control, JsonBody, RangeHeader, time,
};
use crate::heroku::{app_reference, git};
use axum::Json;
use axum::body::Body;
use axum::extract::Path;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use windlass_control::pipelines::{Commit, StageDiffState};
use windlass_control::receive::Webhook;
use windlass_control::records::Pipeline;
use windlass_control::{Platform, Result};
use windlass_wire::{
    BranchCommit, DiffCommit, GitWebhook, GitWebhookCreate, PipelineBranch, PipelineDiff,
    PipelineRepo, PipelineRepoCreate,
};

pub(super) async fn info(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(name): Path<String>,
) -> ApiResult<Json<PipelineRepo>> {
    let pipeline = platform.pipeline(&user, &name)?;
    Ok(Json(shape(&platform, &pipeline, None)?))
}

pub(super) async fn connect(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(name): Path<String>,
    JsonBody(body): JsonBody<PipelineRepoCreate>,
) -> ApiResult<Json<PipelineRepo>> {
    let pipeline = platform.pipeline(&user, &name)?;
    let (pipeline, key) = platform.connect_pipeline(&user, &pipeline, Some(&body.url))?;
    Ok(Json(shape(&platform, &pipeline, key)?))
}

pub(super) async fn disconnect(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(name): Path<String>,
) -> ApiResult<Json<PipelineRepo>> {
    let pipeline = platform.pipeline(&user, &name)?;
    if pipeline.repository.is_none() {
        return Err(ApiError::not_found("repo"));
    }
    let last = shape(&platform, &pipeline, None)?;
    platform.connect_pipeline(&user, &pipeline, None)?;
    Ok(Json(last))
}

fn shape(platform: &Platform, pipeline: &Pipeline, key: Option<String>) -> Result<PipelineRepo> {
    let repository = platform.pipeline_repository(pipeline)?;
    Ok(PipelineRepo {
        id: repo_number(pipeline),
        full_name: repository.full_name,
        url: repository.url,
        internal: pipeline.repository.is_none(),
        public_key: key,
    })
}

pub(super) async fn branch(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path((name, branch)): Path<(String, String)>,
) -> ApiResult<Json<PipelineBranch>> {
    let pipeline = platform.pipeline(&user, &name)?;
    // It asks another server, with tokens of the pipeline's owner.
    platform.require_pipeline(&user, &pipeline)?;
    let sha = platform.pipeline_branch(&pipeline, &branch).await?;
    Ok(Json(PipelineBranch { name: branch, commit: BranchCommit { sha } }))
}

pub(super) async fn enable_webhook(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(name): Path<String>,
    JsonBody(body): JsonBody<GitWebhookCreate>,
) -> ApiResult<Json<GitWebhook>> {
    let pipeline = platform.pipeline(&user, &name)?;
    let Webhook { url, secret } =
        platform.enable_pipeline_webhook(&user, &pipeline, body.rotate)?;
    Ok(Json(GitWebhook { url, secret }))
}

pub(super) async fn disable_webhook(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    Path(name): Path<String>,
) -> ApiResult<Json<Value>> {
    let pipeline = platform.pipeline(&user, &name)?;
    platform.disable_pipeline_webhook(&user, &pipeline)?;
    Ok(Json(json!({})))
}

/// Takes the call of another git host. Its signature is its only credential.
pub(super) async fn call(
    Control(platform): Control,
    Path(pipeline): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let body = git::call_body(body).await?;
    let header = |name: &str| Some(headers.get(name)?.to_str().unwrap_or_default().to_owned());
    git::call_answer(platform.take_pipeline_webhook(&pipeline, &header, &body)?)
}

pub(super) async fn diff(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    let diffs = platform.pipeline_diff(&user, &app).await?.into_iter().map(|diff| {
        let status = match diff.state {
            StageDiffState::Identical => "identical",
            StageDiffState::Different => "different",
            StageDiffState::Unknown => "unknown",
        };
        let (source_commit, target_commit) = diff.commits;
        PipelineDiff {
            target: app_reference(&diff.target),
            status: status.to_owned(),
            source_commit,
            target_commit,
            commits: diff.ahead.into_iter().map(shape_commit).collect(),
            behind: diff.behind,
        }
    });
    Ok(range.answer(diffs.collect()))
}

fn shape_commit(commit: Commit) -> DiffCommit {
    let Commit { id, author, at, subject } = commit;
    DiffCommit { id, author, created_at: time(at), message: subject }
}
