//! Whom to trust at a server that one logs in to for the first time.

use crate::attach::connect_to;
use crate::context::Contexts;
use crate::error::{CliError, ErrorKind, Result};
use crate::session::Session;
use crate::tls::{self, Chain, PinnedCertificate, Trust};

/// Finds out whom to trust: the system's certificates if they vouch for the server, else what was
/// trusted before, else the certificate with the fingerprint given, else what a person says to.
pub fn at(session: &mut Session, url: &str, fingerprint: Option<&str>) -> Result<Trust> {
    if !url.starts_with("https://") {
        return match fingerprint {
            None => Ok(Trust::System),
            Some(_) => Err(CliError::usage(format!("{url} is not https: it has no certificate."))),
        };
    }
    let before = Contexts::load(&session.environment)?.trust_for(url)?;
    let variable = session.environment.variable("WINDLASS_FINGERPRINT").map(str::to_owned);
    let fingerprint = fingerprint.map(str::to_owned).or(variable);
    if let (Trust::Pinned(_), None) = (&before, &fingerprint) {
        return Ok(before);
    }
    let (host, socket) = connect_to(url)?;
    let chain = tls::probe(&host, socket, url)?;
    if let Some(wanted) = fingerprint {
        return match chain.find(&wanted) {
            Some(certificate) => Ok(Trust::Pinned(certificate.clone())),
            None => Err(not_shown(url, &chain, &wanted)),
        };
    }
    let (Some(why), Some(top)) = (&chain.distrust, chain.top()) else {
        return Ok(Trust::System);
    };
    ask(session, url, why, top)
}

/// What is kept of it with a login.
pub fn to_store(trust: &Trust) -> Option<String> {
    match trust {
        Trust::System => None,
        Trust::Pinned(certificate) => Some(certificate.to_pem()),
    }
}

fn not_shown(url: &str, chain: &Chain, wanted: &str) -> CliError {
    let shown = chain.top().map(PinnedCertificate::fingerprint).unwrap_or_default();
    let message = format!("{url} does not show a certificate with the fingerprint {wanted}.");
    CliError::new(ErrorKind::Unreachable, message).hint(format!("It shows {shown}."))
}

fn ask(session: &mut Session, url: &str, why: &str, top: &PinnedCertificate) -> Result<Trust> {
    let fingerprint = top.fingerprint();
    let message = format!("This computer does not trust the certificate of {url}: {why}.");
    if !session.environment.stdin_terminal {
        return Err(CliError::new(ErrorKind::Unreachable, message).hint(format!(
            "If the server's owner gives you the same fingerprint, pass it on: \
             --fingerprint {fingerprint}"
        )));
    }
    session.output.note(message)?;
    session.output.note("Its SHA-256 fingerprint is")?;
    let bold = session.output.paint_error(crate::output::Style::Bold, &fingerprint);
    session.output.note(format!("  {bold}"))?;
    session.output.note(
        "Compare it with what `windlass trust --fingerprint` says on the server's own machine.",
    )?;
    session.output.error_bytes(b"Trust it for this server from now on? [y/N] ")?;
    let answer = session.read_line()?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(Trust::Pinned(top.clone())),
        _ => Err(CliError::refused("You were not logged in.")),
    }
}
