//! Logging a client in by a browser: the client waits, a person proves there who they are, and the
//! client gets a token of its own.

use super::browser_login_page::{self as page, PasskeyOffer, Question};
use super::page_shell::read_form;
use super::passkeys;
use crate::convention::audit::{self, Peer, RequestId};
use crate::convention::auth::secret;
use crate::convention::{ApiError, ApiResult, BaseUrl, Endpoints, JsonBody, Needs};
use crate::state::ApiState;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::{Extension, Json};
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use windlass_control::access::{NewToken, new_challenge, random_secret};
use windlass_control::records::{Token, User};
use windlass_control::{Platform, PlatformError};
use windlass_core::access::{Area, Wants};
use windlass_core::webauthn::Challenge;
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

pub(super) fn endpoints() -> Endpoints {
    Endpoints::new()
        .post("/auth", Needs::Nobody, begin)
        .get("/auth/cli/{login}", Needs::Itself, wait)
        .get("/auth/browser/{login}", Needs::Itself, show)
        .post("/auth/browser/{login}", Needs::Itself, decide)
        .post("/auth/browser/{login}/challenge", Needs::Itself, challenge)
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
    /// What the browser was asked last, if the person wants to use a passkey.
    challenge: Mutex<Option<Challenge>>,
    outcome: watch::Sender<Option<BrowserLoginResult>>,
}

