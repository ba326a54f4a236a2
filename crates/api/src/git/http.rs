//! Git over HTTP ("smart HTTP"), on the API's port: `/:app.git/…`.

use super::child::{self, GitChild, Mode};
use super::command::app_of;
use crate::convention::audit::Peer;
use crate::convention::auth::{authenticate, secret};
use crate::convention::error::chain;
use crate::convention::{Endpoints, Needs};
use crate::state::ApiState;
use axum::Extension;
use axum::body::{Body, BodyDataStream};
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::write::GzDecoder;
use futures_util::{Stream, StreamExt, stream};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::ChildStdin;
use tokio::task::AbortHandle;
use windlass_control::PlatformError;
use windlass_control::receive::{GitOrigin, Service};
use windlass_core::access::Wants;

/// An upload that brings nothing for this long is given up.
const UPLOAD_IDLE_LIMIT: Duration = Duration::from_secs(5 * 60);
/// Compressed input is taken in pieces of this size, so that a small one cannot become huge at once.
const INFLATE_PIECE: usize = 8 * 1024;
const READ_PIECE: usize = 32 * 1024;

pub(crate) fn endpoints() -> Endpoints {
    Endpoints::new()
        .get("/{repository}/info/refs", Needs::Itself, advertise)
        .post("/{repository}/git-upload-pack", Needs::Itself, upload_pack)
        .post("/{repository}/git-receive-pack", Needs::Itself, receive_pack)
}

#[derive(Deserialize)]
struct Wanted {
    service: Option<String>,
}

async fn advertise(
    State(state): State<ApiState>,
    Path(repository): Path<String>,
    Query(wanted): Query<Wanted>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Result<Response, GitError> {
    let service = match wanted.service.as_deref() {
        Some("git-upload-pack") => Service::UploadPack,
        Some("git-receive-pack") => Service::ReceivePack,
        _ => return Err(GitError::OldClient),
    };
    let from = peer.map(|Extension(peer)| peer.0);
    let git = start(&state, &repository, &headers, from, service, Mode::Advertisement)?;
    let name = service.command();
    // Version 2 speaks for itself; pushes do not have it, whatever was asked for.
    let version_2 = matches!(service, Service::UploadPack)
        && protocol(&headers).is_some_and(|text| text.split(':').any(|part| part == "version=2"));
    let mut greeting = Vec::new();
    if !version_2 {
        let line = format!("# service=git-{name}\n");
        greeting.extend_from_slice(format!("{:04x}{line}0000", line.len() + 4).as_bytes());
    }
    Ok(answer(git, greeting, None, &format!("application/x-git-{name}-advertisement")))
}

async fn upload_pack(
    state: State<ApiState>,
    path: Path<String>,
    request: Request,
) -> Result<Response, GitError> {
    exchange(&state, &path, request, Service::UploadPack)
}

async fn receive_pack(
    state: State<ApiState>,
    path: Path<String>,
    request: Request,
) -> Result<Response, GitError> {
    exchange(&state, &path, request, Service::ReceivePack)
}

fn exchange(
    state: &ApiState,
    repository: &str,
    request: Request,
    service: Service,
) -> Result<Response, GitError> {
    let (parts, body) = request.into_parts();
    let decoder = match parts.headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => None,
        Some(b"gzip" | b"x-gzip") => Some(GzDecoder::new(Vec::new())),
        Some(_) => return Err(GitError::UnknownEncoding),
    };
    let from = parts.extensions.get::<Peer>().map(|peer| peer.0);
    let mut git = start(state, repository, &parts.headers, from, service, Mode::Exchange)?;
    let upload =
        git.stdin.take().map(|stdin| Upload::start(body.into_data_stream(), decoder, stdin));
    let content_type = format!("application/x-git-{}-result", service.command());
    Ok(answer(git, Vec::new(), upload, &content_type))
}

fn start(
    state: &ApiState,
    repository: &str,
    headers: &HeaderMap,
    from: Option<IpAddr>,
    service: Service,
    mode: Mode,
) -> Result<GitChild, GitError> {
    let secret = secret(headers).ok_or(GitError::Unauthorized)?;
    let (token, user) = authenticate(&state.platform, &secret, headers, from)?;
    let wants = match service {
        Service::UploadPack => Wants::FETCH,
        Service::ReceivePack => Wants::PUSH,
    };
    state.platform.require_scope(&token, wants)?;
    let no_app =
        || GitError::NoSuchApp(repository.trim_end_matches(".git").chars().take(60).collect());
    let name = app_of(repository).ok_or_else(no_app)?;
    let app = state.platform.app(&user, &name).map_err(|error| match error {
        PlatformError::NotFound { .. } => no_app(),
        other => other.into(),
    })?;
    let origin = GitOrigin { address: from, login: Some(token.description) };
    let session = state.platform.begin_git(&user, &app, service, origin)?;
    GitChild::start(session, service, mode, protocol(headers)).map_err(GitError::Start)
}

