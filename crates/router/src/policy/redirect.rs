//! Requests that only lead elsewhere.

use super::{Answer, RequestView};
use http::{HeaderValue, StatusCode, header};
use std::collections::{BTreeMap, HashMap};
use windlass_core::names::Hostname;
use windlass_core::routing_settings::DomainRedirect;

/// Domains of an app that lead to others.
pub(super) struct Redirects {
    exact: HashMap<Box<str>, DomainRedirect>,
    /// `*.example.com` without its star and dot.
    wildcards: HashMap<Box<str>, DomainRedirect>,
}

impl Redirects {
    pub fn new(redirects: &BTreeMap<Hostname, DomainRedirect>) -> Self {
        let mut made = Self { exact: HashMap::new(), wildcards: HashMap::new() };
        for (from, redirect) in redirects {
            match from.as_str().strip_prefix("*.") {
                Some(suffix) => made.wildcards.insert(suffix.into(), redirect.clone()),
                None => made.exact.insert(from.as_str().into(), redirect.clone()),
            };
        }
        made
    }

    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcards.is_empty()
    }

    /// Returns where a request leads if its domain only does that.
    pub fn redirect(&self, request: &impl RequestView, to_https: bool) -> Option<Answer> {
        if self.is_empty() {
            return None;
        }
        let redirect = self.of(request.host())?;
        let (scheme, port) = match to_https || request.is_https() {
            true if request.is_https() => ("https", host_port(request)),
            true => ("https", request.https_port().filter(|port| *port != 443)),
            false => ("http", host_port(request)),
        };
        let status = StatusCode::from_u16(redirect.status).unwrap_or(StatusCode::MOVED_PERMANENTLY);
        answer(status, scheme, redirect.to.as_str(), port, request)
    }

    fn of(&self, host: &str) -> Option<&DomainRedirect> {
        if let Some(redirect) = self.exact.get(host) {
            return Some(redirect);
        }
        let mut rest = host;
        while let Some((_, suffix)) = rest.split_once('.') {
            if let Some(redirect) = self.wildcards.get(suffix) {
                // A wildcard may lead to a name that it covers.
                return Some(redirect).filter(|redirect| redirect.to.as_str() != host);
            }
            rest = suffix;
        }
        None
    }
}

/// Sends a request to the same place over TLS. Methods other than GET and HEAD are kept.
pub(super) fn to_https(request: &impl RequestView) -> Option<Answer> {
    let port = request.https_port().filter(|port| *port != 443);
    let status = match request.method() {
        "GET" | "HEAD" => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::PERMANENT_REDIRECT,
    };
    answer(status, "https", request.host(), port, request)
}

fn answer(
    status: StatusCode,
    scheme: &str,
    host: &str,
    port: Option<u16>,
    request: &impl RequestView,
) -> Option<Answer> {
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    // `*` of OPTIONS is no path.
    let path = Some(request.path_and_query()).filter(|path| path.starts_with('/')).unwrap_or("/");
    let location = HeaderValue::try_from(format!("{scheme}://{host}{port}{path}")).ok()?;
    let answer = Answer::new(status, "This address has moved.");
    Some(answer.with(header::LOCATION, location))
}

/// The port in the request's `Host`, if there is one.
fn host_port(request: &impl RequestView) -> Option<u16> {
    let host = std::str::from_utf8(request.header(&header::HOST)?).ok()?;
    let (_, port) = host.rsplit_once(':')?;
    port.parse().ok()
}
