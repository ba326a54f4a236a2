//! The pages of a login by a browser. They need no scripts, and load nothing.

use axum::response::{Html, IntoResponse};
use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use std::net::IpAddr;

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:30rem;margin:4rem auto;padding:0 1rem;color:#222;background:#fff}\
h1{font-size:1.4rem}label{display:block;margin:1rem 0 .2rem}input{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;border:1px solid #888;border-radius:4px}\
button{font:inherit;padding:.5rem 1rem;margin:1.5rem .5rem 0 0;border:1px solid #555;border-radius:4px;background:#eee;cursor:pointer}\
button.yes{background:#2457a6;border-color:#2457a6;color:#fff}.wrong{color:#a11;font-weight:600}small{color:#555}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}input,button{background:#222;color:#ddd}small{color:#aaa}.wrong{color:#f77}}";

/// Asks who somebody is, for the client that waits.
pub(super) fn ask(
    status: StatusCode,
    client: &str,
    from: Option<IpAddr>,
    wrong: Option<&str>,
) -> impl IntoResponse + use<> {
    let from = from.map(|address| format!(" at {address}")).unwrap_or_default();
    let wrong = wrong.map(|text| format!("<p class=wrong role=alert>{}</p>", escaped(text)));
    let body = format!(
        "<h1>Log in to Windlass</h1>\
         <p><strong>{client}</strong>{from} asks to be logged in as you. \
         Go on only if you have just started that login yourself.</p>{wrong}\
         <form method=post autocomplete=off>\
         <label for=token>Your token</label>\
         <input id=token name=token type=password required autofocus spellcheck=false>\
         <label for=code>Two-factor code</label>\
         <input id=code name=code inputmode=numeric autocomplete=one-time-code>\
         <small>Only if you have switched two-factor authentication on.</small><br>\
         <button class=yes>Log in</button>\
         <button name=refuse value=yes formnovalidate>Refuse</button></form>",
        client = escaped(client),
        wrong = wrong.unwrap_or_default(),
    );
    page(status, &body)
}

pub(super) fn done(email: &str) -> impl IntoResponse + use<> {
    let email = escaped(email);
    let body = format!(
        "<h1>Logged in</h1><p>You are logged in as <strong>{email}</strong>. \
         You can close this page and go back to the terminal.</p>"
    );
    page(StatusCode::OK, &body)
}

pub(super) fn refused() -> impl IntoResponse + use<> {
    page(StatusCode::OK, "<h1>Refused</h1><p>Nobody was logged in. You can close this page.</p>")
}

pub(super) fn gone() -> impl IntoResponse + use<> {
    let body = "<h1>This login is over</h1><p>Nothing waits for it any more: \
                start it again in the terminal.</p>";
    page(StatusCode::NOT_FOUND, body)
}

fn page(status: StatusCode, body: &str) -> impl IntoResponse + use<> {
    let headers = [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let html = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width\"><title>Windlass</title>\
         <style>{STYLE}</style></head><body>{body}</body></html>\n"
    );
    (status, headers, Html(html))
}

/// Text that stands for itself in HTML.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_say_is_text() {
        assert_eq!(escaped("<b a='\"'>&"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;");
    }
}
