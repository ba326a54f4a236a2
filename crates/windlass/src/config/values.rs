//! The values of settings: text parsed into what is meant.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use windlass_control::TunnelHost;
use windlass_core::routing_settings::RoutingSettings;

pub(super) fn put<T>(field: &mut T, value: Result<T, String>) -> Result<(), String> {
    *field = value?;
    Ok(())
}

/// Parses a value, unless it is the one that stands for none.
pub(super) fn unless<T>(
    value: &str,
    none: &str,
    parse: fn(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if value == none { Ok(None) } else { parse(value).map(Some) }
}

pub(super) fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "expected a whole number".to_owned())
}

pub(super) fn positive<T: std::str::FromStr + PartialOrd + From<u8>>(
    text: &str,
) -> Result<T, String> {
    number(text)
        .and_then(|n: T| if n > T::from(0) { Ok(n) } else { Err("must be more than 0".to_owned()) })
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "expected seconds".to_owned())
}

pub(super) fn days(text: &str) -> Result<Duration, String> {
    positive::<u32>(text).map(|days| Duration::from_secs(u64::from(days) * 24 * 60 * 60))
}

pub(super) fn megabytes(text: &str) -> Result<u64, String> {
    positive::<u64>(text)
        .and_then(|mb| mb.checked_mul(1 << 20).ok_or_else(|| "too large".to_owned()))
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected ADDRESS:PORT, for example 0.0.0.0:8080".to_owned())
}

pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("expected an absolute path".to_owned()) }
}

pub(super) fn url(text: &str) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    let valid = text.starts_with("http://") || text.starts_with("https://");
    if valid { Ok(text.to_owned()) } else { Err("expected http://… or https://…".to_owned()) }
}

pub(super) fn domain(text: &str) -> Result<String, String> {
    let valid = !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.');
    if valid {
        Ok(text.to_owned())
    } else {
        Err("expected a domain in lower case, for example apps.example.com".to_owned())
    }
}

pub(super) fn tunnel_host(text: &str) -> Result<TunnelHost, String> {
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    match text {
        "auto" => Ok(TunnelHost::Asked),
        "off" => Ok(TunnelHost::Off),
        host if !host.is_empty() && host.bytes().all(allowed) => {
            Ok(TunnelHost::Named(host.to_owned()))
        }
        _ => Err("expected auto, off, or a host name or address without a port".to_owned()),
    }
}

pub(super) fn pairs(text: &str) -> Result<BTreeMap<String, String>, String> {
    text.split_whitespace()
        .map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect::<Option<_>>()
        .ok_or_else(|| "expected NAME=VALUE pairs, separated by spaces".to_owned())
}

pub(super) fn routing(text: &str) -> Result<RoutingSettings, String> {
    RoutingSettings::server_defaults(text).map_err(|error| error.to_string())
}
