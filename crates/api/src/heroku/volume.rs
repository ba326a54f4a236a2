//! Volumes. Heroku has none; the shapes follow its conventions.

use super::image;
use crate::convention::{
    ApiResult, AppOfCaller, Caller, Control, JsonBody, RangeHeader, time, to_the_end,
};
use axum::Json;
use axum::body::Body;
use axum::extract::Path;
use axum::response::Response;
use futures_util::stream;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use windlass_control::records;
use windlass_control::volumes::{Attachment, NewVolume, VolumeView};
use windlass_wire::{
    Reference, Volume, VolumeAttach, VolumeCreate, VolumeRestore, VolumeSnapshot, VolumeUpdate,
};

pub(super) async fn list_all(
    caller: Caller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    let views = platform.all_volumes(&caller.user).await?.into_iter();
    Ok(range.answer(views.map(shape).collect()))
}

/// Deletes a volume by its id, also one whose app was destroyed.
pub(super) async fn remove_any(
    caller: Caller,
    Control(platform): Control,
    Path(id): Path<String>,
) -> ApiResult<Json<Volume>> {
    let volume = platform.volume_by_id(&caller.user, &id)?;
    let last = shape(platform.volume_view(volume.clone()).await);
    to_the_end(async move { platform.destroy_volume(&caller.user, volume).await }).await?;
    Ok(Json(last))
}

pub(super) async fn list(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    let views = platform.volumes(&app).await?.into_iter();
    Ok(range.answer(views.map(shape).collect()))
}

pub(super) async fn create(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    JsonBody(body): JsonBody<VolumeCreate>,
) -> ApiResult<(StatusCode, Json<Volume>)> {
    let new = NewVolume {
        name: body.name,
        size: body.size,
        mount_path: body.mount_path,
        processes: body.process_types,
        shared: body.shared,
        host_folder: body.host_folder,
    };
    let control = platform.clone();
    let volume = to_the_end(async move { control.create_volume(&user, &app, new).await }).await?;
    Ok((StatusCode::CREATED, Json(shape(platform.volume_view(volume).await))))
}

pub(super) async fn attach(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    JsonBody(body): JsonBody<VolumeAttach>,
) -> ApiResult<Json<Volume>> {
    let volume = platform.volume_by_id(&user, &body.volume)?;
    let changes = Attachment { name: body.name, mount_path: body.mount_path };
    let control = platform.clone();
    let change = async move { control.attach_volume(&user, &app, volume, changes).await };
    let volume = to_the_end(change).await?;
    Ok(Json(shape(platform.volume_view(volume).await)))
}

pub(super) async fn info(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<Json<Volume>> {
    let volume = platform.volume(&app, &name)?;
    Ok(Json(shape(platform.volume_view(volume).await)))
}

pub(super) async fn update(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
    JsonBody(body): JsonBody<VolumeUpdate>,
) -> ApiResult<Json<Volume>> {
    let mut volume = platform.volume(&app, &name)?;
    let control = platform.clone();
    let change = async move {
        if let Some(size) = body.size {
            volume = control.resize_volume(&app, volume, &size).await?;
        }
        if let Some(mounted) = body.mounted {
            volume = control.mount_volume(&user, &app, volume, mounted).await?;
        }
        Ok(volume)
    };
    let volume = to_the_end(change).await?;
    Ok(Json(shape(platform.volume_view(volume).await)))
}

pub(super) async fn remove(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<Json<Volume>> {
    let volume = platform.volume(&app, &name)?;
    let last = shape(platform.volume_view(volume.clone()).await);
    to_the_end(async move { platform.destroy_volume(&user, volume).await }).await?;
    Ok(Json(last))
}

pub(super) async fn snapshots(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
    range: RangeHeader,
) -> ApiResult<Response> {
    let volume = platform.volume(&app, &name)?;
    let snapshots = platform.volume_snapshots(&volume)?.into_iter();
    Ok(range.answer(snapshots.map(|snapshot| shape_snapshot(&volume, snapshot)).collect()))
}

pub(super) async fn snapshot(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<(StatusCode, Json<VolumeSnapshot>)> {
    let volume = platform.volume(&app, &name)?;
    let of = volume.clone();
    let made = to_the_end(async move { platform.snapshot_volume(&of).await }).await?;
    Ok((StatusCode::CREATED, Json(shape_snapshot(&volume, made))))
}

pub(super) async fn remove_snapshot(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Path((_, name, snapshot)): Path<(String, String, String)>,
) -> ApiResult<Json<VolumeSnapshot>> {
    let volume = platform.volume(&app, &name)?;
    let found = platform.volume_snapshot(&volume, &snapshot)?;
    let gone = found.clone();
    to_the_end(async move { platform.destroy_snapshot(&gone).await }).await?;
    Ok(Json(shape_snapshot(&volume, found)))
}

pub(super) async fn restore(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
    JsonBody(body): JsonBody<VolumeRestore>,
) -> ApiResult<Json<Volume>> {
    let volume = platform.volume(&app, &name)?;
    let snapshot = platform.volume_snapshot(&volume, &body.snapshot)?;
    let (control, of) = (platform.clone(), volume.clone());
    to_the_end(async move { control.restore_volume(&user, &app, &of, &snapshot).await }).await?;
    Ok(Json(shape(platform.volume_view(volume).await)))
}

/// Sends what is in the volume as a tar archive. If something fails on the way the connection is cut.
pub(super) async fn back_up(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<Response> {
    let volume = platform.volume(&app, &name)?;
    let pieces = to_the_end(async move { platform.back_up_volume(&volume).await }).await?;
    let pieces = stream::unfold(pieces, |mut receiver| async {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    Ok(response)
}

/// Takes a tar archive in place of what is in the volume.
pub(super) async fn fill(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
    mut body: Body,
) -> ApiResult<Json<Volume>> {
    let volume = platform.volume(&app, &name)?;
    let upload = platform.begin_volume_upload(&volume).await?;
    loop {
        match image::next_piece(&mut body).await {
            Ok(Some(bytes)) => upload.write(bytes).await,
            Ok(None) => break,
            Err(error) => {
                upload.abandon().await;
                return Err(error);
            }
        }
    }
    to_the_end(async move { upload.finish(&user, &app).await }).await?;
    Ok(Json(shape(platform.volume_view(volume).await)))
}

fn shape(view: VolumeView) -> Volume {
    let VolumeView { volume, usage } = view;
    let state = match (volume.app, volume.mounted) {
        (None, _) => "orphaned",
        (Some(_), true) => "mounted",
        (Some(_), false) => "unmounted",
    };
    Volume {
        id: volume.id.to_string(),
        name: volume.name.to_string(),
        app: volume
            .app
            .map(|app| Reference { id: app.to_string(), name: volume.app_name.to_string() }),
        app_name: volume.app_name.to_string(),
        state: state.to_owned(),
        size: volume.size,
        used: usage.map(|usage| usage.used_bytes),
        mount_path: volume.mount_path,
        process_types: volume.processes.iter().map(ToString::to_string).collect(),
        shared: volume.shared,
        host_folder: volume.host_folder,
        created_at: time(volume.created_at),
        updated_at: time(volume.updated_at),
    }
}

fn shape_snapshot(volume: &records::Volume, snapshot: records::VolumeSnapshot) -> VolumeSnapshot {
    VolumeSnapshot {
        id: snapshot.id.to_string(),
        name: format!("s{}", snapshot.number),
        size: snapshot.size,
        volume: Reference { id: volume.id.to_string(), name: volume.name.to_string() },
        created_at: time(snapshot.created_at),
        updated_at: time(snapshot.created_at),
    }
}
