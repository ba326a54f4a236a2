//! What an app's routing settings say about a request and its answer: pure decisions, apart from
//! the counts that limits need.
//!
//! An app without settings has no [`Policy`]: the request path asks once whether there is one.

mod auth;
mod compression;
mod forwarding;
mod headers;
mod rate;
mod redirect;
mod sticky;
#[cfg(test)]
mod tests;

pub(crate) use headers::HeaderRule;
pub(crate) use rate::client_key;
pub(crate) use sticky::StickyId;

use crate::table::App;
use auth::Authentication;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use rate::RateLimiter;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use windlass_core::ids::InstanceId;
use windlass_core::routing_settings::{
    HttpsMode, Network, Page, PageKind, PathMount, RoutingSettings,
};

/// What a decision needs of a request, whatever carries it.
pub(crate) trait RequestView: Sync {
    fn method(&self) -> &str;
    /// Whether it came to the router, or to a trusted proxy before it, over TLS.
    fn is_https(&self) -> bool;
    /// The host in lower case, without port.
    fn host(&self) -> &str;
    /// The path with its query, as the client sent it.
    fn path_and_query(&self) -> &str;
    /// The values of all headers of a name.
    fn header_values(&self, name: &HeaderName) -> impl Iterator<Item = &[u8]>;
    /// The client's address: that of the connection, or what a trusted proxy says.
    fn client_address(&self) -> IpAddr;
    /// The port on which clients reach this router over TLS, if they do.
    fn https_port(&self) -> Option<u16>;

    fn header(&self, name: &HeaderName) -> Option<&[u8]> {
        self.header_values(name).next()
    }
}

/// What becomes of a request.
pub(crate) enum Verdict {
    /// It goes to the app, with these changes.
    Pass(Changes),
    /// The router answers.
    Answer(Answer),
}

