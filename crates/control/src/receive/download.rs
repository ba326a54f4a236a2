//! Fetches an archive from the open network, within limits of time and size.

use super::uploads::ARCHIVE_BYTES;
use crate::{PlatformError, Result};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{Certificate, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use windlass_core::outgoing::check_source_address;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The whole, from the name look-up to the last byte.
const LIMIT: Duration = Duration::from_secs(300);
const REDIRECTS: u32 = 5;

/// Whether a source may come from this URL.
pub(super) fn check_url(url: &str) -> Result<()> {
    let lower = url.to_ascii_lowercase();
    if lower.starts_with("http://") || lower.starts_with("https://") {
        return Ok(());
    }
    Err(PlatformError::Invalid("The source's URL must begin with http:// or https://.".to_owned()))
}

/// Returns a URL as it can be shown: without password and query, which may be secrets.
pub(super) fn shown(url: &str) -> String {
    let plain = url.split(['?', '#']).next().unwrap_or_default();
    match plain.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => plain.to_owned(),
    }
}

/// Writes what is at `url` to `file`. Dropping the future ends the download. `from_itself`: this
/// server's own loopback is asked too.
pub(super) async fn download(url: &str, file: &Path, from_itself: bool) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let _stop_with_us = SetOnDrop(stop.clone());
    let (url, file) = (url.to_owned(), file.to_owned());
    tokio::task::spawn_blocking(move || fetch(&url, &file, from_itself, &stop))
        .await
        .map_err(|error| PlatformError::internal("the source could not be fetched", error))?
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn fetch(url: &str, file: &Path, from_itself: bool, stop: &AtomicBool) -> Result<()> {
    let failed = |why: &dyn std::fmt::Display| {
        PlatformError::Invalid(format!("The source at {} could not be fetched: {why}.", shown(url)))
    };
    let mut answer = agent(from_itself).get(url).call().map_err(|error| match error {
        ureq::Error::Other(why) => failed(&why),
        other => failed(&other),
    })?;
    let mut from = answer.body_mut().with_config().limit(u64::MAX).reader();
    let not_kept = |error| PlatformError::internal("the source could not be kept", error);
    let mut to = File::create(file).map_err(not_kept)?;
    let (mut buffer, mut bytes) = (vec![0; 128 << 10], 0);
    while !stop.load(Ordering::Relaxed) {
        let count = from.read(&mut buffer).map_err(|error| failed(&error))?;
        if count == 0 {
            return Ok(());
        }
        bytes += count as u64;
        if bytes > ARCHIVE_BYTES {
            return Err(failed(&format!("it is larger than {} MiB", ARCHIVE_BYTES >> 20)));
        }
        to.write_all(&buffer[..count]).map_err(not_kept)?;
    }
    // Nobody waits for it any more; its file went with whoever did, unless we made it after that.
    let _ = std::fs::remove_file(file);
    Err(failed(&"canceled"))
}

/// Looks names up, and gives addresses out that may be asked: of each redirect too, and it is these
/// that are connected to.
#[derive(Debug)]
struct CheckedResolver {
    system: DefaultResolver,
    from_itself: bool,
}

impl Resolver for CheckedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> std::result::Result<ResolvedSocketAddrs, ureq::Error> {
        let (mut allowed, mut refused) = (self.empty(), None);
        for address in self.system.resolve(uri, config, timeout)?.iter() {
            match check_source_address(address.ip(), self.from_itself) {
                Ok(()) => allowed.push(*address),
                Err(why) => refused = Some(why),
            }
        }
        match refused {
            Some(why) if allowed.is_empty() => Err(ureq::Error::Other(Box::new(why))),
            _ => Ok(allowed),
        }
    }
}

fn agent(from_itself: bool) -> Agent {
    let roots = rustls_native_certs::load_native_certs().certs;
    let roots: Vec<_> = roots.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
    let tls = TlsConfig::builder()
        .root_certs(roots.into_iter().into())
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        // One would look the name up by itself.
        .proxy(None)
        .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(CONNECT_LIMIT))
        .timeout_global(Some(LIMIT))
        .max_redirects(REDIRECTS)
        .build();
    let resolver = CheckedResolver { system: DefaultResolver::default(), from_itself };
    Agent::with_parts(config, DefaultConnector::default(), resolver)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers one request with this text, and returns the URL.
    fn answer(text: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/app.tar.gz?token=secret", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let _ = connection.read(&mut [0; 4096]);
            let _ = connection.write_all(text.as_bytes());
        });
        url
    }

    #[test]
    fn only_the_web_is_asked_and_secrets_are_not_shown() {
        for url in ["file:///etc/passwd", "ftp://x/y", "/etc/passwd", "", "git://x/y"] {
            assert!(check_url(url).is_err(), "{url}");
        }
        check_url("HTTPS://example.com/a.tar.gz").unwrap();
        assert_eq!(shown("https://me:pw@host/a@b.tgz?sig=1#x"), "https://host/a@b.tgz");
    }

    #[tokio::test]
    async fn the_servers_own_loopback_and_cloud_credentials_are_not_asked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("source");
        let secret = answer("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret");
        let port = secret.split([':', '/']).nth(4).unwrap();
        let mapped = format!("http://[::ffff:127.0.0.1]:{port}/x");
        for url in [secret.clone(), format!("http://localhost:{port}/x"), mapped] {
            let error = download(&url, &file, false).await.unwrap_err().to_string();
            assert!(error.contains("is this server itself"), "{url}: {error}");
        }
        let clouds = "http://169.254.169.254/latest/meta-data/";
        let error = download(clouds, &file, true).await.unwrap_err().to_string();
        assert!(error.contains("not an address that can be connected to"), "{error}");
        let redirected = answer(
            "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        );
        let error = download(&redirected, &file, true).await.unwrap_err().to_string();
        assert!(error.contains("169.254.169.254"), "{error}");
        assert!(!file.exists());
    }

    #[tokio::test]
    async fn what_is_there_is_written_and_errors_name_the_url() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("source");
        let url = answer("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
        download(&url, &file, true).await.unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"hello");
        for refused in [
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "HTTP/1.1 302 Found\r\nlocation: file:///etc/passwd\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 50\r\nconnection: close\r\n\r\ncut",
        ] {
            let url = answer(refused);
            let error = download(&url, &file, true).await.unwrap_err().to_string();
            assert!(error.starts_with("The source at http://127.0.0.1:"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