fn protocol(headers: &HeaderMap) -> Option<&str> {
    headers.get("git-protocol").and_then(|value| value.to_str().ok())
}

/// Moves a request's body to git's standard input. Dropping it stops that.
struct Upload(AbortHandle);

impl Upload {
    fn start(body: BodyDataStream, decoder: Option<GzDecoder<Vec<u8>>>, stdin: ChildStdin) -> Self {
        let task = tokio::spawn(async move {
            // Closing git's input, which this does at its end, makes git notice what is missing.
            if let Err(error) = upload(body, decoder, stdin).await {
                tracing::debug!(%error, "an upload ended early");
            }
        });
        Self(task.abort_handle())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn upload(
    mut body: BodyDataStream,
    mut decoder: Option<GzDecoder<Vec<u8>>>,
    mut stdin: ChildStdin,
) -> io::Result<()> {
    loop {
        let piece = match tokio::time::timeout(UPLOAD_IDLE_LIMIT, body.next()).await {
            Ok(Some(piece)) => piece.map_err(io::Error::other)?,
            Ok(None) => break,
            Err(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "nothing came for five minutes",
                ));
            }
        };
        match &mut decoder {
            None => stdin.write_all(&piece).await?,
            Some(decoder) => {
                for piece in piece.chunks(INFLATE_PIECE) {
                    decoder.write_all(piece)?;
                    stdin.write_all(&std::mem::take(decoder.get_mut())).await?;
                }
            }
        }
    }
    if let Some(decoder) = decoder {
        stdin.write_all(&decoder.finish()?).await?;
    }
    stdin.shutdown().await
}

/// Answers with git's output, each piece as it comes. The answer owns git: when the client goes
/// away the server drops the answer, and git with it.
fn answer(
    mut git: GitChild,
    greeting: Vec<u8>,
    upload: Option<Upload>,
    content_type: &str,
) -> Response {
    let complaints = child::collect(git.stderr.take());
    // Without an upload there is nothing to say to git.
    drop(git.stdin.take());
    let greeting = stream::iter((!greeting.is_empty()).then(|| Ok(Bytes::from(greeting))));
    let output = greeting.chain(output(git, upload, complaints));
    let mut response = Response::new(Body::from_stream(output));
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(content_type) {
        headers.insert(CONTENT_TYPE, value);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0, must-revalidate"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn output(
    git: GitChild,
    upload: Option<Upload>,
    complaints: tokio::task::JoinHandle<String>,
) -> impl Stream<Item = io::Result<Bytes>> {
    let running = Some((git, upload, complaints));
    stream::unfold(running, |running| async {
        let (mut git, upload, complaints) = running?;
        let mut piece = Vec::with_capacity(READ_PIECE);
        let read = match git.stdout.as_mut() {
            Some(stdout) => stdout.read_buf(&mut piece).await,
            None => Ok(0),
        };
        match read {
            Ok(1..) => Some((Ok(Bytes::from(piece)), Some((git, upload, complaints)))),
            Ok(_) => {
                drop(upload);
                let complaints = complaints.await.unwrap_or_default();
                match git.finish(Some(&complaints)).await {
                    // A failure that git could not tell in its protocol must not look complete.
                    Ok(status) if !status.success() => {
                        Some((Err(io::Error::other("git failed")), None))
                    }
                    Ok(_) => None,
                    Err(error) => Some((Err(error), None)),
                }
            }
            Err(error) => Some((Err(error), None)),
        }
    })
}

/// Why git got no answer, in text that git shows.
enum GitError {
    Unauthorized,
    OldClient,
    UnknownEncoding,
    NoSuchApp(String),
    Start(io::Error),
    Platform(PlatformError),
}

impl From<PlatformError> for GitError {
    fn from(error: PlatformError) -> Self {
        match error {
            PlatformError::Unauthorized => Self::Unauthorized,
            other => Self::Platform(other),
        }
    }
}

impl IntoResponse for GitError {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::Unauthorized => {
                (StatusCode::UNAUTHORIZED, "Give an access token as the password.".to_owned())
            }
            Self::OldClient => (
                StatusCode::FORBIDDEN,
                "Please upgrade your git client. This server speaks only the smart HTTP protocol."
                    .to_owned(),
            ),
            Self::UnknownEncoding => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Only gzip is understood.".to_owned())
            }
            Self::NoSuchApp(name) => {
                (StatusCode::NOT_FOUND, format!("Couldn't find an app named \"{name}\"."))
            }
            Self::Start(error) => {
                tracing::error!(error = %chain(&error), "git could not be started");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "The platform failed; its log says why.".to_owned(),
                )
            }
            Self::Platform(error) => {
                let error = crate::convention::ApiError::from(error);
                (error.status, error.body.message)
            }
        };
        let mut response = (status, message + "\n").into_response();
        if status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Windlass\""));
        }
        response
    }
}
