//! `windlass certs`, `certs:add`, `certs:info`, `certs:update`, `certs:remove`, `certs:check`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::{Client, Range, encoded};
use crate::error::{CliError, Result};
use crate::output::{Cell, Style, Table};
use crate::session::Session;
use crate::time;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use windlass_wire::{SniEndpoint, SniEndpointCheck, SniEndpointCreate};

/// Commands about an app's certificates.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum CertsCommand {
    /// List an app's certificates
    #[command(name = "certs")]
    List(List),
    /// Serve an app with a certificate of your own
    #[command(name = "certs:add")]
    Add(Add),
    /// Show a certificate
    #[command(name = "certs:info")]
    Info(Info),
    /// Replace a certificate of your own
    #[command(name = "certs:update")]
    Update(Update),
    /// Remove a certificate
    #[command(name = "certs:remove")]
    Remove(Remove),
    /// Check a certificate and its key without adding them
    #[command(name = "certs:check")]
    Check(Check),
}

impl CertsCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List(arguments) => arguments.run(session),
            Self::Add(arguments) => arguments.run(session),
            Self::Info(arguments) => arguments.run(session),
            Self::Update(arguments) => arguments.run(session),
            Self::Remove(arguments) => arguments.run(session),
            Self::Check(arguments) => arguments.run(session),
        }
    }
}

/// A certificate and its key, in PEM files.
#[derive(Clone, Debug, clap::Args)]
pub struct Files {
    /// The certificate, followed by those of who signed it
    #[arg(value_name = "CRT")]
    chain: PathBuf,
    /// Its private key
    #[arg(value_name = "KEY")]
    key: PathBuf,
}

impl Files {
    fn read(&self) -> Result<SniEndpointCreate> {
        Ok(SniEndpointCreate {
            certificate_chain: read(&self.chain)?,
            private_key: read(&self.key)?,
        })
    }
}

fn read(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|error| {
        CliError::file(format_args!("Could not read {}", path.display()), &error)
    })?;
    // What is no text is no PEM either; the server says what to do.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Which certificate; of an app's only one it need not be said.
#[derive(Clone, Debug, clap::Args)]
pub struct Named {
    /// Its name, as `windlass certs` shows it [default: the only one that is not private]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl Named {
    fn find(&self, client: &Client, app: &str) -> Result<SniEndpoint> {
        if let Some(name) = &self.name {
            return client.get(&endpoint_path(app, name));
        }
        let all: Vec<SniEndpoint> = client.list(&list_path(app), Range::All)?;
        let (mut private, mut own): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|endpoint| endpoint.ssl_cert.origin == "private");
        let only = if own.is_empty() { &mut private } else { &mut own };
        match (only.pop(), only.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => Err(CliError::not_found(format!("{app} has no certificate."))),
            (Some(_), false) => {
                Err(CliError::usage(format!("{app} has more than one certificate."))
                    .hint("Say which with --name; `windlass certs` lists them."))
            }
        }
    }
}

/// All that are shown for the app: Heroku's list has only its own.
fn list_path(app: &str) -> String {
    app_path(app, "/sni-endpoints?with_platform=true")
}

fn endpoint_path(app: &str, name: &str) -> String {
    app_path(app, &format!("/sni-endpoints/{}", encoded(name)))
}

#[derive(Clone, Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl List {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let certificates: Vec<SniEndpoint> = client.list(&list_path(&app), Range::All)?;
        if self.json.json {
            return session.output.json(&certificates);
        }
        if certificates.is_empty() {
            return session.output.note(format!(
                "{app} has no certificates. Add one with `windlass certs:add CRT KEY`."
            ));
        }
        let mut table = Table::new(&["Name", "Origin", "Names", "Shown for", "Expires"]);
        for certificate in certificates {
            let shown = shown_for(&certificate);
            let details = certificate.ssl_cert;
            table.row(vec![
                certificate.name.into(),
                details.origin.into(),
                details.cert_domains.join(", ").into(),
                shown.into(),
                expiry(&details.expires_at, Timestamp::now()),
            ]);
        }
        session.output.heading(&format!("{app} Certificates"))?;
        session.output.table(&table)
    }
}

