//! What the router itself says to people and programs.

use super::VIA;
use super::body::AnswerBody;
use crate::access_log::ErrorCode;
use crate::policy::Answer;
use crate::table::App;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use windlass_core::routing_settings::PageKind;

const PAGE: &str = include_str!("page.html");

/// Who reads the answer, and in which format.
pub(crate) struct Reader {
    format: Format,
    request_id: HeaderValue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Html,
    Json,
    Text,
}

/// The words of an answer.
struct Words<'a> {
    /// For programs: `not_found`.
    id: &'static str,
    code: Option<&'static str>,
    title: &'static str,
    message: &'a str,
    hint: &'a str,
}

impl Reader {
    pub fn new(headers: &HeaderMap, request_id: HeaderValue) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        Self { format: accept.map_or(Format::Html, preferred), request_id }
    }

    /// Answers a certificate authority's challenge.
    pub fn challenge(&self, key_authorization: String) -> Response<AnswerBody> {
        let mut response = Response::new(AnswerBody::Page(Some(Bytes::from(key_authorization))));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
        response
    }

    /// Says that no app has this host.
    pub fn unknown_host(&self, host: &str) -> Response<AnswerBody> {
        let message = format!("No app answers to {host}.");
        let words = Words {
            id: "not_found",
            code: None,
            title: "There's nothing here, yet.",
            message: &message,
            hint: "If this is your app, check its name and that this domain is added to it.",
        };
        self.response(StatusCode::NOT_FOUND, &words)
    }

    /// Says that a request is not served as it is.
    pub fn refusal(&self, status: StatusCode, message: &str) -> Response<AnswerBody> {
        let words =
            Words { id: "bad_request", code: None, title: "Bad request", message, hint: "" };
        self.response(status, &words)
    }

    /// Answers in an app's place, as its settings want it.
    pub fn refused(&self, answer: Answer) -> Response<AnswerBody> {
        let (id, title) = match answer.status {
            StatusCode::UNAUTHORIZED => ("unauthorized", "Password required"),
            StatusCode::FORBIDDEN => ("forbidden", "Not allowed"),
            StatusCode::PAYLOAD_TOO_LARGE => ("payload_too_large", "Too large"),
            StatusCode::TOO_MANY_REQUESTS => ("rate_limit", "Too many requests"),
            StatusCode::NOT_IMPLEMENTED => ("not_implemented", "Not supported"),
            _ => ("moved", "Moved"),
        };
        let message = answer.message;
        let words = Words { id, code: None, title, message, hint: "" };
        let mut response = self.response(answer.status, &words);
        let headers = response.headers_mut();
        if answer.status.is_redirection() {
            // Where a domain leads may be remembered, as its status says.
            headers.remove(header::CACHE_CONTROL);
        }
        answer.headers.into_iter().for_each(|(name, value)| drop(headers.insert(name, value)));
        response
    }

    /// Says that an app could not answer, on the app's own page if it has one and a person reads.
    pub fn failure_of(&self, app: &App, error: ErrorCode) -> Response<AnswerBody> {
        let response = self.failure(error);
        let kind = match error {
            ErrorCode::Maintenance => PageKind::Maintenance,
            ErrorCode::BlankApp => PageKind::Blank,
            ErrorCode::BadHeader | ErrorCode::BadChunk | ErrorCode::UnsupportedExpect => {
                return response;
            }
            _ => PageKind::Error,
        };
        let page = app.policy.as_ref().and_then(|policy| policy.page(kind));
        match page.filter(|_| self.format == Format::Html) {
            Some(page) => {
                let body = Bytes::copy_from_slice(page.as_str().as_bytes());
                response.map(|_| AnswerBody::Page(Some(body)))
            }
            None => response,
        }
    }

    /// Says that an app could not answer.
    pub fn failure(&self, error: ErrorCode) -> Response<AnswerBody> {
        let (code, description) = error.code();
        let (id, title, message) = match error {
            ErrorCode::Maintenance => (
                "maintenance",
                "Offline for maintenance",
                "This app is being worked on. Please come back in a little while.",
            ),
            ErrorCode::BlankApp => (
                "blank_app",
                "Ready for its first deploy",
                "This app exists, but nothing has been deployed to it yet.",
            ),
            ErrorCode::BadHeader | ErrorCode::BadChunk | ErrorCode::UnsupportedExpect => {
                ("bad_request", "Bad request", "The request cannot be understood.")
            }
            _ => (
                "application_error",
                "Application error",
                "The app could not answer this request. Please try again in a few moments.",
            ),
        };
        let hint = match error {
            ErrorCode::Maintenance
            | ErrorCode::BadHeader
            | ErrorCode::BadChunk
            | ErrorCode::UnsupportedExpect => "",
            ErrorCode::BlankApp => "If you are its owner: push your code to see it here.",
            _ => "If you are its owner: the app's logs say what happened.",
        };
        let status =
            StatusCode::from_u16(error.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let explained = format!("{message} ({description})");
        let message = if self.format == Format::Html { message } else { &explained };
        self.response(status, &Words { id, code: Some(code), title, message, hint })
    }

    fn response(&self, status: StatusCode, words: &Words<'_>) -> Response<AnswerBody> {
        let (kind, body) = match self.format {
            Format::Html => ("text/html; charset=utf-8", self.html(status, words)),
            Format::Json => ("application/json", self.json(words)),
            Format::Text => ("text/plain; charset=utf-8", self.text(status, words)),
        };
        let mut response = Response::new(AnswerBody::Page(Some(Bytes::from(body))));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
        headers.insert(header::VIA, VIA);
        headers.insert("x-request-id", self.request_id.clone());
        response
    }

    fn html(&self, status: StatusCode, words: &Words<'_>) -> String {
        let status = words.code.map_or(status.to_string(), |code| format!("{status} · {code}"));
        PAGE.replace("{title}", &escape(words.title))
            .replace("{message}", &escape(words.message))
            .replace("{hint}", &escape(words.hint))
            .replace("<p class=\"hint\"></p>\n", "")
            .replace("{status}", &status)
            .replace("{request_id}", &escape(self.request_id.to_str().unwrap_or_default()))
    }

    fn json(&self, words: &Words<'_>) -> String {
        let request_id = self.request_id.to_str().unwrap_or_default();
        let object = serde_json::json!({
            "id": words.id, "code": words.code, "message": words.message, "request_id": request_id,
        });
        format!("{object}\n")
    }

    fn text(&self, status: StatusCode, words: &Words<'_>) -> String {
        let code = words.code.map(|code| format!(" {code}")).unwrap_or_default();
        let request_id = self.request_id.to_str().unwrap_or_default();
        format!("{}\n{}\n\n{status}{code}, request {request_id}\n", words.title, words.message)
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Returns the format that an `Accept` header likes best; HTML when it does not mind.
fn preferred(accept: &str) -> Format {
    let quality = |kind: &str| {
        let (main, _) = kind.split_once('/').unwrap_or((kind, ""));
        // The most precise range that covers the type decides. Of equal types the one named wins.
        let ranges = accept.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next()?.to_ascii_lowercase();
            let quality = parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(Some(1.0), |q| q.parse::<f32>().ok())?;
            let precision = match name.as_str() {
                name if name == kind => 3,
                name if name.strip_suffix("/*") == Some(main) => 2,
                "*/*" => 1,
                _ => return None,
            };
            Some((precision, quality))
        });
        ranges
            .max_by_key(|(precision, _)| *precision)
            .map_or((0.0, 0), |(precision, quality)| (quality, precision))
    };
    let (html, json, text) =
        (quality("text/html"), quality("application/json"), quality("text/plain"));
    if json > html && json >= text {
        Format::Json
    } else if text > html {
        Format::Text
    } else {
        Format::Html
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_html_and_programs_what_they_ask_for() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert_eq!(preferred(browser), Format::Html);
        assert_eq!(preferred("*/*"), Format::Html);
        assert_eq!(preferred("image/png"), Format::Html);
        assert_eq!(preferred("application/json"), Format::Json);
        assert_eq!(preferred("application/json, text/plain, */*"), Format::Json);
        assert_eq!(preferred("text/plain"), Format::Text);
        assert_eq!(preferred("text/html;q=0.2, text/plain;q=0.9"), Format::Text);
        assert_eq!(preferred("application/json;q=0, */*"), Format::Html);
    }

    #[test]
    fn pages_are_whole_and_escaped() {
        let reader =
            Reader { format: Format::Html, request_id: HeaderValue::from_static("the-request-id") };
        for error in [
            ErrorCode::AppCrashed,
            ErrorCode::Maintenance,
            ErrorCode::BlankApp,
            ErrorCode::BadChunk,
        ] {
            let response = reader.failure(error);
            assert_eq!(response.headers()[header::CACHE_CONTROL], "no-cache, no-store");
            let AnswerBody::Page(Some(page)) = response.into_body() else { panic!("no page") };
            let page = String::from_utf8(page.to_vec()).unwrap();
            for placeholder in [
                "{title}",
                "{message}",
                "{hint}",
                "{status}",
                "{request_id}",
                "<p class=\"hint\"></p>",
            ] {
                assert!(!page.contains(placeholder), "{placeholder} in {page}");
            }
            assert!(page.contains(error.code().0) && page.contains("the-request-id"));
        }
        assert_eq!(escape("<b>&\""), "&lt;b&gt;&amp;&quot;");
    }
}
