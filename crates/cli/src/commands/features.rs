//! `windlass features`, `features:info`, `features:enable`, `features:disable`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::{Range, encoded};
use crate::error::Result;
use crate::output::{Cell, Style, Table};
use crate::session::Session;
use windlass_wire::{Feature, FeatureUpdate};

/// Commands about the features of an app.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum FeaturesCommand {
    /// List an app's features, and which are on
    #[command(name = "features", alias = "labs")]
    List(List),
    /// Show what a feature does
    #[command(name = "features:info", alias = "labs:info")]
    Info(Named),
    /// Switch a feature on
    #[command(name = "features:enable", alias = "labs:enable")]
    Enable(Named),
    /// Switch a feature off
    #[command(name = "features:disable", alias = "labs:disable")]
    Disable(Named),
}

impl FeaturesCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List(arguments) => arguments.run(session),
            Self::Info(arguments) => arguments.info(session),
            Self::Enable(arguments) => arguments.switch(session, true),
            Self::Disable(arguments) => arguments.switch(session, false),
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl List {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let features: Vec<Feature> = client.list(&app_path(&app, "/features"), Range::All)?;
        if self.json.json {
            return session.output.json(&features);
        }
        session.output.heading(&format!("{app} Features"))?;
        let mut table = Table::new(&["Feature", "On", "What it does"]);
        for feature in features {
            let (text, style) =
                if feature.enabled { ("yes", Style::Green) } else { ("no", Style::Dim) };
            table.row(vec![
                feature.name.into(),
                Cell::styled(text, style),
                feature.description.into(),
            ]);
        }
        session.output.table(&table)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Named {
    /// The feature's name
    feature: String,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Named {
    fn path(&self, app: &str) -> String {
        app_path(app, &format!("/features/{}", encoded(&self.feature)))
    }

    fn info(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let feature: Feature = client.get(&self.path(&app))?;
        if self.json.json {
            return session.output.json(&feature);
        }
        session.output.heading(&feature.name)?;
        session.output.line(&feature.description)?;
        session.output.line(if feature.enabled { "It is on." } else { "It is off." })
    }

    fn switch(self, session: &mut Session, enabled: bool) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = self.path(&app);
        let verb = if enabled { "Enabling" } else { "Disabling" };
        let message = format!("{verb} {} of {}", self.feature, session.output.app(&app));
        let body = FeatureUpdate { enabled };
        let feature: Feature =
            session.output.action(&message, || client.patch(&path, &body), |_, _| None)?;
        if self.json.json { session.output.json(&feature) } else { Ok(()) }
    }
}
