//! What happens on the page on which somebody sees to their passkeys. Its URL has a secret, and the
//! first browser that opens it gets another as a cookie; both are needed from then on.

use super::html::{self, Overview, Said};
use super::open_pages::{OpenPage, Visit};
use super::{exchange, is_at_home};
use crate::convention::audit::{self, Peer, RequestId};
use crate::convention::{ApiError, ApiResult, BaseUrl, Endpoints, Needs};
use crate::heroku::page_shell::{is_from_another_site, read_form};
use crate::state::ApiState;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Json};
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use windlass_control::access::new_challenge;
use windlass_control::records::{Token, User};
use windlass_control::{Platform, PlatformError};

const COOKIE_NAME: &str = "windlass-passkeys";
const PAGE: &str = "/auth/passkeys/{page}";

pub(super) fn endpoints() -> Endpoints {
    Endpoints::new().get(PAGE, Needs::Itself, show).post(PAGE, Needs::Itself, act).post(
        "/auth/passkeys/{page}/challenge",
        Needs::Itself,
        challenge,
    )
}

/// Whose page it is.
struct Visitor {
    page: Arc<OpenPage>,
    user: User,
    /// What the page was opened with.
    token: Token,
}

/// What was done before this page is shown.
#[derive(Deserialize)]
struct Before {
    #[serde(default)]
    done: String,
}

async fn show(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
    base: BaseUrl,
    Query(before): Query<Before>,
) -> Response {
    let Some(visitor) = visitor(&state, &id) else { return html::gone() };
    if method == Method::HEAD {
        // Programs look at links like that; the browser is still to come.
        return StatusCode::OK.into_response();
    }
    let cookie = match visitor.page.visit(shown_cookie(&headers)) {
        Visit::First(secret) => Some(cookie(&secret, &id, visitor.page.seconds_left(), &base)),
        Visit::Again => None,
        Visit::Stranger => return html::opened_elsewhere(),
    };
    let said = match before.done.as_str() {
        "add" => Said::Done("The passkey was added. It logs you in from now on."),
        "rename" => Said::Done("The passkey was renamed."),
        "remove" => Said::Done("The passkey was removed."),
        _ => Said::Nothing,
    };
    let mut response = overview(&state.platform, &visitor, &id, &base, StatusCode::OK, said);
    if let Some(value) = cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok()) {
        response.headers_mut().insert(SET_COOKIE, value);
    }
    response
}

/// What the page's forms send.
#[derive(Deserialize)]
struct Act {
    #[serde(default)]
    action: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    passkey: String,
}

async fn act(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    base: BaseUrl,
    peer: Option<Extension<Peer>>,
    request: Option<Extension<RequestId>>,
    body: Bytes,
) -> Response {
    let visitor = match known_visitor(&state, &id, &headers) {
        Ok(visitor) => visitor,
        Err(page) => return *page,
    };
    let outcome = match read_form::<Act>(&body) {
        Some(form) => apply(&state.platform, &visitor, form),
        None => Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_request", NOT_UNDERSTOOD)),
    };
    match outcome {
        Ok(done) => {
            let (peer, request) =
                (peer.map(|Extension(peer)| peer), request.map(|Extension(id)| id));
            let action = format!("passkey {done}");
            let token = Some(visitor.token.description.clone());
            let entry = audit::of_page(&visitor.user, token, action, peer, request);
            state.platform.record_activity(entry);
            Redirect::to(&format!("/auth/passkeys/{id}?done={done}")).into_response()
        }
        Err(error) => {
            let said = Said::Wrong(&error.body.message);
            overview(&state.platform, &visitor, &id, &base, error.status, said)
        }
    }
}

const NOT_UNDERSTOOD: &str = "The form was not understood.";

/// Does what a form asks for. Returns its name.
fn apply(platform: &Platform, visitor: &Visitor, form: Act) -> ApiResult<&'static str> {
    let user = &visitor.user;
    Ok(match form.action.as_str() {
        "add" => {
            // Whatever comes of it, the browser has answered.
            let asked = visitor.page.asked();
            let asked =
                asked.ok_or_else(|| ApiError::invalid("The passkey was not taken. Try again."))?;
            let made = exchange::made(form.name, &form.passkey);
            let made = made.ok_or_else(|| ApiError::invalid(NOT_UNDERSTOOD))?;
            platform.add_passkey(user, asked, made)?;
            "add"
        }
        "rename" => {
            platform.rename_passkey(user, super::parsed(&form.id)?, &form.name)?;
            "rename"
        }
        "remove" => {
            platform.remove_passkey(user, super::parsed(&form.id)?)?;
            "remove"
        }
        _ => return Err(ApiError::invalid(NOT_UNDERSTOOD)),
    })
}

async fn challenge(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Json<Value>> {
    let over = || ApiError::new(StatusCode::NOT_FOUND, "not_found", "This page is over.");
    let visitor = known_visitor(&state, &id, &headers).map_err(|_| over())?;
    let party = state.platform.relying_party()?;
    let known = state.platform.passkeys(&visitor.user)?;
    let challenge = new_challenge();
    let options = exchange::creation_options(&party, &challenge, &visitor.user, &known);
    visitor.page.ask(challenge);
    Ok(Json(options))
}

/// Returns whose page it is, as long as the token that opened it is good.
fn visitor(state: &ApiState, id: &str) -> Option<Visitor> {
    let page = state.passkey_pages.find(id)?;
    let user = state.platform.user(page.user).ok()?;
    let tokens = state.platform.authorizations(&user).ok()?;
    let token = tokens.into_iter().find(|token| token.id == page.token)?;
    Some(Visitor { page, user, token })
}

/// The same for a browser that was there before; the page that says otherwise if it was not.
fn known_visitor(
    state: &ApiState,
    id: &str,
    headers: &HeaderMap,
) -> Result<Visitor, Box<Response>> {
    let visitor = visitor(state, id).ok_or_else(|| Box::new(html::gone()))?;
    // One that has not seen the page has nothing to send from it.
    let Some(shown) = shown_cookie(headers).filter(|_| !is_from_another_site(headers)) else {
        return Err(Box::new(html::opened_elsewhere()));
    };
    match visitor.page.visit(Some(shown)) {
        Visit::Again => Ok(visitor),
        Visit::First(_) | Visit::Stranger => Err(Box::new(html::opened_elsewhere())),
    }
}

fn shown_cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| name.trim() == COOKIE_NAME).map(|(_, value)| value.trim())
}

fn cookie(secret: &str, id: &str, seconds: u64, base: &BaseUrl) -> String {
    let secure = if base.0.starts_with("https:") { "; Secure" } else { "" };
    format!(
        "{COOKIE_NAME}={secret}; Path=/auth/passkeys/{id}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
    )
}

fn overview(
    platform: &Platform,
    visitor: &Visitor,
    id: &str,
    base: &BaseUrl,
    status: StatusCode,
    said: Said<'_>,
) -> Response {
    let shown = || -> Result<Response, PlatformError> {
        let shown = Overview {
            user: &visitor.user,
            party: &platform.relying_party()?,
            passkeys: &platform.passkeys(&visitor.user)?,
            path: &format!("/auth/passkeys/{id}"),
            at_home: is_at_home(platform, base),
            said,
        };
        Ok(html::overview(status, &shown))
    };
    shown().unwrap_or_else(|error| ApiError::from(error).into_response())
}
