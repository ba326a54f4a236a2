//! Links between apps on the private network. Heroku has none; the shapes follow its conventions.

use super::app_reference;
use crate::convention::{ApiResult, AppOfCaller, Control, JsonBody, RangeHeader, time, to_the_end};
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use windlass_control::records::App;
use windlass_control::route::LinkView;
use windlass_wire::{NetworkLink, NetworkLinkCreate};

pub(super) async fn list(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    let links = platform.network_links(&app)?.into_iter();
    Ok(range.answer(links.map(|link| shape(&app, link)).collect()))
}

/// Answers when the link is in force.
pub(super) async fn create(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    JsonBody(body): JsonBody<NetworkLinkCreate>,
) -> ApiResult<(StatusCode, Json<NetworkLink>)> {
    let its_app = app.clone();
    let link =
        to_the_end(async move { platform.link_apps(&user, &its_app, &body.linked_app).await });
    Ok((StatusCode::CREATED, Json(shape(&app, link.await?))))
}

/// The link is named by its id or by the other app.
pub(super) async fn remove(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, link)): Path<(String, String)>,
) -> ApiResult<Json<NetworkLink>> {
    let its_app = app.clone();
    let link = to_the_end(async move { platform.unlink_apps(&user, &its_app, &link).await });
    Ok(Json(shape(&app, link.await?)))
}

fn shape(app: &App, link: LinkView) -> NetworkLink {
    NetworkLink {
        id: link.id.to_string(),
        app: app_reference(app),
        linked_app: app_reference(&link.linked_app),
        created_at: time(link.created_at),
        updated_at: time(link.created_at),
    }
}
