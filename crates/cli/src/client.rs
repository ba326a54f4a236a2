//! HTTP to the server: one blocking connection, JSON in and out.

mod failure;

pub use failure::unreachable;

mod shown_once;

use crate::error::{CliError, Result};
use crate::git::origin_of_url;
use crate::tls::{self, PinnedConnector, Trust};
use failure::{api_error, transport_error, upload_error};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use ureq::http::{self, Method, Request, Response};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, TcpConnector};
use ureq::{Agent, Body};

const ACCEPT: &str = "application/vnd.heroku+json; version=3";
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const READ_LIMIT: Duration = Duration::from_secs(60);
/// A change answers only when its release is live or has failed, which includes
/// starting, checking and draining instances.
const CHANGE_LIMIT: Duration = Duration::from_secs(30 * 60);

/// Warnings that the server sent along, to be shown when the command ends.
pub type Warnings = Rc<RefCell<Vec<String>>>;

/// A server and the token for it.
pub struct Client {
    agent: Agent,
    base: String,
    trust: Trust,
    token: Option<String>,
    two_factor_code: Option<String>,
    warnings: Warnings,
}

/// What a list request asks for, in the API's `Range` header.
pub enum Range {
    /// All of it, however many requests that takes.
    All,
    /// The newest by version, at most so many.
    NewestVersions(u32),
    /// The newest by creation time, at most so many.
    NewestCreated(u32),
}

impl Client {
    /// A client for the server at `base`, a URL without a slash at its end.
    pub fn new(
        base: &str,
        trust: Trust,
        token: Option<String>,
        warnings: Warnings,
    ) -> Result<Client> {
        let agent = agent_for(base, &trust)?;
        let base = base.to_owned();
        Ok(Client { agent, base, trust, token, two_factor_code: None, warnings })
    }

    /// Shows a one-time password, or a recovery code, with every request.
    #[must_use]
    pub fn with_two_factor_code(mut self, code: Option<String>) -> Client {
        self.two_factor_code = code;
        self
    }

    /// The server's URL.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The token that requests are sent with.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Whom to trust at a URL that the server gave out: it may lead elsewhere.
    pub fn trust_for(&self, url: &str) -> Trust {
        match origin_of_url(url) == origin_of_url(&self.base) {
            true => self.trust.clone(),
            false => Trust::System,
        }
    }

