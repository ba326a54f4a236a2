//! `windlass domains:wait`, `domains:redirect`

use super::app_path;
use crate::arguments::AppArguments;
use crate::client::{Client, Range, encoded};
use crate::error::{CliError, Result};
use crate::output::Style;
use crate::session::Session;
use std::thread;
use std::time::{Duration, Instant};
use windlass_wire::{Domain, DomainCheck, DomainRedirectUpdate, Routing};

/// Between two looks at the DNS.
const PAUSE: Duration = Duration::from_secs(3);

/// Commands about where domains lead.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum DomainRoutingCommand {
    /// Wait until a domain's DNS record leads here
    #[command(name = "domains:wait")]
    Wait(Wait),
    /// Send requests to one of the app's domains on to another
    #[command(name = "domains:redirect")]
    Redirect(Redirect),
}

impl DomainRoutingCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::Wait(arguments) => arguments.run(session),
            Self::Redirect(arguments) => arguments.run(session),
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Wait {
    /// The domain: www.example.com [default: all custom domains of the app]
    hostname: Option<String>,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    #[command(flatten)]
    app: AppArguments,
}

impl Wait {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let hostnames = match self.hostname {
            Some(hostname) => vec![hostname],
            None => custom_domains(&client, &app)?,
        };
        if hostnames.is_empty() {
            return session.output.note(format!("{app} has no custom domains to wait for."));
        }
        let give_up = Instant::now() + Duration::from_secs(self.timeout);
        for hostname in hostnames {
            let painted = session.output.paint_error(Style::Green, &hostname);
            let wait = || wait(&client, &app, &hostname, give_up);
            session.output.action(&format!("Waiting for {painted}"), wait, |_, _| None)?;
        }
        Ok(())
    }
}

fn custom_domains(client: &Client, app: &str) -> Result<Vec<String>> {
    let domains: Vec<Domain> = client.list(&app_path(app, "/domains"), Range::All)?;
    let custom = domains.into_iter().filter(|domain| domain.kind == "custom");
    Ok(custom.map(|domain| domain.hostname).collect())
}

fn wait(client: &Client, app: &str, hostname: &str, give_up: Instant) -> Result<()> {
    let path = app_path(app, &format!("/domains/{}/actions/check", encoded(hostname)));
    loop {
        let check: DomainCheck = client.post(&path, &serde_json::json!({}))?;
        if check.points_here {
            return Ok(());
        }
        if Instant::now() + PAUSE > give_up {
            return Err(elsewhere(&check));
        }
        thread::sleep(PAUSE);
    }
}

fn elsewhere(check: &DomainCheck) -> CliError {
    let list = |addresses: &[String]| match addresses {
        [] => "has no address".to_owned(),
        addresses => format!("leads to {}", addresses.join(", ")),
    };
    let (found, wanted) = (list(&check.addresses), list(&check.target_addresses));
    CliError::general(format!("{} {found}; {} {wanted}.", check.hostname, check.target)).hint(
        format!(
            "Make a DNS record of the domain that leads to {}: CNAME, or A and AAAA.",
            check.target
        ),
    )
}

#[derive(Clone, Debug, clap::Args)]
pub struct Redirect {
    /// One of the app's domains: example.com
    from: String,
    /// Where its requests are sent: www.example.com
    #[arg(required_unless_present = "off", conflicts_with = "off")]
    to: Option<String>,
    /// 301, or 308, which keeps the method and the body
    #[arg(long, value_name = "STATUS", default_value_t = 301)]
    status: u16,
    /// Serve the app at the domain again
    #[arg(long)]
    off: bool,
    #[command(flatten)]
    app: AppArguments,
}

impl Redirect {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, &format!("/domains/{}/redirect", encoded(&self.from)));
        let from = session.output.paint_error(Style::Green, &self.from);
        let Some(to) = self.to else {
            let message = format!("Serving {from} on {} again", session.output.app(&app));
            return session.output.action(&message, || client.delete(&path), |_, ()| None);
        };
        let message = format!("Redirecting {from} of {} to {to}", session.output.app(&app));
        let body = DomainRedirectUpdate { to, status: Some(self.status) };
        let redirect = || client.put::<_, Routing>(&path, &body);
        session.output.action(&message, redirect, |_, _| None)?;
        Ok(())
    }
}
