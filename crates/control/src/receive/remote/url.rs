//! Which repositories may be fetched, and which refs of them can be named.

use crate::{PlatformError, Result};

/// Longer URLs are refused, in bytes.
const URL_BYTES: usize = 2_048;
/// So are longer names of branches, tags and commits.
const REFERENCE_BYTES: usize = 255;

/// The URL of a repository, without anything secret in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RemoteUrl {
    pub text: String,
    pub transport: Transport,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// With scheme, host and port, as tokens are stored for them.
    Http {
        origin: String,
    },
    Ssh,
}

impl RemoteUrl {
    /// Takes `https://…`, `http://…`, `ssh://…` and `user@host:path`.
    ///
    /// # Errors
    /// `Invalid`, in one line that does not repeat a password.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let odd = |c: char| c.is_whitespace() || c.is_control();
        if text.is_empty() || text.len() > URL_BYTES || text.contains(odd) {
            return invalid("The repository's URL is empty, too long, or has spaces in it.");
        }
        let (transport, path) = match text.split_once("://") {
            Some((scheme, rest)) => parse_url(&scheme.to_ascii_lowercase(), rest)?,
            None => parse_short(text)?,
        };
        if path.trim_matches('/').is_empty() {
            return invalid("The URL names no repository: there is nothing after the host.");
        }
        Ok(Self { text: text.to_owned(), transport })
    }
}

/// Parses what follows `scheme://`; returns the path too.
fn parse_url<'a>(scheme: &str, rest: &'a str) -> Result<(Transport, &'a str)> {
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    match scheme {
        "https" | "http" => {
            if user.is_some() {
                return invalid(
                    "The URL has a user or token in it, which others could see: leave it out, and store the token with `windlass git:auth HOST`.",
                );
            }
            if path.contains(['?', '#']) {
                return invalid(
                    "The URL has ? or # in it: name a branch, tag or commit after the URL.",
                );
            }
            check_host(host)?;
            Ok((Transport::Http { origin: origin(scheme, host) }, path))
        }
        "ssh" => {
            if let Some(user) = user {
                check_user(user)?;
            }
            check_host(host)?;
            Ok((Transport::Ssh, path))
        }
        _ => not_taken(),
    }
}

/// Parses `user@host:path`.
fn parse_short(text: &str) -> Result<(Transport, &str)> {
    let Some((authority, path)) = text.split_once(':') else { return not_taken() };
    let Some((user, host)) = authority.split_once('@') else { return not_taken() };
    if path.starts_with([':', '-']) {
        return not_taken();
    }
    check_user(user)?;
    check_host(host)?;
    Ok((Transport::Ssh, path))
}

fn check_user(user: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    if user.is_empty() || user.starts_with('-') || !user.chars().all(plain) {
        return invalid(
            "The URL's user may have letters, digits and . _ + - only, and no password.",
        );
    }
    Ok(())
}

/// A host with or without a port. What begins with a dash would be an option of ssh.
fn check_host(host: &str) -> Result<()> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let numeric = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let good_name = match numeric {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
        }
    };
    let good_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if good_name && good_port { Ok(()) } else { invalid("The URL's host cannot be one.") }
}

/// Returns scheme, host and port as tokens are stored for them.
fn origin(scheme: &str, host: &str) -> String {
    let host = host.to_ascii_lowercase();
    let usual = if scheme == "https" { ":443" } else { ":80" };
    format!("{scheme}://{}", host.strip_suffix(usual).unwrap_or(&host))
}

/// Returns the origin that somebody names to store a token for: `github.com` is
/// `https://github.com`.
pub(super) fn parse_origin(text: &str) -> Result<String> {
    let text = text.trim().trim_end_matches('/');
    let (scheme, host) = match text.split_once("://") {
        Some((scheme, host)) => (scheme.to_ascii_lowercase(), host),
        None => ("https".to_owned(), text),
    };
    if !["https", "http"].contains(&scheme.as_str()) || host.contains('/') {
        return invalid("A token is stored for a host: github.com, or http://host:port.");
    }
    check_host(host)?;
    Ok(origin(&scheme, host))
}

