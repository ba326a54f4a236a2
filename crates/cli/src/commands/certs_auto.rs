//! `windlass certs:auto`, `certs:auto:enable`, `:disable`, `:refresh`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::Range;
use crate::error::Result;
use crate::output::Table;
use crate::session::Session;
use windlass_wire::{AcmRefresh, App, Domain};

/// Commands about certificates that an app gets by itself.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum CertsAutoCommand {
    /// Show how an app's automatic certificates are doing
    #[command(name = "certs:auto")]
    Show(Show),
    /// Get certificates for an app's domains by itself
    #[command(name = "certs:auto:enable")]
    Enable(Enable),
    /// Get no more certificates for an app by itself
    #[command(name = "certs:auto:disable")]
    Disable(Disable),
    /// Try again now what has failed
    #[command(name = "certs:auto:refresh")]
    Refresh(Refresh),
}

impl CertsAutoCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::Show(arguments) => arguments.run(session),
            Self::Enable(arguments) => arguments.run(session),
            Self::Disable(arguments) => arguments.run(session),
            Self::Refresh(arguments) => arguments.run(session),
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Show {
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Show {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, name) = session.app_client(&self.app)?;
        let app: App = client.get(&app_path(&name, ""))?;
        let domains: Vec<Domain> = client.list(&app_path(&name, "/domains"), Range::All)?;
        if self.json.json {
            return session.output.json(&serde_json::json!({
                "acm": app.acm, "domains": domains,
            }));
        }
        let state = if app.acm { "on" } else { "off" };
        session.output.heading(&format!("{name} Automatic certificates: {state}"))?;
        if !app.acm {
            return session.output.note("Switch them on with `windlass certs:auto:enable`.");
        }
        let mut table = Table::new(&["Domain", "Status", "Reason"]);
        for domain in domains {
            table.row(vec![
                domain.hostname.into(),
                shown(domain.acm_status.as_deref()).into(),
                domain.acm_status_reason.unwrap_or_default().into(),
            ]);
        }
        session.output.table(&table)
    }
}

/// Returns a status as people read it.
fn shown(status: Option<&str>) -> &'static str {
    match status {
        None => "waiting",
        Some("verified") => "points here, being issued",
        Some("cert issued") => "issued",
        Some("failing") => "failing, tried again",
        Some("failed") => "failed",
        Some(_) => "unknown",
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Enable {
    #[command(flatten)]
    app: AppArguments,
}

impl Enable {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let message = format!("Enabling automatic certificates of {}", session.output.app(&app));
        let path = app_path(&app, "/acm");
        let enable = || client.post::<_, App>(&path, &serde_json::json!({}));
        session.output.action(&message, enable, |_, _| None)?;
        session.output.note("See how they are doing with `windlass certs:auto`.")
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Disable {
    #[command(flatten)]
    app: AppArguments,
}

impl Disable {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let message = format!("Disabling automatic certificates of {}", session.output.app(&app));
        let path = app_path(&app, "/acm");
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Refresh {
    #[command(flatten)]
    app: AppArguments,
}

impl Refresh {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let message = format!("Trying certificates of {} again", session.output.app(&app));
        let path = app_path(&app, "/acm");
        let body = AcmRefresh { acm_refresh: true };
        let refresh = || client.patch::<_, App>(&path, &body);
        session.output.action(&message, refresh, |_, _| None).map(drop)
    }
}
