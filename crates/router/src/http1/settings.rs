//! What an app's routing settings say about a request, and change in the heads.

use super::connection::Side;
use super::head::{self, Line, Name};
use super::request::RequestHead;
use crate::policy::{self, Changes, RequestView, Verdict};
use crate::proxy::exchange::Exchange;
use crate::proxy::forward::Failure;
use http::HeaderValue;
use http::header::{ALT_SVC, HeaderName, SET_COOKIE, STRICT_TRANSPORT_SECURITY};
use std::net::IpAddr;
use windlass_core::ids::InstanceId;

/// Lets a request of an app with settings pass, with what they change, or says what to answer in its place.
pub(super) async fn admit(
    side: &Side,
    exchange: &mut Exchange,
    request: &RequestHead,
    length: usize,
) -> Result<(), Failure> {
    let bytes = &side.input[..length];
    let given = |name| head::values(bytes, &request.lines, name);
    let (client, listening) = (&side.client, &side.router.listening);
    let path = request.path(bytes);
    let forwarded_for: Vec<&[u8]> = given(Name::ForwardedFor).collect();
    let view = View {
        request,
        bytes,
        host: exchange.host(),
        path: &path,
        is_https: client.forwarded_scheme(given(Name::ForwardedProto).next()) == "https",
        client: listening.trusted_proxies.origin(client.ip, forwarded_for.into_iter()),
        https_port: listening.https_public_port,
    };
    let verdict = policy::admit(exchange.app(), &view).await;
    match verdict {
        Verdict::Answer(answer) => Err(Failure::Refused(answer)),
        Verdict::Pass(changes) => {
            exchange.set_changes(changes);
            Ok(())
        }
    }
}

struct View<'a> {
    request: &'a RequestHead,
    bytes: &'a [u8],
    host: &'a str,
    path: &'a str,
    is_https: bool,
    client: IpAddr,
    https_port: Option<u16>,
}

impl RequestView for View<'_> {
    fn method(&self) -> &str {
        self.request.method.as_str()
    }

    fn is_https(&self) -> bool {
        self.is_https
    }

    fn host(&self) -> &str {
        self.host
    }

    fn path_and_query(&self) -> &str {
        self.path
    }

    fn header_values(&self, name: &HeaderName) -> impl Iterator<Item = &[u8]> {
        let name = name.as_str().as_bytes().to_vec();
        let same = move |line: &&Line| line.name.get(self.bytes).eq_ignore_ascii_case(&name);
        self.request.lines.iter().filter(same).map(|line| line.value.get(self.bytes))
    }

    fn client_address(&self) -> IpAddr {
        self.client
    }

    fn https_port(&self) -> Option<u16> {
        self.https_port
    }
}

/// What the settings change in one head.
#[derive(Default)]
pub(super) struct Edits {
    /// Headers that get this value in the place of any other, or are taken out.
    rules: Vec<(HeaderName, Option<HeaderValue>)>,
    added: Vec<(HeaderName, HeaderValue)>,
}

impl Edits {
    /// Returns what changes in the head for the app.
    pub fn of_request(changes: Option<&Changes>) -> Self {
        let Some(changes) = changes else { return Self::default() };
        let prefix = HeaderName::from_static("x-forwarded-prefix");
        let prefix = changes.prefix.clone().map(|value| (prefix, Some(value)));
        let rules = changes.request_rules().iter();
        let rules = rules.map(|rule| (rule.name.clone(), rule.value.clone()));
        Self { rules: prefix.into_iter().chain(rules).collect(), added: Vec::new() }
    }

    /// Returns what changes in the head for the client, which an instance has written.
    /// `alt_svc` is what the router says of HTTP/3.
    pub fn of_response(
        changes: Option<&Changes>,
        instance: Option<&InstanceId>,
        alt_svc: Option<&HeaderValue>,
    ) -> Self {
        let alt_svc = alt_svc.map(|value| (ALT_SVC, Some(value.clone())));
        let Some(changes) = changes else {
            return Self { rules: alt_svc.into_iter().collect(), added: Vec::new() };
        };
        let rules = changes.response_rules().iter();
        let rules = rules.map(|rule| (rule.name.clone(), rule.value.clone()));
        let hsts = changes.hsts().map(|value| (STRICT_TRANSPORT_SECURITY, Some(value.clone())));
        let cookie = instance.and_then(|instance| changes.set_cookie(instance));
        Self {
            rules: rules.chain(hsts).chain(alt_svc).collect(),
            added: cookie.map(|cookie| (SET_COOKIE, cookie)).into_iter().collect(),
        }
    }

    /// Returns whether nobody else may say a header.
    pub fn replace(&self, name: &[u8]) -> bool {
        self.rules.iter().any(|(other, _)| name.eq_ignore_ascii_case(other.as_str().as_bytes()))
    }

    /// Marks the lines that are replaced as dropped.
    pub fn drop_replaced(&self, bytes: &[u8], lines: &mut [Line]) {
        if !self.rules.is_empty() {
            lines.iter_mut().for_each(|line| line.dropped |= self.replace(line.name.get(bytes)));
        }
    }

    /// Appends the lines that are new. Of two rules for one header the last one counts.
    pub fn write(&self, out: &mut Vec<u8>) {
        for (at, (name, value)) in self.rules.iter().enumerate() {
            let is_last = self.rules[at + 1..].iter().all(|(other, _)| other != name);
            if let (Some(value), true) = (value, is_last) {
                head::put(out, name.as_str(), value.as_bytes());
            }
        }
        for (name, value) in &self.added {
            head::put(out, name.as_str(), value.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_replace_whatever_was_said() {
        let (name, value) = (HeaderName::from_static, HeaderValue::from_static);
        let edits = Edits {
            rules: vec![
                (name("x-a"), Some(value("1"))),
                (name("x-b"), None),
                (name("x-a"), Some(value("2"))),
            ],
            added: vec![(SET_COOKIE, value("c=d"))],
        };
        assert!(edits.replace(b"X-A") && edits.replace(b"x-b") && !edits.replace(b"set-cookie"));
        let mut out = Vec::new();
        edits.write(&mut out);
        assert_eq!(out, b"x-a: 2\r\nset-cookie: c=d\r\n");
        let text = b"GET / HTTP/1.1\r\nhost: a\r\nX-B: 1\r\nx-c: 2\r\n\r\n";
        let mut request = crate::http1::request::read(text).unwrap();
        edits.drop_replaced(text, &mut request.lines);
        let mut out = Vec::new();
        request.write(&mut out, text, "/");
        assert_eq!(out, b"GET / HTTP/1.1\r\nhost: a\r\nx-c: 2\r\n");
    }
}
