//! Cron jobs and their history. Heroku's scheduler has no API; the shapes follow its conventions.

use crate::convention::{ApiResult, AppOfCaller, Control, JsonBody, RangeHeader, time, to_the_end};
use axum::Json;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use windlass_control::PlatformError;
use windlass_control::records;
use windlass_control::run::CronJobView;
use windlass_core::cron::{CronSettings, Overlap};
use windlass_wire::{CronJob, CronJobCreate, CronJobUpdate, CronRun};

/// More runs of a job are not kept.
const RUNS: u32 = 100;

pub(super) async fn list(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    let jobs = platform.cron_jobs(&app).await?.into_iter();
    Ok(range.answer(jobs.map(shape).collect()))
}

pub(super) async fn create(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    JsonBody(body): JsonBody<CronJobCreate>,
) -> ApiResult<(StatusCode, Json<CronJob>)> {
    let name = body.name.clone();
    let settings = settings(body)?;
    let add = async move { platform.add_cron_job(&user, &app, name.as_deref(), settings).await };
    Ok((StatusCode::CREATED, Json(shape(to_the_end(add).await?))))
}

fn settings(body: CronJobCreate) -> Result<CronSettings, PlatformError> {
    let mut settings = CronSettings::new(body.command, body.schedule);
    if let Some(policy) = body.concurrency_policy {
        let policy: Result<Overlap, _> = policy.parse();
        settings.overlap = policy.map_err(|error| PlatformError::Invalid(format!("{error}.")))?;
    }
    settings.timezone = body.timezone;
    settings.maintenance = body.maintenance.unwrap_or(settings.maintenance);
    settings.catch_up = body.catch_up.unwrap_or(settings.catch_up);
    settings.timeout = body.timeout.unwrap_or(settings.timeout);
    Ok(settings)
}

pub(super) async fn info(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Path((_, job)): Path<(String, String)>,
) -> ApiResult<Json<CronJob>> {
    Ok(Json(shape(platform.cron_job(&app, &job)?)))
}

pub(super) async fn update(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, job)): Path<(String, String)>,
    JsonBody(body): JsonBody<CronJobUpdate>,
) -> ApiResult<Json<CronJob>> {
    let change = async move {
        match body.suspended {
            Some(suspended) => platform.suspend_cron_job(&user, &app, &job, suspended).await,
            None => platform.cron_job(&app, &job),
        }
    };
    Ok(Json(shape(to_the_end(change).await?)))
}

pub(super) async fn remove(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, job)): Path<(String, String)>,
) -> ApiResult<Json<CronJob>> {
    let remove = async move { platform.remove_cron_job(&user, &app, &job).await };
    Ok(Json(shape(to_the_end(remove).await?)))
}

pub(super) async fn runs(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Path((_, job)): Path<(String, String)>,
    range: RangeHeader,
) -> ApiResult<Response> {
    let runs = platform.cron_runs(&app, &job, RUNS)?.into_iter();
    Ok(range.answer(runs.map(shape_run).collect()))
}

/// Starts the job now.
pub(super) async fn run(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, job)): Path<(String, String)>,
) -> ApiResult<(StatusCode, Json<CronRun>)> {
    let run = async move { platform.run_cron_job(&user, &app, &job).await };
    Ok((StatusCode::CREATED, Json(shape_run(to_the_end(run).await?))))
}

pub(super) async fn run_info(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Path((_, job, run)): Path<(String, String, String)>,
) -> ApiResult<Json<CronRun>> {
    Ok(Json(shape_run(platform.cron_run(&app, &job, &run)?)))
}

pub(super) async fn output(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Path((_, job, run)): Path<(String, String, String)>,
) -> ApiResult<Response> {
    let run = platform.cron_run(&app, &job, &run)?;
    let text = platform.cron_output(&app, &run).await?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

fn shape(view: CronJobView) -> CronJob {
    let CronJobView { job, last_run } = view;
    let settings = job.settings;
    CronJob {
        id: job.id.to_string(),
        name: job.name.to_string(),
        command: settings.command,
        schedule: settings.schedule,
        timezone: settings.timezone.unwrap_or_else(|| "UTC".to_owned()),
        concurrency_policy: settings.overlap.as_str().to_owned(),
        maintenance: settings.maintenance,
        catch_up: settings.catch_up,
        timeout: settings.timeout,
        source: if job.from_app_json { "app.json" } else { "user" }.to_owned(),
        suspended: job.suspended,
        next_run_at: job.next_at.map(time),
        last_run: last_run.map(shape_run),
        created_at: time(job.created_at),
        updated_at: time(job.updated_at),
    }
}

fn shape_run(run: records::CronRun) -> CronRun {
    CronRun {
        id: run.id.to_string(),
        name: format!("cron.{}", run.number),
        number: run.number,
        job: run.job.to_string(),
        cause: run.cause.as_str().to_owned(),
        status: run.status.as_str().to_owned(),
        command: run.command,
        release: run.release,
        exit_code: run.exit_code,
        reason: run.reason,
        scheduled_at: run.scheduled_at.map(time),
        started_at: time(run.started_at),
        ended_at: run.ended_at.map(time),
        duration: run.ended_at.map(|ended_at| ended_at.saturating_sub(run.started_at)),
    }
}
