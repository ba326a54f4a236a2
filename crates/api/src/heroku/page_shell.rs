//! What all pages for people share: their frame, their headers, and what they load.

use crate::convention::{Endpoints, Needs};
use axum::extract::Query;
use axum::response::{Html, IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, StatusCode, Uri};
use serde::de::DeserializeOwned;

/// Scripts and styles come from this server's files only; nothing frames a page.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'";
/// A new passkey takes about two kilobytes; certificates that a device adds unasked some more.
pub(super) const LONGEST_FORM: usize = 16 * 1024;

const STYLE: &str = include_str!("assets/pages.css");
const SCRIPT: &str = include_str!("assets/passkeys.js");

pub(super) fn endpoints() -> Endpoints {
    Endpoints::new()
        .get("/auth/assets/pages.css", Needs::Itself, async || asset("text/css", STYLE))
        .get("/auth/assets/passkeys.js", Needs::Itself, async || asset("text/javascript", SCRIPT))
}

fn asset(kind: &str, text: &'static str) -> impl IntoResponse + use<> {
    let headers = [
        (CONTENT_TYPE, format!("{kind}; charset=utf-8")),
        // It changes with the server.
        (CACHE_CONTROL, "no-cache".to_owned()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (headers, text)
}

/// Returns a page. `body` is HTML.
pub(super) fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let headers = [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let html = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <meta name=color-scheme content=\"light dark\"><title>{title} · Windlass</title>\
         <link rel=stylesheet href=\"/auth/assets/pages.css\">\
         <script src=\"/auth/assets/passkeys.js\" defer></script></head>\
         <body><main><p class=brand>Windlass</p>{body}</main></body></html>\n",
        title = escaped(title),
    );
    (status, headers, Html(html)).into_response()
}

/// Returns a line that says what is wrong, which is read out.
pub(super) fn alert(text: &str) -> String {
    format!("<p class=wrong role=alert>{}</p>", escaped(text))
}

/// Text that stands for itself in HTML.
pub(super) fn escaped(text: &str) -> String {
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

/// Reads a form as browsers send it, which has the form of a URL's query.
pub(super) fn read_form<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(body).ok().filter(|text| text.len() <= LONGEST_FORM)?;
    let uri = Uri::builder().path_and_query(format!("/?{text}")).build().ok()?;
    Query::<T>::try_from_uri(&uri).ok().map(|Query(form)| form)
}

/// Whether a browser says that another site's page sends this.
pub(super) fn is_from_another_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    site.is_some_and(|site| !matches!(site, "same-origin" | "none"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_clients_say_is_text() {
        assert_eq!(escaped("<b a='\"'>&"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;");
    }

    #[test]
    fn pages_of_other_sites_are_told_by_their_browsers() {
        for (site, expected) in [
            (None, false),
            (Some("none"), false),
            (Some("same-origin"), false),
            (Some("same-site"), true),
            (Some("cross-site"), true),
        ] {
            let site = site.map(HeaderValue::from_static);
            let headers =
                site.into_iter().map(|site| ("sec-fetch-site".parse().unwrap(), site)).collect();
            assert_eq!(is_from_another_site(&headers), expected, "{headers:?}");
        }
    }
}
