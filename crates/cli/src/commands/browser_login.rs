//! Getting a token by way of a browser.

use super::open::browser;
use crate::client::Client;
use crate::error::{CliError, ErrorKind, Result};
use crate::process;
use crate::session::Session;
use windlass_wire::{BrowserLogin, BrowserLoginCreate, BrowserLoginResult};

/// Opens a URL where a person sits before a desktop. Returns whether that went well.
pub(super) fn show(session: &Session, url: &str) -> bool {
    browser(&session.environment).is_some_and(|program| {
        let opened = process::run(program, &[url], &session.environment.directory);
        opened.is_ok_and(|finished| finished.status.success())
    })
}

/// Shows a URL, or opens it where a person sits before a desktop, and waits until they have
/// proved there who they are. Gives a new token.
pub fn token(session: &mut Session, client: &Client) -> Result<String> {
    let host = process::run("hostname", &[], &session.environment.directory);
    let host = host.map(|said| said.stdout.trim().to_owned()).unwrap_or_default();
    let from = if host.is_empty() { String::new() } else { format!(" from {host}") };
    let body = BrowserLoginCreate { description: Some(format!("Windlass CLI login{from}")) };
    let login: BrowserLogin = client.post("/auth", &body)?;
    let url = format!("{}{}", client.base(), login.browser_url);
    match show(session, &url) {
        true => session.output.note(format!("Opened {url}"))?,
        false => session.output.note(format!("Open this page and log in there:\n\n  {url}\n"))?,
    }
    let wait = || client.wait_for::<BrowserLoginResult>(&login.cli_url, &login.token);
    let result = session.output.action("Waiting for you in the browser", wait, |_, _| None)?;
    match (result.access_token, result.error) {
        (Some(token), _) => Ok(token),
        (None, reason) => {
            let reason = reason.unwrap_or_else(|| "The login gave no token.".to_owned());
            Err(CliError::new(ErrorKind::Refused, reason))
        }
    }
}
