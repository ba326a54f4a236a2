//! The audit trail's entry of a request, and where the request came from.

use super::{AppOfCaller, Caller};
use axum::extract::Request;
use std::net::IpAddr;
use windlass_control::records::{Activity, App, User};

/// Where the connection comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The identifier that the answer's header `Request-Id` has.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) String);

/// The app that a request turned out to be about, which an answer carries for the trail.
#[derive(Clone, Debug)]
pub(crate) struct About(pub(crate) App);

/// Returns what is written down if the request changes something. `path` is the endpoint's template.
pub(crate) fn entry(request: &Request, path: &str) -> Option<Activity> {
    let extensions = request.extensions();
    let Caller { user, token, .. } = extensions.get::<Caller>()?;
    let app = extensions.get::<AppOfCaller>().map(|of| name(&of.app));
    let now = jiff::Timestamp::now().as_millisecond();
    Some(Activity {
        at: u64::try_from(now).unwrap_or_default(),
        user: user.id,
        email: user.email.clone(),
        token: Some(token.description.clone()),
        app,
        action: format!("{} {path}", request.method()),
        address: extensions.get::<Peer>().map(|peer| peer.0.to_string()),
        request: extensions.get::<RequestId>().map(|id| id.0.clone()),
    })
}

/// Returns what is written down of something that somebody does on a page, where no token is sent.
/// `token` is the description of the one that let them in, if it was one.
pub(crate) fn of_page(
    user: &User,
    token: Option<String>,
    action: String,
    peer: Option<Peer>,
    request: Option<RequestId>,
) -> Activity {
    let now = jiff::Timestamp::now().as_millisecond();
    Activity {
        at: u64::try_from(now).unwrap_or_default(),
        user: user.id,
        email: user.email.clone(),
        token,
        app: None,
        action,
        address: peer.map(|peer| peer.0.to_string()),
        request: request.map(|id| id.0),
    }
}

/// Names the app that the answer says the request was about.
pub(crate) fn name_app(entry: &mut Activity, answer: &axum::response::Response) {
    if let Some(About(app)) = answer.extensions().get::<About>() {
        entry.app = Some(name(app));
    }
}

fn name(app: &App) -> (windlass_core::ids::AppId, String) {
    (app.id, app.name.to_string())
}
