//! Slugs: of builds, and those that clients send.

use super::{output_stream, stack};
use crate::convention::{
    ApiResult, AppOfCaller, BaseUrl, Control, DEPLOY, Endpoints, JsonBody, Needs, VIEW, time,
};
use crate::distribution::{file_part, pieces};
use crate::heroku::next_piece;
use crate::state::ApiState;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use tokio::fs::File;
use windlass_control::records::{self, App};
use windlass_control::release::{BUILDPACK_STACK, SlugArchive, SlugRequest};
use windlass_core::access::Permission;
use windlass_core::ids::UserId;
use windlass_wire::{Slug, SlugBlob, SlugCreate};

/// User, app, slug, and the signature that makes the URL unguessable.
const BLOB_ROUTE: &str = "/streams/slugs/{user}/{app}/{slug}/{signature}";

pub(super) fn endpoints() -> Endpoints {
    Endpoints::new()
        .post("/apps/{app}/slugs", DEPLOY, create)
        .get("/apps/{app}/slugs/{slug}", VIEW, info)
        .get(BLOB_ROUTE, Needs::Nobody, download)
        .put(BLOB_ROUTE, Needs::Nobody, upload)
}

/// Makes a slug; its archive is then sent to `blob.url`.
async fn create(
    AppOfCaller { user, app }: AppOfCaller,
    State(state): State<ApiState>,
    base: BaseUrl,
    JsonBody(body): JsonBody<SlugCreate>,
) -> ApiResult<(StatusCode, Json<Slug>)> {
    if stack::named(body.stack.as_deref())?.is_some_and(|stack| stack != BUILDPACK_STACK) {
        return Err(crate::convention::ApiError::invalid(format!(
            "A slug runs on the stack {BUILDPACK_STACK}."
        )));
    }
    let request = SlugRequest {
        processes: body.process_types,
        commit: body.commit,
        commit_description: body.commit_description,
        checksum: body.checksum,
        buildpack: body.buildpack_provided_description,
    };
    let slug = state.platform.create_slug(&user, &app, request)?;
    Ok((StatusCode::CREATED, Json(shape(&state, &base, user.id, &app, slug))))
}

async fn info(
    AppOfCaller { user, app }: AppOfCaller,
    State(state): State<ApiState>,
    base: BaseUrl,
    Path((_, id)): Path<(String, String)>,
) -> ApiResult<Json<Slug>> {
    let slug = state.platform.slug(&app, &id)?;
    Ok(Json(shape(&state, &base, user.id, &app, slug)))
}

/// Takes the archive of a slug. The URL carries its own secret.
async fn upload(
    State(state): State<ApiState>,
    Path(parts): Path<output_stream::Parts>,
    mut body: Body,
) -> ApiResult<StatusCode> {
    let (app, id) = output_stream::open(&state, "slugs", parts, Permission::Deploy)?;
    let mut upload = state.platform.begin_slug_upload(&app, &id).await?;
    while let Some(bytes) = next_piece(&mut body).await? {
        upload.write(&bytes).await?;
    }
    upload.finish().await?;
    Ok(StatusCode::OK)
}

/// Sends the archive of a slug. If something fails on the way the connection is cut.
async fn download(
    Control(platform): Control,
    State(state): State<ApiState>,
    Path(parts): Path<output_stream::Parts>,
) -> ApiResult<Response> {
    let (app, id) = output_stream::open(&state, "slugs", parts, Permission::Deploy)?;
    let mut response = match platform.slug_archive(&app, &id)? {
        SlugArchive::Layer(layer) => Response::new(pieces(platform.compressed_layer(layer))),
        SlugArchive::File(path) => {
            let opened = async {
                let file = File::open(path).await?;
                let size = file.metadata().await?.len();
                std::io::Result::Ok((file, size))
            };
            let Ok((file, size)) = opened.await else {
                return Err(crate::convention::ApiError::not_found("slug"));
            };
            let mut response = Response::new(file_part(file, 0, size));
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(size));
            response
        }
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/gzip"));
    Ok(response)
}

fn shape(state: &ApiState, base: &BaseUrl, caller: UserId, app: &App, slug: records::Slug) -> Slug {
    let id = slug.id.to_string();
    let url = output_stream::url(state, base, "slugs", caller, app, &id);
    let is_wanted = slug.image.is_none() && slug.size.is_none();
    let processes = slug.processes.into_iter();
    Slug {
        blob: SlugBlob { method: if is_wanted { "put" } else { "get" }.to_owned(), url },
        id,
        buildpack_provided_description: slug.buildpack,
        checksum: slug.checksum,
        commit: slug.commit,
        commit_description: slug.commit_description,
        process_types: processes.map(|(name, command)| (name.to_string(), command)).collect(),
        size: slug.size,
        stack: stack::reference(BUILDPACK_STACK),
        created_at: time(slug.created_at),
        updated_at: time(slug.updated_at),
        deleted_at: None,
    }
}
