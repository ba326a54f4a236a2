//! `windlass routing`, `routing:set`, `routing:unset`, `routing:page`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::Client;
use crate::error::{CliError, Result};
use crate::output::{Cell, Style, Table};
use crate::session::Session;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use windlass_wire::{Routing, RoutingPageUpdate, RoutingSetting, RoutingUpdate};

/// Commands about how an app's requests are routed.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum RoutingCommand {
    /// Show how an app's requests are routed
    #[command(name = "routing")]
    Show(Show),
    /// Change how an app's requests are routed, at once and without a deploy
    #[command(name = "routing:set")]
    Set(Set),
    /// Go back to the defaults
    #[command(name = "routing:unset")]
    Unset(Unset),
    /// Put an own page in the place of the router's, or take it away
    #[command(name = "routing:page")]
    Page(Page),
}

impl RoutingCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::Show(arguments) => arguments.run(session),
            Self::Set(arguments) => arguments.run(session),
            Self::Unset(arguments) => arguments.run(session),
            Self::Page(arguments) => arguments.run(session),
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
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let routing: Routing = client.get(&app_path(&app, "/routing"))?;
        if self.json.json {
            return session.output.json(&routing);
        }
        session.output.heading(&format!("{app} routing"))?;
        show(session, &routing.settings)?;
        if !routing.redirects.is_empty() {
            session.output.line("")?;
            let mut table = Table::new(&["Domain", "Leads to", "Status"]);
            for redirect in &routing.redirects {
                table.row(vec![
                    redirect.domain.as_str().into(),
                    redirect.to.as_str().into(),
                    redirect.status.to_string().as_str().into(),
                ]);
            }
            session.output.table(&table)?;
        }
        for page in &routing.pages {
            let note = format!("Own {} page of {} bytes.", page.kind, page.bytes);
            session.output.note(note)?;
        }
        Ok(())
    }
}

fn show<'a>(
    session: &mut Session,
    settings: impl IntoIterator<Item = &'a RoutingSetting>,
) -> Result<()> {
    let mut table = Table::new(&["Setting", "Value", "Set by"]);
    for setting in settings {
        let value = match setting.value.as_deref() {
            None => Cell::styled("none", Style::Dim),
            Some("") => Cell::styled("(removed)", Style::Dim),
            Some(value) => Cell::from(value),
        };
        let source = match setting.source.as_str() {
            "built-in" => Cell::styled("built in", Style::Dim),
            source => Cell::from(source),
        };
        table.row(vec![setting.name.as_str().into(), value, source]);
    }
    session.output.table(&table)
}

#[derive(Clone, Debug, clap::Args)]
pub struct Set {
    /// https=redirect|allow, hsts=TIME|off, hsts-subdomains=on|off, hsts-preload=on|off,
    /// path=HOST/PREFIX,…, strip-path=on|off, basic-auth="NAME:PASSWORD …", allow=NETWORK,…,
    /// deny=NETWORK,…, max-body=SIZE, first-byte-timeout=TIME, idle-timeout=TIME,
    /// compression=gzip|off, sticky=on|off, concurrency=N, queue=N, rate-limit=N/s|m|h,
    /// rate-burst=N, access-log=on|off, app-protocol=h1|h2c, request-header:NAME=VALUE,
    /// response-header:NAME=VALUE; an empty VALUE removes a header
    #[arg(value_name = "SETTING=VALUE", required = true)]
    settings: Vec<String>,
    #[command(flatten)]
    app: AppArguments,
}

impl Set {
    fn run(self, session: &mut Session) -> Result<()> {
        let mut settings = BTreeMap::new();
        for text in &self.settings {
            let (name, value) = read(text)?;
            settings.insert(name, Some(value));
        }
        change(session, &self.app, settings)
    }
}

fn read(text: &str) -> Result<(String, String)> {
    let pair = text.split_once('=');
    // Only rules on headers have an empty value.
    let given = pair.filter(|(name, value)| !value.is_empty() || name.contains("-header:"));
    let Some((name, value)) = given else {
        return Err(CliError::usage(format!("{text} is no routing setting.")).hint(
            "Write it like https=redirect or max-body=10M; windlass routing shows all of them.",
        ));
    };
    Ok((name.to_owned(), value.to_owned()))
}

fn change(
    session: &mut Session,
    app: &AppArguments,
    settings: BTreeMap<String, Option<String>>,
) -> Result<()> {
    let (client, app) = session.app_client(app)?;
    let path = app_path(&app, "/routing");
    let names: Vec<String> = settings.keys().map(|name| name.to_ascii_lowercase()).collect();
    let message = format!("Setting {} on {}", names.join(", "), session.output.app(&app));
    let body = RoutingUpdate { settings };
    let update = || client.patch::<_, Routing>(&path, &body);
    let routing = session.output.action(&message, update, |_, _| None)?;
    let changed = routing.settings.iter().filter(|setting| names.contains(&setting.name));
    show(session, changed)
}

#[derive(Clone, Debug, clap::Args)]
pub struct Unset {
    /// Which settings, for example https or response-header:X-Frame-Options
    #[arg(value_name = "SETTING", required = true)]
    settings: Vec<String>,
    #[command(flatten)]
    app: AppArguments,
}

impl Unset {
    fn run(self, session: &mut Session) -> Result<()> {
        change(session, &self.app, self.settings.into_iter().map(|name| (name, None)).collect())
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Page {
    /// When the app cannot answer, in maintenance mode, or before the first deploy
    #[arg(value_name = "PAGE", value_parser = ["error", "maintenance", "blank"])]
    kind: String,
    /// A file with the whole page in HTML, at most 128 kB; - for standard input
    #[arg(value_name = "FILE", required_unless_present = "remove", conflicts_with = "remove")]
    file: Option<PathBuf>,
    /// Show the router's own page again
    #[arg(long)]
    remove: bool,
    #[command(flatten)]
    app: AppArguments,
}

impl Page {
    fn run(self, session: &mut Session) -> Result<()> {
        let html = self.file.as_deref().map(read_page).transpose()?;
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, &format!("/routing/pages/{}", self.kind));
        let verb = if self.remove { "Removing" } else { "Setting" };
        let message = format!("{verb} the {} page of {}", self.kind, session.output.app(&app));
        session.output.action(&message, || put(&client, &path, html), |_, ()| None)
    }
}

fn put(client: &Client, path: &str, html: Option<String>) -> Result<()> {
    match html {
        Some(html) => client.put::<_, Routing>(path, &RoutingPageUpdate { html }).map(drop),
        None => client.delete(path),
    }
}

fn read_page(file: &std::path::Path) -> Result<String> {
    /// More than the server takes: it says so then.
    const MOST: u64 = 512 * 1024;
    let failed = |error: std::io::Error| {
        CliError::usage(format!("{} cannot be read: {error}.", file.display()))
            .hint("A page is one file in HTML, in UTF-8.")
    };
    let mut html = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin().take(MOST).read_to_string(&mut html).map_err(failed)?;
    } else {
        let opened = std::fs::File::open(file).map_err(failed)?;
        opened.take(MOST).read_to_string(&mut html).map_err(failed)?;
    }
    Ok(html)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read("https=redirect").unwrap(), pair("https", "redirect"));
        assert_eq!(read("basic-auth=a:b=c").unwrap(), pair("basic-auth", "a:b=c"));
        let removed = "response-header:Server=";
        assert_eq!(read(removed).unwrap(), pair("response-header:Server", ""));
        for wrong in ["https", "https=", ""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
