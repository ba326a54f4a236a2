//! How an app's requests are routed. Heroku has none of it; shapes follow its conventions.

use crate::convention::{
    ApiError, ApiResult, AppOfCaller, Control, ExactJsonBody, JsonBody, to_the_end,
};
use axum::Json;
use axum::extract::Path;
use windlass_control::records::App;
use windlass_control::{Platform, PlatformError};
use windlass_core::routing_settings::{DomainRedirect, PageKind};
use windlass_wire::{
    DomainCheck, DomainRedirectUpdate, Routing, RoutingPage, RoutingPageUpdate, RoutingRedirect,
    RoutingSetting, RoutingUpdate,
};

pub(super) async fn info(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
) -> ApiResult<Json<Routing>> {
    Ok(Json(shape(&platform, &app)?))
}

pub(super) async fn update(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    ExactJsonBody(update): ExactJsonBody<RoutingUpdate>,
) -> ApiResult<Json<Routing>> {
    let (control, its_app) = (platform.clone(), app.clone());
    let change = async move { control.set_routing(&user, &its_app, update.settings).await };
    to_the_end(change).await?;
    Ok(Json(shape(&platform, &app)?))
}

pub(super) async fn put_page(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, kind)): Path<(String, String)>,
    JsonBody(body): JsonBody<RoutingPageUpdate>,
) -> ApiResult<Json<Routing>> {
    let kind = page_kind(&kind)?;
    let (control, its_app) = (platform.clone(), app.clone());
    let change =
        async move { control.set_routing_page(&user, &its_app, kind, Some(&body.html)).await };
    to_the_end(change).await?;
    Ok(Json(shape(&platform, &app)?))
}

pub(super) async fn remove_page(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, kind)): Path<(String, String)>,
) -> ApiResult<Json<Routing>> {
    let kind = page_kind(&kind)?;
    let (control, its_app) = (platform.clone(), app.clone());
    let change = async move { control.set_routing_page(&user, &its_app, kind, None).await };
    to_the_end(change).await?;
    Ok(Json(shape(&platform, &app)?))
}

fn page_kind(text: &str) -> ApiResult<PageKind> {
    Ok(text.parse::<PageKind>().map_err(PlatformError::from)?)
}

pub(super) async fn redirect(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, domain)): Path<(String, String)>,
    JsonBody(body): JsonBody<DomainRedirectUpdate>,
) -> ApiResult<Json<Routing>> {
    let to = body.to.to_ascii_lowercase().parse().map_err(PlatformError::from)?;
    let redirect = DomainRedirect { to, status: body.status.unwrap_or(301) };
    if redirect.to.as_str().starts_with('*') {
        return Err(ApiError::invalid("A redirect leads to one name, not to a wildcard."));
    }
    let (control, its_app) = (platform.clone(), app.clone());
    let change =
        async move { control.redirect_domain(&user, &its_app, &domain, Some(redirect)).await };
    to_the_end(change).await?;
    Ok(Json(shape(&platform, &app)?))
}

pub(super) async fn remove_redirect(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, domain)): Path<(String, String)>,
) -> ApiResult<Json<Routing>> {
    let (control, its_app) = (platform.clone(), app.clone());
    let change = async move { control.redirect_domain(&user, &its_app, &domain, None).await };
    to_the_end(change).await?;
    Ok(Json(shape(&platform, &app)?))
}

pub(super) async fn check_domain(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Path((_, domain)): Path<(String, String)>,
) -> ApiResult<Json<DomainCheck>> {
    let check = platform.check_domain(&app, &domain).await?;
    Ok(Json(DomainCheck {
        points_here: check.points_here(),
        hostname: check.looked_up,
        addresses: check.addresses.iter().map(ToString::to_string).collect(),
        target: check.target,
        target_addresses: check.target_addresses.iter().map(ToString::to_string).collect(),
    }))
}

fn shape(platform: &Platform, app: &App) -> ApiResult<Routing> {
    let setting = |reported: windlass_core::routing_settings::Reported| RoutingSetting {
        name: reported.name,
        value: reported.value,
        source: reported.origin.as_str().to_owned(),
    };
    let own = platform.routing_settings(app)?;
    let redirects = own.redirects.iter().map(|(from, redirect)| RoutingRedirect {
        domain: from.to_string(),
        to: redirect.to.to_string(),
        status: redirect.status,
    });
    let pages = PageKind::ALL.into_iter().filter_map(|kind| {
        let bytes = own.pages.get(kind)?.as_str().len();
        Some(RoutingPage { kind: kind.as_str().to_owned(), bytes })
    });
    Ok(Routing {
        settings: platform.routing_report(app)?.into_iter().map(setting).collect(),
        redirects: redirects.collect(),
        pages: pages.collect(),
    })
}