/// Refuses what cannot be the name of a branch, tag or commit.
pub(super) fn check_reference(reference: &str) -> Result<()> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
    let strange = reference.is_empty()
        || reference.len() > REFERENCE_BYTES
        || reference.starts_with(['-', '/'])
        || reference.contains("..")
        || reference.contains(odd);
    if strange {
        let shown: String = reference.escape_debug().take(80).collect();
        return invalid(&format!("{shown} cannot be a branch, tag or commit."));
    }
    Ok(())
}

fn not_taken<T>() -> Result<T> {
    invalid(
        "The repository's URL must be https://…, http://…, ssh://… or user@host:path; others are not fetched.",
    )
}

fn invalid<T>(why: &str) -> Result<T> {
    Err(PlatformError::Invalid(why.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_web_and_ssh_are_taken() {
        let http = |origin: &str| Transport::Http { origin: origin.to_owned() };
        for (url, transport) in [
            ("https://github.com/me/app.git", http("https://github.com")),
            ("HTTPS://GitHub.com:443/me/app", http("https://github.com")),
            ("http://127.0.0.1:3000/me/app.git", http("http://127.0.0.1:3000")),
            ("http://[::1]:80/app", http("http://[::1]")),
            ("https://host/a@b.git", http("https://host")),
            ("ssh://git@github.com/me/app.git", Transport::Ssh),
            ("ssh://host:2222/~/app.git", Transport::Ssh),
            ("git@github.com:me/app.git", Transport::Ssh),
            (" git@host:/srv/app.git ", Transport::Ssh),
        ] {
            let parsed = RemoteUrl::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!((parsed.text.as_str(), parsed.transport), (url.trim(), transport), "{url}");
        }
    }

    #[test]
    fn everything_else_is_refused_in_one_line() {
        for url in [
            "",
            "file:///etc",
            "file:/etc",
            "FILE://host/x",
            "ext::sh -c id",
            "ext::sh",
            "fd::17",
            "git://host/app.git",
            "ftp://host/app.git",
            "/srv/app.git",
            "../app.git",
            "app.git",
            "host:app.git",
            "--upload-pack=id",
            "-oProxyCommand=id@host:x",
            "ssh://-oProxyCommand=id/x",
            "ssh://git@-oProxyCommand=id/x",
            "ssh://-x@host/app",
            "git@-oProxyCommand=id:x",
            "git@host:-x",
            "git@host::x",
            "git@host:",
            "https://host",
            "https://host/",
            "https:///app",
            "https://-host/app",
            "https://host:0/app",
            "https://host:99999/app",
            "https://ho st/app",
            "https://host/a\nb",
            "https://host/app.git#main",
            "https://host/app.git?x=1",
            "https://[::g]/app",
        ] {
            let Err(PlatformError::Invalid(why)) = RemoteUrl::parse(url) else {
                panic!("{url} was taken")
            };
            assert!(!why.contains('\n'), "{why}");
        }
        for url in ["https://me:hush@host/app", "https://hush@host/app", "ssh://me:hush@host/app"] {
            let why = RemoteUrl::parse(url).unwrap_err().to_string();
            assert!(!why.contains("hush"), "{why}");
        }
    }

    #[test]
    fn tokens_are_for_origins() {
        for (given, origin) in [
            ("github.com", "https://github.com"),
            ("GitHub.com:443", "https://github.com"),
            ("https://git.example.com:8443/", "https://git.example.com:8443"),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ] {
            assert_eq!(parse_origin(given).unwrap(), origin);
        }
        for given in ["", "https://github.com/me", "ssh://github.com", "me@github.com", "a b"] {
            assert!(parse_origin(given).is_err(), "{given}");
        }
    }

    #[test]
    fn names_of_refs_are_no_options_nor_patterns() {
        for good in ["main", "feature/x", "v1.2", "refs/tags/v1", "0123abc", "größe"] {
            check_reference(good).unwrap();
        }
        for bad in ["", "-f", "--upload-pack=id", "a..b", "a b", "a:b", "+a:b", "a*", "a~1", "\n"] {
            assert!(check_reference(bad).is_err(), "{bad}");
        }
    }
}
