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
use windlass_wire::{Domain, DomainCreate, DomainUpdate, Reference};

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
    if let Some(endpoint) = &body.sni_endpoint {
        platform.certificate_covering(&app, &body.hostname, endpoint)?;
    }
    let (control, its_app) = (platform.clone(), app.clone());
    let domain = to_the_end(async move {
        let domain = control.add_domain(&user, &its_app, &body.hostname).await?;
        let endpoint = body.sni_endpoint.as_deref();
        if endpoint.is_some() {
            let id = domain.id.to_string();
            control.choose_domain_certificate(&user, &its_app, &id, endpoint).await?;
        }
        Ok(domain)
    });
    let domain = domain.await?;
    Ok((StatusCode::CREATED, Json(one(&platform, &app, &domain.id.to_string())?)))
}

/// Chooses the certificate that is shown for a domain.
pub(super) async fn update(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
    JsonBody(body): JsonBody<DomainUpdate>,
) -> ApiResult<Json<Domain>> {
    let (control, its_app) = (platform.clone(), app.clone());
    let chosen = to_the_end(async move {
        let endpoint = body.sni_endpoint.as_deref();
        control.choose_domain_certificate(&user, &its_app, &name, endpoint).await
    });
    let domain = chosen.await?;
    Ok(Json(one(&platform, &app, &domain.id.to_string())?))
}

pub(super) async fn info(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<Json<Domain>> {
    one(&platform, &app, &name).map(Json)
}

fn one(platform: &Platform, app: &App, name: &str) -> ApiResult<Domain> {
    let mut domains = all(platform, app)?.into_iter();
    domains
        .find(|domain| domain.id == name || domain.hostname == name)
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

pub(super) fn all(platform: &Platform, app: &App) -> windlass_control::Result<Vec<Domain>> {
    let mut domains = vec![default(platform, app)];
    domains.extend(platform.domains(app)?.into_iter().map(|domain| shape(platform, app, domain)));
    let mut automatic = platform.automatic_certificates_by_host(app)?;
    for domain in &mut domains {
        if let Some(certificate) = automatic.remove(&domain.hostname) {
            domain.acm_status = certificate.status.as_str().map(str::to_owned);
            domain.acm_status_reason = certificate.reason;
        }
    }
    for view in platform.app_certificates(app)? {
        let certificate = view.certificate;
        for domain in domains.iter_mut().filter(|domain| view.hosts.contains(&domain.hostname)) {
            let (id, name) = (certificate.id.to_string(), certificate.name.clone());
            domain.sni_endpoint = Some(Reference { id, name });
        }
    }
    let redirects = platform.routing_settings(app)?.redirects;
    for (from, redirect) in redirects {
        let of = domains.iter_mut().find(|domain| domain.hostname == from.as_str());
        of.into_iter().for_each(|domain| domain.redirect = Some(redirect.to.to_string()));
    }
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
        redirect: None,
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
        redirect: None,
        created_at: time(domain.created_at),
        updated_at: time(domain.created_at),
    }
}
