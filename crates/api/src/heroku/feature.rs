//! Features of apps and accounts: Heroku's names for settings of ours.

use crate::convention::{
    ApiError, ApiResult, AppOfCaller, BaseUrl, Caller, Control, Endpoints, JsonBody, Needs,
    OPERATE, RangeHeader, VIEW, derived_id, time, to_the_end,
};
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use uuid::Uuid;
use windlass_control::Platform;
use windlass_control::records::{App, User};
use windlass_core::feature::AppFeature;
use windlass_wire::{Feature, FeatureUpdate};

const REPOSITORIES_API: &str = "dashboard-repositories-api";

pub(super) fn endpoints() -> Endpoints {
    Endpoints::new()
        .get("/account/features", Needs::Anybody, account_list)
        .get("/account/features/{feature}", Needs::Anybody, account_info)
        .patch("/account/features/{feature}", Needs::Anybody, account_update)
        .get("/apps/{app}/features", VIEW, list)
        .get("/apps/{app}/features/{feature}", VIEW, info)
        .patch("/apps/{app}/features/{feature}", OPERATE, update)
}

async fn list(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    base: BaseUrl,
    range: RangeHeader,
) -> ApiResult<Response> {
    let features = platform.app_features(&app)?.into_iter();
    let shapes = features.map(|(feature, enabled)| shape(&base, &app, feature, enabled));
    Ok(range.answer(shapes.collect()))
}

async fn info(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    base: BaseUrl,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<Json<Feature>> {
    one(&platform, &base, &app, named(&app, &name)?).map(Json)
}

/// Answers when it is in force.
async fn update(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    base: BaseUrl,
    Path((_, name)): Path<(String, String)>,
    JsonBody(body): JsonBody<FeatureUpdate>,
) -> ApiResult<Json<Feature>> {
    let feature = named(&app, &name)?;
    let (control, its_app) = (platform.clone(), app.clone());
    to_the_end(
        async move { control.set_app_feature(&user, &its_app, feature, body.enabled).await },
    )
    .await?;
    one(&platform, &base, &app, feature).map(Json)
}

fn one(
    platform: &Platform,
    base: &BaseUrl,
    app: &App,
    feature: &'static AppFeature,
) -> ApiResult<Feature> {
    let mut features = platform.app_features(app)?.into_iter();
    features
        .find(|(one, _)| *one == feature)
        .map(|(feature, enabled)| shape(base, app, feature, enabled))
        .ok_or_else(|| ApiError::not_found("app_feature"))
}

fn named(app: &App, name: &str) -> ApiResult<&'static AppFeature> {
    AppFeature::named(name)
        .or_else(|| {
            AppFeature::ALL
                .iter()
                .find(|feature| id(app.id.0, feature.name) == name)
                .and_then(|feature| AppFeature::named(feature.name))
        })
        .ok_or_else(|| ApiError::not_found("app_feature"))
}

fn id(owner: Uuid, name: &str) -> String {
    derived_id(owner, &format!("feature {name}")).to_string()
}

fn shape(base: &BaseUrl, app: &App, feature: &AppFeature, enabled: bool) -> Feature {
    Feature {
        id: id(app.id.0, feature.name),
        name: feature.name.to_owned(),
        display_name: feature.title.to_owned(),
        description: feature.description.to_owned(),
        doc_url: doc_url(base),
        feedback_email: String::new(),
        enabled,
        state: feature.state.to_owned(),
        created_at: time(app.created_at),
        updated_at: time(app.updated_at),
    }
}

/// Where the API is described that switches them.
fn doc_url(base: &BaseUrl) -> String {
    format!("{}/openapi.json", base.0)
}

async fn account_list(caller: Caller, base: BaseUrl, range: RangeHeader) -> Response {
    range.answer(vec![repositories_api(&base, &caller.user)])
}

async fn account_info(
    caller: Caller,
    base: BaseUrl,
    Path(name): Path<String>,
) -> ApiResult<Json<Feature>> {
    account_feature(&base, &caller.user, &name).map(Json)
}

async fn account_update(
    caller: Caller,
    base: BaseUrl,
    Path(name): Path<String>,
    JsonBody(body): JsonBody<FeatureUpdate>,
) -> ApiResult<Json<Feature>> {
    let feature = account_feature(&base, &caller.user, &name)?;
    if body.enabled == feature.enabled {
        return Ok(Json(feature));
    }
    Err(ApiError::invalid(format!("{REPOSITORIES_API} is always on here.")))
}

fn account_feature(base: &BaseUrl, user: &User, name: &str) -> ApiResult<Feature> {
    let feature = repositories_api(base, user);
    let is_meant = feature.name == name || feature.id == name;
    is_meant.then_some(feature).ok_or_else(|| ApiError::not_found("account_feature"))
}

/// Clients look whether it is on before they connect pipelines to repositories.
fn repositories_api(base: &BaseUrl, user: &User) -> Feature {
    Feature {
        id: id(user.id.0, REPOSITORIES_API),
        name: REPOSITORIES_API.to_owned(),
        display_name: "Repositories API".to_owned(),
        description: "Connect apps and pipelines to repositories elsewhere. Always on.".to_owned(),
        doc_url: doc_url(base),
        feedback_email: String::new(),
        enabled: true,
        state: "general".to_owned(),
        created_at: time(user.created_at),
        updated_at: time(user.created_at),
    }
}
