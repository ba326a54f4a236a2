//! Images as archives: in as a release, out as they are.

use super::{app, release};
use crate::convention::{ApiError, ApiResult, AppOfCaller, BaseUrl, Control, to_the_end};
use crate::state::ApiState;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body_util::BodyExt;
use std::time::Duration;
use windlass_wire::Release;

/// How long a client that sends an archive may be silent.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// Takes an archive and releases its image. Answers when the new release is in force.
pub(super) async fn load(
    AppOfCaller { user, app }: AppOfCaller,
    State(state): State<ApiState>,
    base: BaseUrl,
    mut body: Body,
) -> ApiResult<(StatusCode, Json<Release>)> {
    let platform = &state.platform;
    let mut upload = platform.begin_image_upload().await?;
    while let Some(bytes) = next_piece(&mut body).await? {
        upload.write(&bytes).await?;
    }
    let (control, its_app, its_user) = (platform.clone(), app.clone(), user.clone());
    let loaded =
        to_the_end(async move { control.load_image(&its_user, &its_app, upload).await }).await?;
    let app = app::current(platform, &user, &app)?;
    let shaped = release::Shaper::new(&state, &base, &app, user.id).shape(loaded)?;
    Ok((StatusCode::CREATED, Json(shaped)))
}

pub(crate) async fn next_piece(body: &mut Body) -> ApiResult<Option<Bytes>> {
    loop {
        let frame = tokio::time::timeout(SILENCE_LIMIT, body.frame()).await.map_err(|_| {
            let message = "The archive stopped coming in.";
            ApiError::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
        })?;
        let Some(frame) = frame else { return Ok(None) };
        let frame = frame.map_err(|error| {
            let message = format!("The archive ended early: {error}");
            ApiError::new(StatusCode::BAD_REQUEST, "bad_request", message)
        })?;
        if let Ok(bytes) = frame.into_data() {
            return Ok(Some(bytes));
        }
    }
}

/// Sends the archive of the current image. If something fails on the way the connection is cut.
pub(super) async fn save(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
) -> ApiResult<Response> {
    let pieces = stream::unfold(platform.save_image(&app)?, |mut receiver| async {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    Ok(response)
}
