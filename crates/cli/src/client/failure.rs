//! What went wrong with a request, for the user.

use crate::error::{CliError, ErrorKind};
use crate::tls;
use ureq::Body;
use ureq::http::Response;
use windlass_wire::ErrorBody;

/// An answer other than success as what it means for the user.
pub(super) fn api_error(mut response: Response<Body>) -> CliError {
    let status = response.status();
    let text = response.body_mut().read_to_string().unwrap_or_default();
    let Ok(body) = serde_json::from_str::<ErrorBody>(&text) else {
        let message = format!("The server answered with an error: {status}.");
        return CliError::new(kind_of_status(status.as_u16()), message)
            .hint("It did not answer as a Windlass API does: is this its URL, and not an app's?");
    };
    let mut error = CliError::new(kind_of_status(status.as_u16()), body.message);
    error.hint = match (body.id.as_str(), body.resource.as_deref(), body.url) {
        (_, _, Some(url)) => Some(format!("See {url} for more.")),
        ("two_factor", ..) => Some("Pass it with --code CODE.".to_owned()),
        ("unauthorized", ..) => Some("Run `windlass login`.".to_owned()),
        ("not_found", Some("app"), _) => Some("`windlass apps` lists yours.".to_owned()),
        ("not_found", Some(resource), _) => {
            listed_by(resource).map(|command| format!("`windlass {command}` lists them."))
        }
        _ => None,
    };
    error
}

/// Returns the command that lists the resources of a kind.
fn listed_by(resource: &str) -> Option<&'static str> {
    Some(match resource {
        "dyno" => "ps",
        "release" => "releases",
        "build" => "builds",
        "domain" => "domains",
        "pipeline" => "pipelines",
        "team" => "teams",
        "authorization" => "authorizations",
        "key" => "keys",
        "log drain" => "drains",
        "webhook" => "webhooks",
        "cron job" => "cron",
        "volume" => "volumes",
        _ => return None,
    })
}

fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        401 => ErrorKind::NotLoggedIn,
        404 | 410 => ErrorKind::NotFound,
        403 | 409 | 422 | 423 | 429 => ErrorKind::Refused,
        _ => ErrorKind::General,
    }
}

pub(super) fn transport_error(url: &str, error: ureq::Error) -> CliError {
    match error {
        ureq::Error::HostNotFound => unreachable(url, "the name is not known"),
        ureq::Error::ConnectionFailed => unreachable(url, "no connection"),
        ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
            unreachable(url, "no connection in time")
        }
        ureq::Error::Timeout(_) => {
            CliError::general(format!("The server at {url} did not answer in time."))
                .hint("The request may still be carried out; look at `windlass releases`.")
        }
        ureq::Error::Io(error) => io_error(url, &error),
        ureq::Error::Protocol(_) => unreachable(url, "what answers there speaks no HTTP"),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::Pem(_) => {
            tls::error(url, &error)
        }
        other => CliError::general(format!("The request to {url} failed: {other}")),
    }
}

/// A server that takes no more of a body closes the connection, mostly before its answer is read.
pub(super) fn upload_error(url: &str, error: ureq::Error) -> CliError {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
    match error {
        ureq::Error::Io(error) if matches!(error.kind(), BrokenPipe | ConnectionReset) => {
            CliError::new(ErrorKind::Refused, format!("{url} took no more of the upload."))
                .hint("It takes archives of at most 1 GiB: leave out what the app does not need (.gitignore).")
        }
        other => transport_error(url, other),
    }
}

fn io_error(url: &str, error: &std::io::Error) -> CliError {
    use std::io::ErrorKind as Io;
    match error.kind() {
        Io::ConnectionRefused => unreachable(url, "connection refused"),
        Io::TimedOut | Io::HostUnreachable | Io::NetworkUnreachable | Io::AddrNotAvailable => {
            unreachable(url, &error.to_string())
        }
        // rustls reports what it found wrong with a certificate in this form.
        Io::InvalidData => tls::error(url, error),
        // The standard library gives a failed name look-up no kind of its own.
        _ if error.to_string().starts_with("failed to lookup address") => {
            unreachable(url, "the name is not known")
        }
        _ => CliError::general(format!("The connection to {url} broke: {error}")),
    }
}

/// The error for a server that cannot be reached.
pub fn unreachable(url: &str, why: &str) -> CliError {
    let message = format!("No Windlass server answers at {url} ({why}).");
    CliError::new(ErrorKind::Unreachable, message)
        .hint("Start one with `windlass server`, or log in to another with `windlass login URL`.")
}
