//! Certificates as Heroku's SNI endpoints, and the private authority.

use super::app_reference;
use crate::convention::{
    ApiResult, AppOfCaller, Caller, Control, JsonBody, RangeHeader, time, to_the_end,
};
use axum::Json;
use axum::extract::{Path, Query};
use axum::response::Response;
use http::StatusCode;
use windlass_control::certificates::CertificateView;
use windlass_control::records::App;
use windlass_core::certificate::Origin;
use windlass_wire::{
    CertificateAuthority, SniEndpoint, SniEndpointCheck, SniEndpointCreate, SslCertificate,
};

/// What is listed beside what Heroku lists.
#[derive(serde::Deserialize)]
pub(super) struct ListOptions {
    #[serde(default)]
    with_platform: bool,
}

/// Lists certificates that were added to the app or issued for it. Those of the private authority
/// and the platform's own only on request: Heroku's CLI would want to know which one is meant.
pub(super) async fn list(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Query(options): Query<ListOptions>,
    range: RangeHeader,
) -> ApiResult<Response> {
    let listed = |view: &CertificateView| {
        let certificate = &view.certificate;
        let is_apps = certificate.app.is_some() && certificate.origin != Origin::Private;
        is_apps || options.with_platform
    };
    let views = platform.app_certificates(&app)?.into_iter().filter(listed);
    Ok(range.answer(views.map(|view| shape(&app, view, Vec::new())).collect()))
}

/// Answers when the certificate is in force.
pub(super) async fn create(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    JsonBody(body): JsonBody<SniEndpointCreate>,
) -> ApiResult<(StatusCode, Json<SniEndpoint>)> {
    let its_app = app.clone();
    let added = to_the_end(async move {
        let (chain, key) = (&body.certificate_chain, &body.private_key);
        platform.add_certificate(&user, &its_app, chain, key).await
    });
    let (view, warnings) = added.await?;
    Ok((StatusCode::CREATED, Json(shape(&app, view, warnings))))
}

/// Says what a certificate would be good for, and keeps nothing.
pub(super) async fn check(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    JsonBody(body): JsonBody<SniEndpointCreate>,
) -> ApiResult<Json<SniEndpointCheck>> {
    let checked = platform.check_certificate(&app, &body.certificate_chain, &body.private_key)?;
    let details = checked.details;
    Ok(Json(SniEndpointCheck {
        cert_domains: details.names,
        issuer: details.issuer,
        subject: details.subject,
        starts_at: time(details.not_before),
        expires_at: time(details.not_after),
        warnings: checked.warnings,
    }))
}

pub(super) async fn info(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<Json<SniEndpoint>> {
    let view = platform.app_certificate(&app, &name)?;
    Ok(Json(shape(&app, view, Vec::new())))
}

pub(super) async fn update(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
    JsonBody(body): JsonBody<SniEndpointCreate>,
) -> ApiResult<Json<SniEndpoint>> {
    let its_app = app.clone();
    let updated = to_the_end(async move {
        let (chain, key) = (&body.certificate_chain, &body.private_key);
        platform.update_certificate(&user, &its_app, &name, chain, key).await
    });
    let (view, warnings) = updated.await?;
    Ok(Json(shape(&app, view, warnings)))
}

pub(super) async fn remove(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<Json<SniEndpoint>> {
    let its_app = app.clone();
    let removed =
        to_the_end(async move { platform.remove_certificate(&user, &its_app, &name).await });
    Ok(Json(shape(&app, removed.await?, Vec::new())))
}

pub(super) async fn authority(
    _: Caller,
    Control(platform): Control,
) -> ApiResult<Json<CertificateAuthority>> {
    let authority = platform.certificate_authority()?;
    Ok(Json(CertificateAuthority {
        certificate: authority.certificate_pem,
        fingerprint: authority.fingerprint,
        expires_at: time(authority.not_after),
        permitted: authority.permitted,
    }))
}

pub(super) fn shape(app: &App, view: CertificateView, warnings: Vec<String>) -> SniEndpoint {
    let CertificateView { certificate, details, hosts, domains } = view;
    let is_private = certificate.origin == Origin::Private;
    SniEndpoint {
        id: certificate.id.to_string(),
        name: certificate.name,
        display_name: None,
        app: app_reference(app),
        domains: domains.into_iter().map(|domain| domain.id.to_string()).collect(),
        certificate_chain: certificate.chain_pem,
        ssl_cert: SslCertificate {
            id: certificate.id.to_string(),
            acm: certificate.origin == Origin::Acme,
            ca_signed: !details.is_self_signed && !is_private,
            self_signed: details.is_self_signed,
            cert_domains: details.names,
            issuer: details.issuer,
            subject: details.subject,
            starts_at: time(details.not_before),
            expires_at: time(details.not_after),
            origin: certificate.origin.to_string(),
        },
        hosts,
        warnings,
        created_at: time(certificate.created_at),
        updated_at: time(certificate.updated_at),
    }
}
