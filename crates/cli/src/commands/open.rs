//! `windlass open`

use super::app_path;
use crate::arguments::AppArguments;
use crate::environment::Environment;
use crate::error::Result;
use crate::process;
use crate::session::Session;
use windlass_wire::App;

#[derive(Clone, Debug, clap::Args)]
pub struct Open {
    /// A path within the app
    path: Option<String>,
    #[command(flatten)]
    app: AppArguments,
}

impl Open {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, name) = session.app_client(&self.app)?;
        let app: App = client.get(&app_path(&name, ""))?;
        let base = app.web_url.trim_end_matches('/');
        let path = self.path.as_deref().unwrap_or_default();
        let url = format!("{base}/{}", path.trim_start_matches('/'));
        if let Some(program) = browser(&session.environment) {
            let opened = process::run(program, &[&url], &session.environment.directory);
            if opened.is_ok_and(|finished| finished.status.success()) {
                return session.output.note(format!("Opened {url}"));
            }
        }
        session.output.line(url)
    }
}

/// The program that opens URLs, where a person sits before a desktop.
pub(super) fn browser(environment: &Environment) -> Option<&'static str> {
    if !environment.stdout_terminal {
        return None;
    }
    let desktop =
        ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| environment.variable(name).is_some());
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let usable = cfg!(target_os = "macos") || desktop;
    (usable && environment.find_program(program).is_some()).then_some(program)
}