impl BrowserLogins {
    /// Adds one. If there are too many, the oldest goes of the address that has the most: a
    /// stranger who begins hundreds shuts nobody else out.
    fn add(&self, id: String, waiting: Waiting) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, waiting| waiting.until > Instant::now());
        if all.len() >= MOST_WAITING
            && let Some(oldest) = oldest_of_the_crowd(&all)
            && let Some(given_up) = all.remove(&oldest)
        {
            let reason = "Too many logins wait for a browser: begin again.";
            given_up.outcome.send_replace(Some(refused(reason)));
        }
        all.insert(id, Arc::new(waiting));
    }

    fn find(&self, id: &str) -> Option<Arc<Waiting>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(id).filter(|waiting| waiting.until > Instant::now()).cloned()
    }

    /// The same, unless its person has decided.
    fn undecided(&self, id: &str) -> Option<Arc<Waiting>> {
        self.find(id).filter(|waiting| waiting.outcome.borrow().is_none())
    }

    fn remove(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

/// Returns the oldest of those who came from where the most came from.
fn oldest_of_the_crowd(all: &HashMap<String, Arc<Waiting>>) -> Option<String> {
    let mut of_address: HashMap<Option<IpAddr>, usize> = HashMap::new();
    for waiting in all.values() {
        *of_address.entry(waiting.from).or_default() += 1;
    }
    let (crowd, _) = of_address.into_iter().max_by_key(|(_, count)| *count)?;
    let theirs = all.iter().filter(|(_, waiting)| waiting.from == crowd);
    theirs.min_by_key(|(_, waiting)| waiting.until).map(|(id, _)| id.clone())
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
        challenge: Mutex::default(),
        outcome: watch::Sender::new(None),
    };
    state.browser_logins.add(id.clone(), waiting);
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

async fn show(State(state): State<ApiState>, Path(id): Path<String>, base: BaseUrl) -> Response {
    match state.browser_logins.undecided(&id) {
        Some(waiting) => ask(&state, &id, &waiting, &base, StatusCode::OK, None),
        None => page::gone(),
    }
}

fn ask(
    state: &ApiState,
    id: &str,
    waiting: &Waiting,
    base: &BaseUrl,
    status: StatusCode,
    wrong: Option<&str>,
) -> Response {
    let question = Question {
        client: &waiting.description,
        from: waiting.from,
        wrong,
        passkey: offer(&state.platform, id, base),
    };
    page::ask(status, &question)
}

/// Passkeys are offered only where they can be used, and once somebody has one.
fn offer(platform: &Platform, id: &str, base: &BaseUrl) -> PasskeyOffer {
    match (platform.passkeys_are_in_use(), platform.relying_party()) {
        (Ok(true), Ok(_)) if passkeys::is_at_home(platform, base) => {
            PasskeyOffer::Here(format!("/auth/browser/{id}/challenge"))
        }
        (Ok(true), Ok(party)) => PasskeyOffer::At(format!("{}/auth/browser/{id}", party.origin())),
        _ => PasskeyOffer::No,
    }
}

/// Answers what a browser is to ask of a device.
async fn challenge(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> ApiResult<Json<Value>> {
    let waiting = state.browser_logins.undecided(&id);
    let waiting = waiting.ok_or_else(|| ApiError::not_found("login"))?;
    let party = state.platform.relying_party()?;
    let challenge = new_challenge();
    let options = passkeys::request_options(&party, &challenge);
    *waiting.challenge.lock().unwrap_or_else(PoisonError::into_inner) = Some(challenge);
    Ok(Json(options))
}

/// What the page's forms send.
#[derive(Deserialize)]
struct Decision {
    #[serde(default)]
    token: String,
    #[serde(default)]
    code: String,
    /// What a device has answered; then there is neither token nor code.
    #[serde(default)]
    passkey: String,
    #[serde(default)]
    refuse: Option<String>,
}

async fn decide(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    base: BaseUrl,
    peer: Option<Extension<Peer>>,
    request: Option<Extension<RequestId>>,
    body: Bytes,
) -> Response {
    let Some(waiting) = state.browser_logins.undecided(&id) else { return page::gone() };
    let Some(decision) = read_form::<Decision>(&body) else {
        let why = Some("The form was not understood.");
        return ask(&state, &id, &waiting, &base, StatusCode::BAD_REQUEST, why);
    };
    if decision.refuse.is_some() {
        waiting.outcome.send_replace(Some(refused("The login was refused in the browser.")));
        return page::refused();
    }
    let peer = peer.map(|Extension(peer)| peer);
    let address = peer.map(|Peer(address)| address);
    match prove(&state.platform, &waiting, &decision, address) {
        Ok(proved) => {
            let Proved { user, token, secret, with } = proved;
            let action = if with.is_some() { "browser login" } else { "passkey login" };
            let request = request.map(|Extension(id)| id);
            let entry = audit::of_page(&user, with, action.to_owned(), peer, request);
            state.platform.record_activity(entry);
            let passkeys = passkeys::page_after_login(&state, &base, &user, &token);
            let result = BrowserLoginResult { access_token: Some(secret), error: None };
            waiting.outcome.send_replace(Some(result));
            page::done(&user.email, passkeys.as_deref())
        }
        Err(error) => {
            let mut failures = waiting.failures.lock().unwrap_or_else(PoisonError::into_inner);
            *failures += 1;
            if *failures >= MOST_FAILURES {
                let reason = "The proofs given in the browser were wrong too often.";
                waiting.outcome.send_replace(Some(refused(reason)));
                return page::gone();
            }
            let error = ApiError::from(error);
            let why = Some(error.body.message.as_str());
            ask(&state, &id, &waiting, &base, error.status, why)
        }
    }
}

/// Somebody who has proved themselves, and the token that their client gets.
struct Proved {
    user: User,
    token: Token,
    secret: String,
    /// What the token is for that they proved themselves with; `None` with a passkey.
    with: Option<String>,
}

/// Makes a new token that may do what its person may: everything.
fn prove(
    platform: &Platform,
    waiting: &Waiting,
    decision: &Decision,
    from: Option<IpAddr>,
) -> Result<Proved, PlatformError> {
    let description = waiting.description.clone();
    if !decision.passkey.is_empty() {
        let asked = waiting.challenge.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(asked), Some(proof)) = (asked, passkeys::proof_of(&decision.passkey)) else {
            let message = "This passkey was not accepted. Try again.";
            return Err(PlatformError::Invalid(message.to_owned()));
        };
        let made = platform.log_in_by_passkey(asked, &proof, from, description, TOKEN_LIFETIME);
        return made.map(|(user, token, secret)| Proved { user, token, secret, with: None });
    }
    let (with, user) =
        platform.authenticate(decision.token.trim()).map_err(|error| match error {
            PlatformError::Unauthorized => platform.wrong_credentials(from, None),
            other => other,
        })?;
    // Else a token that may only read, or that is about to expire, could make others.
    platform.require_scope(&with, Wants { area: Area::Account, change: true })?;
    let wanted =
        NewToken { description, scopes: with.scopes.clone(), expires_in: Some(TOKEN_LIFETIME) };
    let code = Some(decision.code.trim()).filter(|code| !code.is_empty());
    let (token, secret) = platform.create_authorization(&user, &with, wanted, code)?;
    Ok(Proved { user, token, secret, with: Some(with.description) })
}

#[cfg(test)]
mod tests {
    use super::super::page_shell::LONGEST_FORM;
    use super::*;

    #[test]
    fn forms_are_read_as_browsers_send_them() {
        let read_form = read_form::<Decision>;
        let form = read_form(b"token=wl-1a%2B&code=123+456").unwrap();
        assert_eq!((form.token.as_str(), form.code.as_str()), ("wl-1a+", "123 456"));
        assert!(form.refuse.is_none());
        assert!(read_form(b"token=&refuse=yes").unwrap().refuse.is_some());
        assert!(read_form(b"").unwrap().token.is_empty());
        assert!(read_form("token=\u{7f}\n".as_bytes()).is_none());
        assert!(read_form(&[b'a'; LONGEST_FORM + 1]).is_none());
    }

    #[test]
    fn only_so_many_wait_and_a_crowd_shuts_nobody_else_out() {
        let logins = BrowserLogins::default();
        let waiting = |seconds, from: [u8; 4]| Waiting {
            description: String::new(),
            from: Some(from.into()),
            client_token: String::new(),
            until: Instant::now() + Duration::from_secs(seconds),
            failures: Mutex::new(0),
            challenge: Mutex::default(),
            outcome: watch::Sender::new(None),
        };
        let (crowd, other) = ([203, 0, 113, 1], [203, 0, 113, 2]);
        logins.add("over".to_owned(), waiting(0, crowd));
        assert!(logins.find("over").is_none(), "its time is over");
        logins.add("other".to_owned(), waiting(30, other));
        for number in 0..2 * MOST_WAITING as u64 {
            logins.add(number.to_string(), waiting(60 + number, crowd));
        }
        assert_eq!(logins.0.lock().unwrap().len(), MOST_WAITING);
        assert!(logins.find("other").is_some(), "the oldest of all, but of another address");
        assert!(logins.find("0").is_none() && logins.find("399").is_some());
        logins.add("another".to_owned(), waiting(60, other));
        assert!(logins.find("another").is_some());
    }
}