fn shown_for(certificate: &SniEndpoint) -> String {
    match certificate.hosts.is_empty() {
        true => "no host".to_owned(),
        false => certificate.hosts.join(", "),
    }
}

/// Says when a certificate ends: in yellow when that is soon, in red when it is over.
fn expiry(expires_at: &str, now: Timestamp) -> Cell {
    const SOON: i64 = 14 * 24 * 60 * 60;
    let Ok(end) = expires_at.parse::<Timestamp>() else { return expires_at.into() };
    match end.as_second() - now.as_second() {
        ..=0 => Cell::styled(format!("expired on {}", end.strftime("%Y/%m/%d")), Style::Red),
        1..SOON => Cell::styled(time::with_wait(expires_at, now), Style::Yellow),
        _ => time::with_wait(expires_at, now).into(),
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Add {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Add {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let body = self.files.read()?;
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, "/sni-endpoints");
        let message = format!("Adding a certificate to {}", session.output.app(&app));
        let added: SniEndpoint =
            session.output.action(&message, || client.post(&path, &body), |_, _| None)?;
        finish(session, &added, self.json)
    }
}

/// Prints a certificate that was added or replaced.
fn finish(session: &mut Session, certificate: &SniEndpoint, json: JsonArguments) -> Result<()> {
    for warning in &certificate.warnings {
        session.output.warning(warning)?;
    }
    match json.json {
        true => session.output.json(certificate),
        false => show(session, certificate),
    }
}

fn show(session: &mut Session, certificate: &SniEndpoint) -> Result<()> {
    let details = &certificate.ssl_cert;
    let trust = match (details.origin.as_str(), details.self_signed) {
        ("private", _) => "whoever has run `windlass trust`",
        (_, true) => "nobody: it is signed by itself",
        _ => "whoever trusts its issuer",
    };
    session.output.properties(&[
        ("Name", certificate.name.clone()),
        ("Origin", details.origin.clone()),
        ("Names", details.cert_domains.join(", ")),
        ("Shown for", shown_for(certificate)),
        ("Subject", details.subject.clone()),
        ("Issuer", details.issuer.clone()),
        ("Trusted by", trust.to_owned()),
        ("Starts", details.starts_at.clone()),
        ("Expires", time::with_wait(&details.expires_at, Timestamp::now())),
    ])
}

#[derive(Clone, Debug, clap::Args)]
pub struct Info {
    #[command(flatten)]
    name: Named,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Info {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let certificate = self.name.find(&client, &app)?;
        finish(session, &certificate, self.json)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Update {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    name: Named,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Update {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let body = self.files.read()?;
        let (client, app) = session.app_client(&self.app)?;
        let name = self.name.find(&client, &app)?.name;
        let path = endpoint_path(&app, &name);
        let message = format!("Replacing {name} of {}", session.output.app(&app));
        let updated: SniEndpoint =
            session.output.action(&message, || client.patch(&path, &body), |_, _| None)?;
        finish(session, &updated, self.json)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Remove {
    #[command(flatten)]
    name: Named,
    #[command(flatten)]
    app: AppArguments,
}

impl Remove {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let name = self.name.find(&client, &app)?.name;
        let path = endpoint_path(&app, &name);
        let message = format!("Removing {name} from {}", session.output.app(&app));
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Check {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Check {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let body = self.files.read()?;
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, "/sni-endpoints/actions/check");
        let checked: SniEndpointCheck = client.post(&path, &body)?;
        if self.json.json {
            return session.output.json(&checked);
        }
        for warning in &checked.warnings {
            session.output.warning(warning)?;
        }
        session.output.properties(&[
            ("Names", checked.cert_domains.join(", ")),
            ("Subject", checked.subject),
            ("Issuer", checked.issuer),
            ("Starts", checked.starts_at),
            ("Expires", time::with_wait(&checked.expires_at, Timestamp::now())),
        ])?;
        session.output.note(format!("{app} can be served with it."))
    }
}
