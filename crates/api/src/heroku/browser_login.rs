//! Logging a client in by a browser: the client waits, a person proves there who they are, and the
//! client gets a token of its own.

use super::browser_login_page as page;
use crate::convention::audit::Peer;
use crate::convention::auth::secret;
use crate::convention::{ApiError, ApiResult, Endpoints, JsonBody, Needs};
use crate::state::ApiState;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde::Deserialize;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use windlass_control::access::{NewToken, random_secret};
use windlass_control::{Platform, PlatformError};
use windlass_wire::{BrowserLogin, BrowserLoginCreate, BrowserLoginResult};

/// How long a client waits for its person.
const LIFETIME: Duration = Duration::from_secs(10 * 60);
/// So many may wait at a time.
const MOST_WAITING: usize = 200;
/// Wrong proofs that one login bears.
const MOST_FAILURES: u32 = 5;
/// How long the token is good that the client gets, in seconds: as Heroku's.
const TOKEN_LIFETIME: u64 = 30 * 24 * 60 * 60;
/// Clients give a silent answer up after a minute; blanks in front of JSON mean nothing.
const BLANK_EVERY: Duration = Duration::from_secs(20);
const LONGEST_DESCRIPTION: usize = 100;
const LONGEST_FORM: usize = 4 * 1024;

pub(super) fn endpoints() -> Endpoints {
    Endpoints::new()
        .post("/auth", Needs::Nobody, begin)
        .get("/auth/cli/{login}", Needs::Itself, wait)
        .get("/auth/browser/{login}", Needs::Itself, show)
        .post("/auth/browser/{login}", Needs::Itself, decide)
}

/// The logins that wait, by the secret in their page's URL.
#[derive(Default)]
pub(crate) struct BrowserLogins(Mutex<HashMap<String, Arc<Waiting>>>);

struct Waiting {
    /// What the client says that it is.
    description: String,
    from: Option<IpAddr>,
    /// What the client proves itself with when it asks for the outcome.
    client_token: String,
    until: Instant,
    failures: Mutex<u32>,
    outcome: watch::Sender<Option<BrowserLoginResult>>,
}

