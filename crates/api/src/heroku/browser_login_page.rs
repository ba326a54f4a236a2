//! The pages of a login by a browser. They work without scripts, but for passkeys.

use super::page_shell::{alert, escaped, page};
use axum::response::Response;
use http::StatusCode;
use std::net::IpAddr;

/// Whether a login can be decided by a passkey.
pub(super) enum PasskeyOffer {
    /// Nobody has one.
    No,
    /// Yes: the path at which to ask for a challenge.
    Here(String),
    /// At this address of the server only.
    At(String),
}

/// What somebody is asked.
pub(super) struct Question<'a> {
    pub(super) client: &'a str,
    pub(super) from: Option<IpAddr>,
    /// What was wrong with the last answer.
    pub(super) wrong: Option<&'a str>,
    pub(super) passkey: PasskeyOffer,
}

/// Asks who somebody is, for the client that waits.
pub(super) fn ask(status: StatusCode, question: &Question<'_>) -> Response {
    let from = question.from.map(|address| format!(" at {address}")).unwrap_or_default();
    // A field that is focused opens a phone's keyboard, which would hide the passkey's button.
    let focus = if matches!(question.passkey, PasskeyOffer::Here(_)) { "" } else { " autofocus" };
    let body = format!(
        "<h1>Log in to Windlass</h1>\
         <p><strong>{client}</strong>{from} asks to be logged in as you. \
         Go on only if you have just started that login yourself.</p>{wrong}{passkey}\
         <form method=post autocomplete=off>\
         <label for=token>Your token</label>\
         <input id=token name=token type=password required{focus} spellcheck=false>\
         <label for=code>Two-factor code</label>\
         <input id=code name=code inputmode=numeric autocomplete=one-time-code aria-describedby=about-code>\
         <small id=about-code>Only if you have switched two-factor authentication on.</small>\
         <div class=buttons><button class=yes>Log in</button>\
         <button name=refuse value=yes formnovalidate>Refuse</button></div></form>",
        client = escaped(question.client),
        wrong = question.wrong.map(alert).unwrap_or_default(),
        passkey = offer(&question.passkey),
    );
    page(status, "Log in", &body)
}

fn offer(passkey: &PasskeyOffer) -> String {
    match passkey {
        PasskeyOffer::No => String::new(),
        PasskeyOffer::Here(challenge) => format!(
            "<div data-with-passkeys hidden>\
             <form method=post data-passkey=get data-challenge=\"{}\">\
             <input type=hidden name=passkey>\
             <button class=\"yes wide\">Sign in with a passkey</button>\
             <p class=wrong role=alert data-wrong hidden></p></form><p class=or>or</p></div>",
            escaped(challenge)
        ),
        PasskeyOffer::At(url) => format!(
            "<p class=quiet>To use a passkey, go on at <a href=\"{url}\">this server's own address</a>.</p>",
            url = escaped(url)
        ),
    }
}

/// `passkeys` is where to see to them.
pub(super) fn done(email: &str, passkeys: Option<&str>) -> Response {
    let email = escaped(email);
    let passkeys = passkeys.map(|url| {
        format!(
            "<p class=quiet><a href=\"{}\">Your passkeys</a> log you in by fingerprint, face or \
             PIN, with no token.</p>",
            escaped(url)
        )
    });
    let body = format!(
        "<h1>Logged in</h1><p>You are logged in as <strong>{email}</strong>. \
         You can close this page and go back to the terminal.</p>{}",
        passkeys.unwrap_or_default()
    );
    page(StatusCode::OK, "Logged in", &body)
}

pub(super) fn refused() -> Response {
    let body = "<h1>Refused</h1><p>Nobody was logged in. You can close this page.</p>";
    page(StatusCode::OK, "Refused", body)
}

pub(super) fn gone() -> Response {
    let body = "<h1>This login is over</h1><p>Nothing waits for it any more: \
                start it again in the terminal.</p>";
    page(StatusCode::NOT_FOUND, "Login", body)
}
