//! Checks of an app's process types. Heroku has none; shapes follow its conventions.

use super::formation::process_type;
use crate::convention::{ApiResult, AppOfCaller, Control, JsonBody, to_the_end};
use axum::Json;
use axum::extract::Path;
use windlass_control::run::{CheckReport, CheckRun};
use windlass_control::{PlatformError, Result};
use windlass_core::checks::{Check as CoreCheck, CheckSettings, InvalidCheck};
use windlass_wire::{Check, CheckCreate, CheckResult, ChecksUpdate};

pub(super) async fn list(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
) -> ApiResult<Json<Vec<Check>>> {
    Ok(Json(platform.checks(&app)?.into_iter().map(shape).collect()))
}

pub(super) async fn update(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
    JsonBody(body): JsonBody<ChecksUpdate>,
) -> ApiResult<Json<Vec<Check>>> {
    let process = process_type(&platform, &app, &name)?;
    let checks = body.checks.into_iter().map(read).collect::<Result<Vec<CoreCheck>>>()?;
    let (changing, of) = (platform.clone(), app.clone());
    to_the_end(
        async move { changing.set_checks(&user, &of, process, Some(checks), body.add).await },
    )
    .await?;
    Ok(Json(platform.checks(&app)?.into_iter().map(shape).collect()))
}

pub(super) async fn remove(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<Json<Vec<Check>>> {
    let process = process_type(&platform, &app, &name)?;
    let (changing, of) = (platform.clone(), app.clone());
    to_the_end(async move { changing.set_checks(&user, &of, process, None, false).await }).await?;
    Ok(Json(platform.checks(&app)?.into_iter().map(shape).collect()))
}

pub(super) async fn run(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
) -> ApiResult<Json<Vec<CheckResult>>> {
    let results = platform.run_checks(&app).await?;
    Ok(Json(results.into_iter().map(result).collect()))
}

fn read(check: CheckCreate) -> Result<CoreCheck> {
    let settings = CheckSettings {
        name: check.name,
        kind: check.kind,
        path: check.path,
        content: check.content,
        headers: check.http_headers.into_iter().map(|h| (h.name, h.value)).collect(),
        port: check.port,
        listening: check.listening,
        command: check.command,
        uptime: check.uptime,
        attempts: check.attempts,
        wait: check.wait,
        timeout: check.timeout,
        initial_delay: check.initial_delay,
        only_warns: check.warn,
    };
    settings.check().map_err(|InvalidCheck(what, problem)| {
        PlatformError::Invalid(format!("This check cannot be used: {what} {problem}."))
    })
}

fn shape(report: CheckReport) -> Check {
    let check = report.check;
    Check {
        process_type: report.process.to_string(),
        kind: check.kind.as_str().to_owned(),
        description: check.probe.describe(),
        name: check.name,
        source: report.source.to_owned(),
        attempts: check.attempts,
        wait: check.wait_seconds,
        timeout: check.timeout_seconds,
        initial_delay: check.initial_delay_seconds,
        warn: check.only_warns,
    }
}

fn result(run: CheckRun) -> CheckResult {
    CheckResult {
        dyno: run.instance,
        check: run.check.name,
        kind: run.check.kind.as_str().to_owned(),
        passed: run.problem.is_none(),
        message: run.problem,
    }
}
