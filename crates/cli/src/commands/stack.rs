//! `windlass stack`, `stack:set`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::Range;
use crate::error::Result;
use crate::session::Session;
use serde_json::json;
use windlass_wire::{App, Reference};

#[derive(Clone, Debug, clap::Subcommand)]
pub enum StackCommand {
    /// Show which stack an app runs on
    #[command(name = "stack")]
    Show(Show),
    /// Choose the stack of an app's next deploy: debian-12 for buildpacks, container for images
    #[command(name = "stack:set")]
    Set(Set),
}

impl StackCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::Show(arguments) => arguments.run(session),
            Self::Set(arguments) => arguments.run(session),
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
        let (client, app) = session.app_client(&self.app)?;
        let stacks: Vec<Reference> = client.list("/stacks", Range::All)?;
        let app: App = client.get(&app_path(&app, ""))?;
        if self.json.json {
            return session
                .output
                .json(&json!({"stack": app.stack, "build_stack": app.build_stack}));
        }
        session.output.heading(&format!("{} Available Stacks", app.name))?;
        for stack in stacks {
            let (is_now, is_next) =
                (stack.name == app.stack.name, stack.name == app.build_stack.name);
            let mark = if is_now { "* " } else { "  " };
            let note = if is_next && !is_now { " (from the next deploy on)" } else { "" };
            session.output.line(format!("{mark}{}{note}", stack.name))?;
        }
        Ok(())
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Set {
    /// debian-12 or container
    stack: String,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Set {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let message =
            format!("Setting the stack of {} to {}", session.output.app(&app), self.stack);
        let body = json!({"build_stack": self.stack});
        let app: App = session.output.action(
            &message,
            || client.patch(&app_path(&app, ""), &body),
            |_, app: &App| {
                let same = app.stack == app.build_stack;
                (!same).then(|| "from the next deploy on".to_owned())
            },
        )?;
        if self.json.json { session.output.json(&app) } else { Ok(()) }
    }
}
