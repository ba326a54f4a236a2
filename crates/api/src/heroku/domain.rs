//! Domains: the default one of every app, and those that people add.

use super::app_reference;
use crate::convention::{
    ApiError, ApiResult, AppOfCaller, Control, JsonBody, RangeHeader, derived_id, time, to_the_end,
};
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use windlass_control::Platform;
use windlass_control::records::{self, App};
use windlass_wire::{Domain, DomainCreate};

pub(super) async fn list(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    Ok(range.answer(all(&platform, &app)?))
}

pub(super) async fn create(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    JsonBody(body): JsonBody<DomainCreate>,
) -> ApiResult<(StatusCode, Json<Domain>)> {
    if body.sni_endpoint.is_some() {
        return Err(ApiError::invalid(
            "There are no SNI endpoints to attach the domain to; leave `sni_endpoint` out.",
        ));
    }
    let (control, its_app) = (platform.clone(), app.clone());
    let domain =
        to_the_end(async move { control.add_domain(&user, &its_app, &body.hostname).await })
            .await?;
    Ok((StatusCode::CREATED, Json(shape(&platform, &app, domain))))
}

pub(super) async fn info(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<Json<Domain>> {
    let mut domains = all(&platform, &app)?.into_iter();
    domains
        .find(|domain| domain.id == name || domain.hostname == name)
        .map(Json)
        .ok_or_else(|| ApiError::not_found("domain"))
}

pub(super) async fn remove(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<Json<Domain>> {
    let default = default(&platform, &app);
    if name == default.hostname || name == default.id {
        return Err(ApiError::invalid(format!(
            "{} is the app's own domain and stays with it.",
            default.hostname
        )));
    }
    let (control, its_app) = (platform.clone(), app.clone());
    let domain =
        to_the_end(async move { control.remove_domain(&user, &its_app, &name).await }).await?;
    Ok(Json(shape(&platform, &app, domain)))
}

fn all(platform: &Platform, app: &App) -> ApiResult<Vec<Domain>> {
    let mut domains = vec![default(platform, app)];
    domains.extend(platform.domains(app)?.into_iter().map(|domain| shape(platform, app, domain)));
    Ok(domains)
}

fn default(platform: &Platform, app: &App) -> Domain {
    Domain {
        id: derived_id(app.id.0, "domain").to_string(),
        hostname: platform.default_hostname(app),
        kind: "heroku".to_owned(),
        cname: None,
        status: "succeeded".to_owned(),
        acm_status: None,
        acm_status_reason: None,
        app: app_reference(app),
        sni_endpoint: None,
        created_at: time(app.created_at),
        updated_at: time(app.created_at),
    }
}

fn shape(platform: &Platform, app: &App, domain: records::Domain) -> Domain {
    Domain {
        id: domain.id.to_string(),
        hostname: domain.hostname.to_string(),
        kind: "custom".to_owned(),
        cname: Some(platform.default_hostname(app)),
        // There is nothing to wait for: the router knows the name when this is answered.
        status: "none".to_owned(),
        acm_status: None,
        acm_status_reason: None,
        app: app_reference(app),
        sni_endpoint: None,
        created_at: time(domain.created_at),
        updated_at: time(domain.created_at),
    }
}