/// What the router answers in the app's place, without an error code of Heroku's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub status: StatusCode,
    /// One sentence for whoever reads it.
    pub message: &'static str,
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Answer {
    fn new(status: StatusCode, message: &'static str) -> Self {
        Self { status, message, headers: Vec::new() }
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// How a request that passes differs from what the client sent, and its answer from the app's.
#[derive(Clone, Default)]
pub(crate) struct Changes {
    policy: Option<Arc<Policy>>,
    /// The path with its query in the place of the client's.
    pub path_and_query: Option<String>,
    /// What was taken off the path: X-Forwarded-Prefix.
    pub prefix: Option<HeaderValue>,
    is_https: bool,
    compresses: bool,
    /// The instance that answered this client before.
    pub sticky: Option<StickyId>,
}

/// The settings of one app as the request path needs them. Lives on, with its counts, when the
/// app's route is replaced by one with the same settings.
pub(crate) struct Policy {
    redirects: redirect::Redirects,
    to_https: bool,
    hsts: Option<HeaderValue>,
    allow: Vec<Network>,
    deny: Vec<Network>,
    rate: Option<RateLimiter>,
    max_body: Option<u64>,
    auth: Option<Authentication>,
    mounts: Vec<PathMount>,
    request_rules: Vec<HeaderRule>,
    response_rules: Vec<HeaderRule>,
    is_sticky: bool,
    is_compressed: bool,
    first_byte: Option<Duration>,
    idle: Option<Duration>,
    pages: windlass_core::routing_settings::Pages,
}

impl Policy {
    /// Returns what there is to decide for an app with these settings; `None`: nothing.
    pub fn of(settings: &RoutingSettings) -> Option<Arc<Self>> {
        let seconds = |seconds: Option<u32>| seconds.map(|s| Duration::from_secs(u64::from(s)));
        let policy = Self {
            redirects: redirect::Redirects::new(&settings.redirects),
            to_https: settings.https == Some(HttpsMode::Redirect),
            hsts: settings.hsts().and_then(|value| HeaderValue::try_from(value).ok()),
            allow: settings.allow.clone(),
            deny: settings.deny.clone(),
            rate: settings.rate_limit.map(|limit| RateLimiter::new(limit, settings.rate_burst)),
            max_body: settings.max_body_bytes,
            auth: Authentication::new(&settings.basic_auth),
            mounts: settings
                .paths
                .iter()
                .filter(|_| settings.strip_path == Some(true))
                .cloned()
                .collect(),
            request_rules: headers::rules(&settings.request_headers),
            response_rules: headers::rules(&settings.response_headers),
            is_sticky: settings.is_sticky(),
            is_compressed: settings.is_compressed(),
            first_byte: seconds(settings.first_byte_seconds),
            idle: seconds(settings.idle_seconds),
            pages: settings.pages.clone(),
        };
        (!policy.is_empty()).then(|| Arc::new(policy))
    }

    fn is_empty(&self) -> bool {
        self.redirects.is_empty()
            && !self.to_https
            && self.hsts.is_none()
            && self.allow.is_empty()
            && self.deny.is_empty()
            && self.rate.is_none()
            && self.max_body.is_none()
            && self.auth.is_none()
            && self.mounts.is_empty()
            && self.request_rules.is_empty()
            && self.response_rules.is_empty()
            && !self.is_sticky
            && !self.is_compressed
            && self.first_byte.is_none()
            && self.idle.is_none()
            && self.pages.is_empty()
    }

    /// From the whole request to the first byte of the answer, if the app has its own limit.
    pub fn first_byte(&self) -> Option<Duration> {
        self.first_byte
    }

    /// The limit on silence, if the app has its own.
    pub fn idle(&self) -> Option<Duration> {
        self.idle
    }

    /// The app's own page.
    pub fn page(&self, kind: PageKind) -> Option<&Page> {
        self.pages.get(kind)
    }

    async fn decide(self: &Arc<Self>, request: &impl RequestView) -> Verdict {
        if let Some(answer) = self.refuse(request) {
            return Verdict::Answer(answer);
        }
        if let Some(auth) = &self.auth {
            let header = request.header(&header::AUTHORIZATION);
            if let Some(answer) = auth.refuse(header, request.client_address()).await {
                return Verdict::Answer(self.secured(answer, request));
            }
        }
        Verdict::Pass(self.changes(request))
    }

    /// All that can be said at once.
    fn refuse(&self, request: &impl RequestView) -> Option<Answer> {
        let client = request.client_address();
        let within = |networks: &[Network]| networks.iter().any(|network| network.contains(client));
        if within(&self.deny) || (!self.allow.is_empty() && !within(&self.allow)) {
            let message = "This app does not serve requests from your network.";
            return Some(self.secured(Answer::new(StatusCode::FORBIDDEN, message), request));
        }
        if let Some(wait) = self.rate.as_ref().and_then(|rate| rate.take(client)) {
            let answer = Answer::new(
                StatusCode::TOO_MANY_REQUESTS,
                "You have sent too many requests. Please try again later.",
            );
            return Some(
                self.secured(answer.with(header::RETRY_AFTER, rate::retry_after(wait)), request),
            );
        }
        if let Some(answer) = self.redirects.redirect(request, self.to_https) {
            return Some(answer);
        }
        if self.to_https && !request.is_https() {
            return redirect::to_https(request);
        }
        let length = request.header(&header::CONTENT_LENGTH);
        if length.is_some_and(|length| self.is_too_large(length)) {
            return Some(self.secured(too_large(), request));
        }
        None
    }

    fn is_too_large(&self, length: &[u8]) -> bool {
        let length = std::str::from_utf8(length).ok().and_then(|text| text.parse::<u64>().ok());
        self.max_body.zip(length).is_some_and(|(most, length)| length > most)
    }

    /// Adds what every answer over TLS carries.
    fn secured(&self, answer: Answer, request: &impl RequestView) -> Answer {
        match &self.hsts {
            Some(hsts) if request.is_https() => {
                answer.with(header::STRICT_TRANSPORT_SECURITY, hsts.clone())
            }
            _ => answer,
        }
    }

    fn changes(self: &Arc<Self>, request: &impl RequestView) -> Changes {
        let stripped = forwarding::strip(&self.mounts, request.host(), request.path_and_query());
        let (path_and_query, prefix) = stripped.unzip();
        Changes {
            policy: Some(Arc::clone(self)),
            path_and_query,
            prefix: prefix.and_then(|prefix| HeaderValue::try_from(prefix).ok()),
            is_https: request.is_https(),
            compresses: self.is_compressed && compression::is_wanted(request),
            sticky: if self.is_sticky { sticky::of_request(request) } else { None },
        }
    }
}

/// Says that a request's body is larger than the app wants.
pub(crate) fn too_large() -> Answer {
    Answer::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "The body of the request is larger than this app takes.",
    )
}

/// What a client gets that wants a WebSocket of a server which takes none.
pub(crate) fn no_websockets() -> Answer {
    Answer::new(
        StatusCode::NOT_IMPLEMENTED,
        "This app speaks HTTP/2, and its server takes no WebSockets over it (RFC 8441).",
    )
}

/// Decides on a request to an app. Returns at once, but for a password that was not seen before.
pub(crate) async fn admit(app: &App, request: &impl RequestView) -> Verdict {
    match &app.policy {
        Some(policy) => policy.decide(request).await,
        None => Verdict::Pass(Changes::default()),
    }
}

impl Changes {
    /// The largest body in bytes; one without Content-Length is counted as it comes.
    pub fn max_body(&self) -> Option<u64> {
        self.policy.as_ref()?.max_body
    }

    /// Whether the answer is to be compressed if it is fit for it.
    pub fn compresses(&self) -> bool {
        self.compresses
    }

    /// Rules on the headers that the app gets, after the router's own.
    pub fn request_rules(&self) -> &[HeaderRule] {
        self.policy.as_ref().map_or(&[], |policy| &policy.request_rules)
    }

    /// Rules on the headers that the client gets, after the router's own.
    pub fn response_rules(&self) -> &[HeaderRule] {
        self.policy.as_ref().map_or(&[], |policy| &policy.response_rules)
    }

    /// Strict-Transport-Security for an answer over TLS.
    pub fn hsts(&self) -> Option<&HeaderValue> {
        self.policy.as_ref()?.hsts.as_ref().filter(|_| self.is_https)
    }

    /// The cookie that leads the client back to an instance; `None` if it has it already.
    pub fn set_cookie(&self, instance: &InstanceId) -> Option<HeaderValue> {
        self.policy.as_ref().filter(|policy| policy.is_sticky)?;
        let id = StickyId::of(instance);
        if self.sticky == Some(id) { None } else { id.cookie(self.is_https) }
    }

    /// Makes the headers for the app those that the settings want.
    pub fn on_request(&self, map: &mut HeaderMap) {
        if let Some(prefix) = &self.prefix {
            map.insert(HeaderName::from_static("x-forwarded-prefix"), prefix.clone());
        }
        headers::apply(self.request_rules(), map);
    }

    /// Makes the headers for the client those that the settings want.
    pub fn on_response(&self, map: &mut HeaderMap, instance: Option<&InstanceId>) {
        if self.policy.is_none() {
            return;
        }
        headers::apply(self.response_rules(), map);
        if let Some(hsts) = self.hsts() {
            map.insert(header::STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        if let Some(cookie) = instance.and_then(|instance| self.set_cookie(instance)) {
            map.append(header::SET_COOKIE, cookie);
        }
    }
}
