//! The page on which somebody sees to their passkeys. Without scripts all works but adding one.

use crate::convention::time;
use crate::heroku::page_shell::{alert, escaped, page};
use axum::response::Response;
use http::StatusCode;
use windlass_control::records::{Passkey, User};
use windlass_core::webauthn::RelyingParty;

/// What a page says of the last thing that was done on it.
pub(super) enum Said<'a> {
    Nothing,
    Done(&'static str),
    Wrong(&'a str),
}

pub(super) struct Overview<'a> {
    pub(super) user: &'a User,
    pub(super) party: &'a RelyingParty,
    pub(super) passkeys: &'a [Passkey],
    /// The page's path.
    pub(super) path: &'a str,
    /// Whether passkeys are good at the address at which the browser is.
    pub(super) at_home: bool,
    pub(super) said: Said<'a>,
}

pub(super) fn overview(status: StatusCode, shown: &Overview<'_>) -> Response {
    let said = match shown.said {
        Said::Nothing => String::new(),
        Said::Done(text) => format!("<p class=good role=status>{}</p>", escaped(text)),
        Said::Wrong(text) => alert(text),
    };
    let body = format!(
        "<h1>Your passkeys</h1><p>They log <strong>{email}</strong> in at \
         <strong>{host}</strong> by fingerprint, face or PIN, with no token and no code.</p>\
         {said}{list}{add}\
         <p class=quiet>You can close this page when you are done. \
         <code>windlass passkeys:add</code> opens another.</p>",
        email = escaped(&shown.user.email),
        host = escaped(shown.party.id()),
        list = list(shown.passkeys),
        add = if shown.at_home { add(shown.path) } else { elsewhere(shown) },
    );
    page(status, "Your passkeys", &body)
}

fn list(passkeys: &[Passkey]) -> String {
    if passkeys.is_empty() {
        return "<p class=quiet>You have none yet.</p>".to_owned();
    }
    let items: String = passkeys.iter().map(item).collect();
    format!("<ul class=passkeys>{items}</ul>")
}

fn item(passkey: &Passkey) -> String {
    let used = passkey.last_used_at.map(|at| format!("last used {}", minute(at)));
    let used = used.unwrap_or_else(|| "not used yet".to_owned());
    let added = minute(passkey.created_at);
    let synced = if passkey.backed_up { " · synced to other devices" } else { "" };
    format!(
        "<li><strong>{name}</strong><small>Added {added} · {used}{synced}</small>\
         <div class=actions>\
         <details><summary>Rename<span class=of> {name}</span></summary>\
         <form method=post><input type=hidden name=id value=\"{id}\"><div class=row>\
         <input name=name aria-label=\"New name\" required maxlength=60 value=\"{name}\">\
         <button name=action value=rename>Save</button></div></form></details>\
         <details><summary>Remove<span class=of> {name}</span></summary>\
         <form method=post><input type=hidden name=id value=\"{id}\">\
         <p>It will not log you in any more. Delete it on your device too.</p>\
         <button class=no name=action value=remove>Remove it</button></form></details>\
         </div></li>",
        name = escaped(&passkey.name),
        id = passkey.id,
    )
}

/// Returns milliseconds since the Unix epoch as `2026-01-02 03:04 UTC`.
fn minute(at: u64) -> String {
    let text = time(at).replace('T', " ");
    format!("{} UTC", text.get(..16).unwrap_or(&text))
}

fn add(path: &str) -> String {
    format!(
        "<h2>Add a passkey</h2>\
         <p class=wrong data-without-passkeys>Adding a passkey needs a browser that can, with JavaScript switched on.</p>\
         <form method=post data-passkey=create data-challenge=\"{}/challenge\" data-with-passkeys hidden>\
         <input type=hidden name=action value=add><input type=hidden name=passkey>\
         <label for=name>What to call it</label>\
         <input id=name name=name maxlength=60 placeholder=\"Laptop, phone, yellow key\" autocomplete=off>\
         <div class=buttons><button class=yes>Add a passkey</button></div>\
         <p class=wrong role=alert data-wrong hidden></p></form>",
        escaped(path)
    )
}

fn elsewhere(shown: &Overview<'_>) -> String {
    let url = escaped(&format!("{}{}", shown.party.origin(), shown.path));
    format!("<p class=wrong>Passkeys are added at this server's own address: {url}</p>")
}

pub(super) fn gone() -> Response {
    let body = "<h1>This page is over</h1><p>It was good for a quarter of an hour, and for one \
                browser. <code>windlass passkeys:add</code> opens another.</p>";
    page(StatusCode::NOT_FOUND, "Passkeys", body)
}

pub(super) fn opened_elsewhere() -> Response {
    let body = "<h1>Opened elsewhere</h1><p>This link was opened in another browser before, and is \
                good in that one only. If that was not you, run \
                <code>windlass passkeys:add</code>, which ends it, and look at your passkeys.</p>";
    page(StatusCode::FORBIDDEN, "Passkeys", body)
}