impl BrowserLogins {
    fn add(&self, id: String, waiting: Waiting) -> ApiResult<()> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, waiting| waiting.until > Instant::now());
        if all.len() >= MOST_WAITING {
            let message = "Too many logins wait for a browser. Try again in a few minutes.";
            return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit", message));
        }
        all.insert(id, Arc::new(waiting));
        Ok(())
    }

    fn find(&self, id: &str) -> Option<Arc<Waiting>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(id).filter(|waiting| waiting.until > Instant::now()).cloned()
    }

    fn remove(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

async fn begin(
    State(state): State<ApiState>,
    peer: Option<Extension<Peer>>,
    JsonBody(body): JsonBody<BrowserLoginCreate>,
) -> ApiResult<(StatusCode, Json<BrowserLogin>)> {
    let description = body.description.unwrap_or_else(|| "Login by a browser".to_owned());
    let description: String =
        description.chars().filter(|c| !c.is_control()).take(LONGEST_DESCRIPTION).collect();
    let (id, client_token) = (random_secret(), random_secret());
    let waiting = Waiting {
        description,
        from: peer.map(|Extension(Peer(address))| address),
        client_token: client_token.clone(),
        until: Instant::now() + LIFETIME,
        failures: Mutex::new(0),
        outcome: watch::Sender::new(None),
    };
    state.browser_logins.add(id.clone(), waiting)?;
    let login = BrowserLogin {
        browser_url: format!("/auth/browser/{id}"),
        cli_url: format!("/auth/cli/{id}"),
        token: client_token,
    };
    Ok((StatusCode::CREATED, Json(login)))
}

/// Answers the client once its person has decided. It answers at once, and goes on with blanks.
async fn wait(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let waiting = state.browser_logins.find(&id).ok_or_else(|| ApiError::not_found("login"))?;
    if secret(&headers).as_deref() != Some(waiting.client_token.as_str()) {
        return Err(ApiError::unauthorized());
    }
    let outcome = waiting.outcome.subscribe();
    let pieces = stream::unfold(Some((state, id, waiting.until, outcome)), |waits| async {
        let (state, id, until, mut outcome) = waits?;
        let limit = BLANK_EVERY.min(until.saturating_duration_since(Instant::now()));
        let decided = tokio::time::timeout(limit, outcome.wait_for(Option::is_some)).await;
        let decided = decided.map(|decided| decided.ok().and_then(|outcome| outcome.clone()));
        let result = match decided {
            Ok(result) => result,
            Err(_) if Instant::now() < until => {
                let blank = Ok::<_, Infallible>(Bytes::from_static(b" "));
                return Some((blank, Some((state, id, until, outcome))));
            }
            Err(_) => Some(refused("Nobody logged in within ten minutes.")),
        };
        state.browser_logins.remove(&id);
        let result = result.unwrap_or_else(|| refused("The server was stopped."));
        let json = serde_json::to_vec(&result).unwrap_or_default();
        Some((Ok(Bytes::from(json)), None))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn refused(reason: &str) -> BrowserLoginResult {
    BrowserLoginResult { access_token: None, error: Some(reason.to_owned()) }
}

async fn show(State(state): State<ApiState>, Path(id): Path<String>) -> Response {
    match state.browser_logins.find(&id).filter(|waiting| waiting.outcome.borrow().is_none()) {
        Some(waiting) => {
            page::ask(StatusCode::OK, &waiting.description, waiting.from, None).into_response()
        }
        None => page::gone().into_response(),
    }
}

/// What the page's form sends.
#[derive(Deserialize)]
struct Decision {
    #[serde(default)]
    token: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    refuse: Option<String>,
}

async fn decide(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    peer: Option<Extension<Peer>>,
    body: Bytes,
) -> Response {
    let waiting = state.browser_logins.find(&id);
    let Some(waiting) = waiting.filter(|waiting| waiting.outcome.borrow().is_none()) else {
        return page::gone().into_response();
    };
    let Some(decision) = read_form(&body) else {
        let status = StatusCode::BAD_REQUEST;
        let why = Some("The form was not understood.");
        return page::ask(status, &waiting.description, waiting.from, why).into_response();
    };
    if decision.refuse.is_some() {
        waiting.outcome.send_replace(Some(refused("The login was refused in the browser.")));
        return page::refused().into_response();
    }
    let address = peer.map(|Extension(Peer(address))| address);
    match prove(&state.platform, &waiting, &decision, address) {
        Ok((email, token)) => {
            let result = BrowserLoginResult { access_token: Some(token), error: None };
            waiting.outcome.send_replace(Some(result));
            page::done(&email).into_response()
        }
        Err(error) => {
            let mut failures = waiting.failures.lock().unwrap_or_else(PoisonError::into_inner);
            *failures += 1;
            if *failures >= MOST_FAILURES {
                let reason = "The proofs given in the browser were wrong too often.";
                waiting.outcome.send_replace(Some(refused(reason)));
                return page::gone().into_response();
            }
            let error = ApiError::from(error);
            let why = Some(error.body.message.as_str());
            page::ask(error.status, &waiting.description, waiting.from, why).into_response()
        }
    }
}

/// Reads what a browser sends, which has the form of a URL's query.
fn read_form(body: &[u8]) -> Option<Decision> {
    let text = std::str::from_utf8(body).ok().filter(|text| text.len() <= LONGEST_FORM)?;
    let uri = Uri::builder().path_and_query(format!("/?{text}")).build().ok()?;
    Query::<Decision>::try_from_uri(&uri).ok().map(|Query(decision)| decision)
}

/// Returns the person's e-mail address, and a new token that may do what theirs may.
fn prove(
    platform: &Platform,
    waiting: &Waiting,
    decision: &Decision,
    from: Option<IpAddr>,
) -> Result<(String, String), PlatformError> {
    let (with, user) =
        platform.authenticate(decision.token.trim()).map_err(|error| match error {
            PlatformError::Unauthorized => platform.wrong_credentials(from, None),
            other => other,
        })?;
    let wanted = NewToken {
        description: waiting.description.clone(),
        scopes: with.scopes.clone(),
        expires_in: Some(TOKEN_LIFETIME),
    };
    let code = Some(decision.code.trim()).filter(|code| !code.is_empty());
    let (_, secret) = platform.create_authorization(&user, &with, wanted, code)?;
    Ok((user.email, secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_as_browsers_send_them() {
        let form = read_form(b"token=wl-1a%2B&code=123+456").unwrap();
        assert_eq!((form.token.as_str(), form.code.as_str()), ("wl-1a+", "123 456"));
        assert!(form.refuse.is_none());
        assert!(read_form(b"token=&refuse=yes").unwrap().refuse.is_some());
        assert!(read_form(b"").unwrap().token.is_empty());
        assert!(read_form("token=\u{7f}\n".as_bytes()).is_none());
        assert!(read_form(&[b'a'; LONGEST_FORM + 1]).is_none());
    }

    #[test]
    fn only_so_many_wait() {
        let logins = BrowserLogins::default();
        let waiting = |seconds| Waiting {
            description: String::new(),
            from: None,
            client_token: String::new(),
            until: Instant::now() + Duration::from_secs(seconds),
            failures: Mutex::new(0),
            outcome: watch::Sender::new(None),
        };
        for number in 0..MOST_WAITING {
            logins.add(number.to_string(), waiting(if number == 0 { 0 } else { 60 })).unwrap();
        }
        assert!(logins.find("0").is_none(), "its time is over");
        assert!(logins.find("1").is_some());
        logins.add("more".to_owned(), waiting(60)).unwrap();
        assert!(logins.add("too many".to_owned(), waiting(60)).is_err());
    }
}