    /// Fetches one resource.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let response = self.request(Method::GET, path, None, None)?;
        self.parsed(path, response).map(|(value, _)| value)
    }

    /// Fetches a list.
    pub fn list<T: DeserializeOwned>(&self, path: &str, range: Range) -> Result<Vec<T>> {
        let (mut next, only_one) = match range {
            // In the list's own order, in as few pieces as the server gives.
            Range::All => (Some("..; max=1000".to_owned()), false),
            Range::NewestVersions(n) => (Some(format!("version ..; order=desc,max={n}")), true),
            Range::NewestCreated(n) => (Some(format!("created_at ..; order=desc,max={n}")), true),
        };
        let mut all = Vec::new();
        loop {
            let response = self.request(Method::GET, path, None, next.as_deref())?;
            let (page, following): (Vec<T>, _) = self.parsed(path, response)?;
            let empty = page.is_empty();
            all.extend(page);
            match following {
                Some(range) if !only_one && !empty => next = Some(range),
                _ => return Ok(all),
            }
        }
    }

    /// Fetches what is there only once something else has happened, with a token for that alone.
    /// There is no time limit: the server ends it.
    pub fn wait_for<T: DeserializeOwned>(&self, path: &str, token: &str) -> Result<T> {
        let url = format!("{}{path}", self.base);
        let request = Request::get(&url)
            .header("Accept", ACCEPT)
            .header("Authorization", format!("Bearer {token}"))
            .body(())
            .map_err(|error| bad_request(&url, &error))?;
        let response = self.answered(self.agent.run(request))?;
        self.parsed(path, response).map(|(value, _)| value)
    }

    /// Sends a change with a body.
    pub fn send<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> Result<T> {
        let body = serde_json::to_vec(body)
            .map_err(|error| CliError::general(format!("Could not write JSON: {error}")))?;
        let response = self.request(method, path, Some(body), None)?;
        self.parsed(path, response).map(|(value, _)| value)
    }

    pub fn post<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T> {
        self.send(Method::POST, path, body)
    }

    pub fn patch<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T> {
        self.send(Method::PATCH, path, body)
    }

    pub fn put<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T> {
        self.send(Method::PUT, path, body)
    }

    /// Sends a change without a body; the answer's body is not looked at.
    pub fn command(&self, method: Method, path: &str) -> Result<()> {
        self.request(method, path, None, None).map(|_| ())
    }

    pub fn delete(&self, path: &str) -> Result<()> {
        self.command(Method::DELETE, path)
    }

    /// Opens a stream of text at a URL that carries its own secret.
    pub fn stream(&self, url: &str) -> Result<impl std::io::Read + use<>> {
        let agent = agent_for(url, &self.trust_for(url))?;
        let request = http::Request::get(url)
            .header("Accept", "text/plain")
            .body(())
            .map_err(|error| bad_request(url, &error))?;
        let response = agent.run(request).map_err(|error| transport_error(url, error))?;
        if !response.status().is_success() {
            return Err(api_error(response));
        }
        Ok(response.into_body().into_reader())
    }

    /// Sends bytes to a URL that carries its own secret.
    pub fn upload(&self, url: &str, from: &mut dyn std::io::Read) -> Result<()> {
        let agent = agent_for(url, &self.trust_for(url))?;
        let request = Request::put(url)
            .body(ureq::SendBody::from_reader(from))
            .map_err(|error| bad_request(url, &error))?;
        let response = agent.run(request).map_err(|error| upload_error(&self.base, error))?;
        if response.status().is_success() { Ok(()) } else { Err(api_error(response)) }
    }

    /// Sends bytes as they come; the answer is a resource.
    pub fn post_stream<T: DeserializeOwned>(
        &self,
        path: &str,
        from: &mut dyn std::io::Read,
    ) -> Result<T> {
        let url = format!("{}{path}", self.base);
        let request = self.streaming(Method::POST, &url).body(ureq::SendBody::from_reader(from));
        let request = request.map_err(|error| bad_request(&url, &error))?;
        self.parsed(path, self.answered(self.agent.run(request))?).map(|(value, _)| value)
    }

    /// Fetches bytes as they come.
    pub fn get_stream(&self, path: &str) -> Result<impl std::io::Read + use<>> {
        let url = format!("{}{path}", self.base);
        let request = self.streaming(Method::GET, &url).body(());
        let request = request.map_err(|error| bad_request(&url, &error))?;
        Ok(self.answered(self.agent.run(request))?.into_body().into_reader())
    }

    fn streaming(&self, method: Method, url: &str) -> http::request::Builder {
        let builder = Request::builder().method(method).uri(url).header("Accept", ACCEPT);
        match &self.token {
            Some(token) => builder.header("Authorization", format!("Bearer {token}")),
            None => builder,
        }
    }

    fn answered(
        &self,
        response: std::result::Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>> {
        let response = response.map_err(|error| transport_error(&self.base, error))?;
        self.keep_warnings(&response);
        if response.status().is_success() { Ok(response) } else { Err(api_error(response)) }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        range: Option<&str>,
    ) -> Result<Response<Body>> {
        let change = method != Method::GET;
        let limit = if change { CHANGE_LIMIT } else { READ_LIMIT };
        let url = format!("{}{path}", self.base);
        let mut builder = Request::builder().method(method).uri(&url).header("Accept", ACCEPT);
        if let Some(token) = &self.token {
            builder = builder.header("Authorization", format!("Bearer {token}"));
        }
        if let Some(code) = &self.two_factor_code {
            builder = builder.header("Heroku-Two-Factor-Code", code.as_str());
        }
        if let Some(range) = range {
            builder = builder.header("Range", range);
        }
        if body.is_some() {
            builder = builder.header("Content-Type", "application/json");
        }
        // A change without a body still says that its length is zero.
        let response = if change {
            let request = builder.body(body.unwrap_or_default());
            let request = request.map_err(|error| bad_request(&url, &error))?;
            let request = self.agent.configure_request(request);
            self.agent.run(request.timeout_global(Some(limit)).build())
        } else {
            let request = builder.body(());
            let request = request.map_err(|error| bad_request(&url, &error))?;
            let request = self.agent.configure_request(request);
            self.agent.run(request.timeout_global(Some(limit)).build())
        };
        self.answered(response)
    }

    fn keep_warnings(&self, response: &Response<Body>) {
        for name in ["x-heroku-warning", "warning-message"] {
            for value in response.headers().get_all(name) {
                if let Ok(text) = value.to_str() {
                    self.warnings.borrow_mut().push(text.to_owned());
                }
            }
        }
    }

    fn parsed<T: DeserializeOwned>(
        &self,
        path: &str,
        mut response: Response<Body>,
    ) -> Result<(T, Option<String>)> {
        let header = response.headers().get("next-range");
        let following = header.and_then(|value| Some(value.to_str().ok()?.to_owned()));
        let bytes = response
            .body_mut()
            .read_to_vec()
            .map_err(|error| transport_error(&self.base, error))?;
        let value = serde_json::from_slice(&bytes).map_err(|error| {
            CliError::general(format!(
                "The answer of {}{path} was not understood: {error}",
                self.base
            ))
            .hint("Is this a Windlass server, and of the same version as this client?")
        })?;
        Ok((value, following))
    }
}

