//! `windlass domains`, `domains:add`, `domains:remove`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::{Range, encoded};
use crate::error::Result;
use crate::output::{Style, Table};
use crate::session::Session;
use windlass_wire::{Domain, DomainCreate};

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
        let domains: Vec<Domain> = client.list(&app_path(&app, "/domains"), Range::All)?;
        if self.json.json {
            return session.output.json(&domains);
        }
        let mut table = Table::new(&["Domain", "Kind", "DNS target", "Status"]);
        for domain in domains {
            // The API calls the app's own domain by Heroku's name.
            let own = domain.kind == "heroku";
            table.row(vec![
                domain.hostname.into(),
                if own { "default" } else { "custom" }.into(),
                domain.cname.unwrap_or_default().into(),
                match (domain.redirect, domain.status.as_str()) {
                    (Some(to), _) => format!("leads to {to}").into(),
                    (None, "none") => "".into(),
                    (None, status) => status.into(),
                },
            ]);
        }
        session.output.heading(&format!("{app} Domains"))?;
        session.output.table(&table)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Add {
    /// The domain: www.example.com
    hostname: String,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Add {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let body = DomainCreate { hostname: self.hostname, sni_endpoint: None };
        let path = app_path(&app, "/domains");
        let hostname = session.output.paint_error(Style::Green, &body.hostname);
        let message = format!("Adding {hostname} to {}", session.output.app(&app));
        let domain: Domain =
            session.output.action(&message, || client.post(&path, &body), |_, _| None)?;
        if self.json.json {
            return session.output.json(&domain);
        }
        match &domain.cname {
            Some(cname) => session.output.note(format!("Point the domain's DNS record at {cname}")),
            None => Ok(()),
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Remove {
    /// The domain: www.example.com
    hostname: String,
    #[command(flatten)]
    app: AppArguments,
}

impl Remove {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, &format!("/domains/{}", encoded(&self.hostname)));
        let hostname = session.output.paint_error(Style::Green, &self.hostname);
        let message = format!("Removing {hostname} from {}", session.output.app(&app));
        let remove = || client.delete(&path);
        session.output.action(&message, remove, |_, ()| None)
    }
}
