//! Who is asking and whether they may: decided for every request before its handler runs.

use super::audit::{self, Peer};
use super::endpoints::{Needs, NeedsTable};
use super::error::{in_our_form, no_such_endpoint};
use super::request_id::REMAINING;
use super::{ApiError, ApiResult};
use crate::state::ApiState;
use axum::RequestExt;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use std::net::IpAddr;
use std::sync::Arc;
use windlass_control::records::{App, Token, User};
use windlass_control::{Platform, PlatformError};
use windlass_core::access::{Area, Wants};

/// An authenticated request.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) user: User,
    pub(crate) token: Token,
    /// The token's secret, as it was sent.
    pub(crate) secret: String,
}

impl FromRequestParts<ApiState> for Caller {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _state: &ApiState) -> Result<Self, ApiError> {
        admitted(parts)
    }
}

/// An authenticated request about the app whose name or id stands in the path as `{app}`.
#[derive(Clone)]
pub(crate) struct AppOfCaller {
    pub(crate) user: User,
    pub(crate) app: App,
}

impl FromRequestParts<ApiState> for AppOfCaller {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _state: &ApiState) -> Result<Self, ApiError> {
        admitted(parts)
    }
}

/// Returns what [`admit`] found. It is missing only if a handler asks for more than its endpoint
/// says that it needs.
fn admitted<T: Clone + Send + Sync + 'static>(parts: &Parts) -> ApiResult<T> {
    parts.extensions.get::<T>().cloned().ok_or_else(|| {
        tracing::error!(path = parts.uri.path(), "an endpoint does not say what it needs");
        ApiError::internal()
    })
}

/// What [`admit`] decides by.
#[derive(Clone)]
pub(crate) struct Doorkeeper {
    pub(crate) state: ApiState,
    pub(crate) needs: Arc<NeedsTable>,
}

/// Lets a request through to its handler if the caller has what the endpoint needs, and has it
/// written down if it changes something.
pub(crate) async fn admit(
    State(keeper): State<Doorkeeper>,
    matched: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    let found = matched.and_then(|path| {
        let needs = keeper.needs.find(request.method(), path.as_str())?;
        Some((needs, path.as_str().to_owned()))
    });
    let Some((needs, path)) = found else { return no_such_endpoint().await.into_response() };
    if matches!(needs, Needs::Itself) {
        return next.run(request).await;
    }
    if matches!(needs, Needs::Nobody) {
        return in_our_form(next.run(request).await).await;
    }
    let platform = &keeper.state.platform;
    let wants = Wants::of_endpoint(&path, !request.method().is_safe());
    let left = match check(&keeper.state, needs, wants, &mut request).await {
        Ok(left) => left,
        Err(error) => return error.into_response(),
    };
    let entry = if wants.change { audit::entry(&request, &path) } else { None };
    let mut response = in_our_form(next.run(request).await).await;
    response.headers_mut().insert(REMAINING, HeaderValue::from(left));
    if let Some(mut entry) = entry.filter(|_| response.status().is_success()) {
        audit::name_app(&mut entry, &response);
        platform.record_activity(entry);
    }
    response
}

/// Returns how many requests the caller has left.
async fn check(
    state: &ApiState,
    needs: Needs,
    wants: Wants,
    request: &mut Request,
) -> ApiResult<u32> {
    let platform = &state.platform;
    let secret = secret(request.headers()).ok_or_else(ApiError::unauthorized)?;
    let from = request.extensions().get::<Peer>().map(|peer| peer.0);
    let (token, user) = authenticate(platform, &secret, request.headers(), from)?;
    let left = match request.uri().path() {
        // Asking how many are left costs none.
        "/account/rate-limits" => platform.requests_left(&user),
        _ => platform.spend_request(&user)?,
    };
    let area = if needs == Needs::Owner && wants.change { Area::Account } else { wants.area };
    platform.require_scope(&token, Wants { area, ..wants })?;
    match needs {
        Needs::Owner => platform.require_owner(&user)?,
        Needs::App(permission) => {
            let params = request.extract_parts_with_state::<RawPathParams, _>(state).await;
            let params = params.map_err(|_| ApiError::not_found("app"))?;
            let name = params.iter().find(|(key, _)| *key == "app").map(|(_, value)| value);
            let app = platform.app_to(&user, name.unwrap_or_default(), permission)?;
            if wants.change {
                platform.note_asker(&app, &user);
            }
            request.extensions_mut().insert(AppOfCaller { user: user.clone(), app });
        }
        _ => {}
    }
    request.extensions_mut().insert(Caller { user, token, secret });
    Ok(left)
}

/// Returns whose secret it is; wrong ones are counted.
pub(crate) fn authenticate(
    platform: &Platform,
    secret: &str,
    headers: &HeaderMap,
    from: Option<IpAddr>,
) -> Result<(Token, User), PlatformError> {
    platform.authenticate(secret).map_err(|error| match error {
        PlatformError::Unauthorized => platform.wrong_credentials(from, name(headers).as_deref()),
        other => other,
    })
}

/// Returns the user name of Basic credentials.
pub(crate) fn name(headers: &HeaderMap) -> Option<String> {
    let (scheme, credentials) =
        headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let decoded = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(credentials.trim()));
    let decoded = String::from_utf8(decoded?.ok()?).ok()?;
    decoded.split_once(':').map(|(name, _)| name.to_owned())
}

/// Returns the token in the `Authorization` header: a Bearer token or the password of Basic
/// credentials, whose user name does not matter. Some clients send the token as the user name
/// with an empty password; that is taken too.
pub(crate) fn secret(headers: &HeaderMap) -> Option<String> {
    headers.get(AUTHORIZATION).and_then(from_value)
}

fn from_value(value: &HeaderValue) -> Option<String> {
    let (scheme, credentials) = value.to_str().ok()?.trim().split_once(' ')?;
    let credentials = credentials.trim();
    let secret = if scheme.eq_ignore_ascii_case("bearer") {
        credentials.to_owned()
    } else if scheme.eq_ignore_ascii_case("basic") {
        let decoded = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        if password.is_empty() { user.to_owned() } else { password.to_owned() }
    } else {
        return None;
    };
    (!secret.is_empty()).then_some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_token_in_every_form() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let cases = [
            ("Bearer t-1".to_owned(), Some("t-1")),
            ("bearer  t-1 ".to_owned(), Some("t-1")),
            (basic(":t-1"), Some("t-1")),
            (basic("me@example.com:t-1"), Some("t-1")),
            (basic("heroku:t:1"), Some("t:1")),
            (basic("t-1:"), Some("t-1")),
            (basic(":"), None),
            (basic("no colon"), None),
            ("Basic !!!".to_owned(), None),
            ("Bearer".to_owned(), None),
            ("Bearer ".to_owned(), None),
            ("Digest t-1".to_owned(), None),
        ];
        for (header, expected) in cases {
            let value = HeaderValue::from_str(&header).unwrap();
            assert_eq!(from_value(&value).as_deref(), expected, "{header}");
        }
        assert_eq!(secret(&HeaderMap::new()), None);
    }
}