/// One part of a path, percent-encoded where needed.
pub fn encoded(part: &str) -> String {
    let mut text = String::with_capacity(part.len());
    for byte in part.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// Settings for a URL: certificates are read only for https, proxies not used for this machine.
fn agent_for(url: &str, trust: &Trust) -> Result<Agent> {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(CONNECT_LIMIT));
    if is_this_machine(url) {
        config = config.proxy(None);
    }
    if !url.starts_with("https://") {
        return Ok(config.build().new_agent());
    }
    if let Trust::System = trust {
        return Ok(config.tls_config(tls::for_requests()?).build().new_agent());
    }
    // No proxy stands in front of a server that has nothing but a certificate of its own.
    let tls = PinnedConnector(tls::for_connections(trust)?);
    let connector = ().chain(TcpConnector::default()).chain(tls);
    let config = config.proxy(None).build();
    Ok(Agent::with_parts(config, connector, DefaultResolver::default()))
}

/// Whether a URL names this machine: `localhost`, a name under it, or a loopback address.
pub fn is_this_machine(url: &str) -> bool {
    let Some(origin) = origin_of_url(url) else {
        return false;
    };
    let authority = origin.split_once("://").map_or("", |(_, rest)| rest);
    let host = if authority.starts_with('[') {
        authority.split(']').next().unwrap_or_default()
    } else {
        authority.split(':').next().unwrap_or_default()
    };
    host == "localhost"
        || host.ends_with(".localhost")
        || host.starts_with("127.")
        || host == "[::1"
}

fn bad_request(url: &str, error: &http::Error) -> CliError {
    CliError::usage(format!("{url} is no usable URL: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_names() {
        for url in [
            "http://localhost:8081",
            "http://bibly.localhost:8080/x",
            "http://127.0.0.1:1",
            "http://[::1]:80",
        ] {
            assert!(is_this_machine(url), "{url}");
        }
        for url in ["https://example.com", "http://localhost.example.com", "x"] {
            assert!(!is_this_machine(url), "{url}");
        }
    }

    #[test]
    fn parts_of_paths_are_encoded() {
        assert_eq!(encoded("bibly-1.x_y~"), "bibly-1.x_y~");
        assert_eq!(encoded("a/b c?ü"), "a%2Fb%20c%3F%C3%BC");
    }
}
