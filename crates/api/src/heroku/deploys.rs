//! How an app's deploys go: settings, lock, canary, and stopping it as a whole. Heroku has none of
//! it; shapes follow its conventions.

use crate::convention::{
    ApiResult, AppOfCaller, Control, ExactJsonBody, JsonBody, time, to_the_end,
};
use axum::Json;
use windlass_control::records;
use windlass_core::deploy_settings::{DeploySettings, Strategy};
use windlass_wire::{Canary, DeployLock, DeployLockCreate, Deploys, DeploysUpdate};

pub(super) async fn info(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
) -> ApiResult<Json<Deploys>> {
    Ok(Json(shape(platform.deploys(&app)?)))
}

pub(super) async fn update(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    ExactJsonBody(update): ExactJsonBody<DeploysUpdate>,
) -> ApiResult<Json<Deploys>> {
    let before = platform.deploys(&app)?.settings;
    let settings = changed(before, update).map_err(windlass_control::PlatformError::from)?;
    let change = async move { platform.set_deploy_settings(&user, &app, settings).await };
    Ok(Json(shape(to_the_end(change).await?)))
}

fn changed(
    before: DeploySettings,
    update: DeploysUpdate,
) -> Result<DeploySettings, windlass_core::deploy_settings::DeploySettingsError> {
    let strategy = match update.strategy {
        Some(Some(text)) => text.parse()?,
        Some(None) => Strategy::default(),
        None => before.strategy,
    };
    Ok(DeploySettings {
        strategy,
        surge: update.surge.unwrap_or(before.surge),
        canary_percent: update.canary_percent.unwrap_or(before.canary_percent),
        drain_seconds: update.drain_seconds.unwrap_or(before.drain_seconds),
        grace_seconds: update.grace_seconds.unwrap_or(before.grace_seconds),
        priority: update.priority.unwrap_or(before.priority),
    })
}

pub(super) async fn promote(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
) -> ApiResult<Json<Deploys>> {
    platform.promote_canary(&user, &app).await?;
    Ok(Json(shape(platform.deploys(&app)?)))
}

pub(super) async fn abort(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
) -> ApiResult<Json<Deploys>> {
    platform.abort_canary(&user, &app).await?;
    Ok(Json(shape(platform.deploys(&app)?)))
}

pub(super) async fn lock(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    JsonBody(body): JsonBody<DeployLockCreate>,
) -> ApiResult<Json<Deploys>> {
    platform.lock_deploys(&user, &app, body.reason).await?;
    Ok(Json(shape(platform.deploys(&app)?)))
}

pub(super) async fn unlock(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
) -> ApiResult<Json<Deploys>> {
    platform.unlock_deploys(&user, &app).await?;
    Ok(Json(shape(platform.deploys(&app)?)))
}

pub(super) async fn stop(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
) -> ApiResult<Json<Deploys>> {
    platform.stop_app(&user, &app).await?;
    Ok(Json(shape(platform.deploys(&app)?)))
}

pub(super) async fn start(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
) -> ApiResult<Json<Deploys>> {
    platform.start_app(&user, &app).await?;
    Ok(Json(shape(platform.deploys(&app)?)))
}

fn shape(deploys: records::Deploys) -> Deploys {
    let settings = deploys.settings;
    Deploys {
        strategy: settings.strategy.as_str().to_owned(),
        surge: settings.surge,
        canary_percent: settings.canary_percent(),
        drain_seconds: settings.drain_seconds,
        grace_seconds: settings.grace_seconds,
        priority: settings.priority(),
        stopped: deploys.stopped,
        lock: deploys.lock.map(|lock| DeployLock {
            by: lock.by,
            reason: lock.reason,
            created_at: time(lock.at_ms),
        }),
        canary: deploys
            .canary
            .map(|canary| Canary { version: canary.release, percent: canary.percent }),
    }
}
