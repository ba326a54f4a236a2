//! HTTP to the authority: the client that everything else here speaks it with.

use super::AcmeSettings;
use bytes::Bytes;
use http_body_util::BodyExt;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use serde::de::DeserializeOwned;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use ureq::Agent;
use ureq::http::{HeaderMap, Request, Response};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// One request with its answer.
const LIMIT: Duration = Duration::from_secs(30);
/// The longest answer, in bytes; a chain of certificates is a few thousand.
const ANSWER_BYTES: u64 = 1 << 20;

/// The authority was not reached, or what answered was no authority.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("{0}")]
    NotReached(String),
    #[error("it answered with status {0}")]
    Status(u16),
    #[error("the file of acme.ca_bundle, {0}, cannot be used: {1}")]
    CaBundle(PathBuf, String),
}

/// A client that remembers for how long it was told to wait.
#[derive(Clone)]
pub(super) struct Client {
    agent: Agent,
    /// Milliseconds since the Unix epoch; 0: never told.
    retry_after: Arc<AtomicU64>,
}

impl Client {
    /// Fails when the CA bundle of the settings cannot be used.
    pub fn new(settings: &AcmeSettings) -> Result<Self, ClientError> {
        let roots = match &settings.ca_bundle {
            None => rustls_native_certs::load_native_certs()
                .certs
                .iter()
                .map(|root| Certificate::from_der(root).to_owned())
                .collect(),
            Some(path) => {
                read_bundle(path).map_err(|error| ClientError::CaBundle(path.clone(), error))?
            }
        };
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .https_only(true)
            .http_status_as_error(false)
            .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_LIMIT))
            .timeout_global(Some(LIMIT))
            .max_redirects(0)
            .build()
            .new_agent();
        Ok(Self { agent, retry_after: Arc::default() })
    }

    /// Returns until when the authority last asked us to wait, with an error of its.
    pub fn retry_after(&self) -> Option<u64> {
        Some(self.retry_after.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    /// Asks for a document that anybody may see. Returns it, and when to ask for it again if the
    /// authority says so.
    pub fn get<T: DeserializeOwned>(&self, url: &str) -> Result<(T, Option<u64>), ClientError> {
        let not_reached = |error: String| ClientError::NotReached(error);
        let request = Request::get(url).body(Vec::new()).map_err(|e| not_reached(e.to_string()))?;
        let (parts, body) = self.call(request)?.into_parts();
        if !parts.status.is_success() {
            return Err(ClientError::Status(parts.status.as_u16()));
        }
        let document = serde_json::from_slice(&body).map_err(|e| not_reached(e.to_string()))?;
        Ok((document, told_to_wait(&parts.headers, crate::platform::now_ms())))
    }

    fn call(&self, request: Request<Vec<u8>>) -> Result<Response<Bytes>, ClientError> {
        let not_reached = |error: ureq::Error| ClientError::NotReached(error.to_string());
        let (parts, mut body) = self.agent.run(request).map_err(not_reached)?.into_parts();
        let bytes = body.with_config().limit(ANSWER_BYTES).read_to_vec().map_err(not_reached)?;
        if !parts.status.is_success() {
            if let Some(at) = told_to_wait(&parts.headers, crate::platform::now_ms()) {
                self.retry_after.store(at, Ordering::Relaxed);
            }
            // An authority says what is wrong in JSON; a proxy in front of it does not.
            if serde_json::from_slice::<serde_json::Value>(&bytes).is_err() {
                return Err(ClientError::Status(parts.status.as_u16()));
            }
        }
        Ok(Response::from_parts(parts, Bytes::from(bytes)))
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = match body.collect().await {
                Ok(body) => body.to_bytes().to_vec(),
                Err(never) => match never {},
            };
            let request = Request::from_parts(parts, body);
            let answer = tokio::task::spawn_blocking(move || client.call(request)).await;
            let answer = answer.map_err(|error| Error::Other(Box::new(error)))?;
            let (parts, body) = answer.map_err(|error| Error::Other(Box::new(error)))?.into_parts();
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}

/// Reads what `Retry-After` says: seconds, or a date.
fn told_to_wait(headers: &HeaderMap, now: u64) -> Option<u64> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return now.checked_add(seconds.checked_mul(1_000)?);
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    u64::try_from(date.timestamp().as_millisecond()).ok()
}

fn read_bundle(path: &std::path::Path) -> Result<Vec<Certificate<'static>>, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let certificates: Vec<_> = parse_pem(&bytes)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err("it has no PEM certificate".to_owned());
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_read_as_seconds_or_as_a_date() {
        let now = 1_700_000_000_000;
        let told = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", text.parse().unwrap());
            told_to_wait(&headers, now)
        };
        assert_eq!(told("120"), Some(now + 120_000));
        assert_eq!(told(" 0 "), Some(now));
        assert_eq!(told("Fri, 31 Dec 1999 23:59:59 GMT"), Some(946_684_799_000));
        for nonsense in ["", "soon", "-5", "99999999999999999999"] {
            assert_eq!(told(nonsense), None, "{nonsense:?}");
        }
        assert_eq!(told_to_wait(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_bundle_without_certificates_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle.pem");
        let settings = AcmeSettings {
            email: String::new(),
            directory: String::new(),
            ca_bundle: Some(path.clone()),
            challenges: Vec::new(),
        };
        for text in [None, Some(""), Some("not pem")] {
            if let Some(text) = text {
                std::fs::write(&path, text).unwrap();
            }
            let error = Client::new(&settings).err().unwrap().to_string();
            assert!(error.contains("bundle.pem"), "{error}");
        }
    }
}
