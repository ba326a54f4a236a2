//! `windlass logs`

use super::app_path;
use crate::arguments::AppArguments;
use crate::client::{Client, Range};
use crate::error::{CliError, ErrorKind, Result};
use crate::output::{Output, Style};
use crate::session::Session;
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::thread;
use std::time::Duration;
use windlass_wire::{Formation, LogSession, LogSessionCreate};

/// Pauses before the attempts to connect again after a tail was cut.
const PAUSES: [Duration; 6] = [
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(15),
];
/// Lines asked for after a cut; those already shown are left out.
const LINES_AFTER_CUT: u32 = 1500;

/// Names in the log that no process type has.
const PLATFORM_NAMES: [&str; 8] =
    ["router", "api", "acm", "run", "release", "cron", "logplex", "build"];

const COLOURS: [Style; 7] = [
    Style::Yellow,
    Style::Green,
    Style::Cyan,
    Style::Magenta,
    Style::Blue,
    Style::BrightGreen,
    Style::BrightMagenta,
];

#[derive(Clone, Debug, clap::Args)]
pub struct Logs {
    /// Go on with new lines as they come
    #[arg(short, long)]
    tail: bool,
    /// How many lines to show
    #[arg(short, long, value_name = "NUMBER", default_value_t = 100)]
    num: u32,
    /// Only this process (web.1), type (web) or router
    #[arg(short, long, value_name = "NAME", aliases = ["dyno-name", "process-type"], short_alias = 'd')]
    ps: Option<String>,
    /// Only lines of the app or of the platform: app or heroku
    #[arg(short, long)]
    source: Option<String>,
    #[command(flatten)]
    app: AppArguments,
}

impl Logs {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, "/log-sessions");
        if let Some(name) = self.ps.as_deref().filter(|_| self.tail) {
            hint_at_unknown(session, &client, &app, name)?;
        }
        let mut wanted = LogSessionCreate {
            dyno: self.ps,
            lines: Some(self.num),
            source: self.source,
            tail: self.tail,
        };
        let mut printer = Printer::default();
        printer.stream(&client, &path, &wanted, &mut session.output)?;
        if !self.tail {
            return match wanted.dyno.filter(|_| printer.last.is_none()) {
                Some(name) => hint_at_unknown(session, &client, &app, &name),
                None => Ok(()),
            };
        }
        // A tail has no end of its own: the server was restarted, or the network failed.
        wanted.lines = Some(LINES_AFTER_CUT);
        loop {
            session.output.note("The log stream ended; connecting again …")?;
            printer.again(&client, &path, &wanted, &mut session.output)?;
        }
    }
}

/// Says so if no process of this name or type writes to the app's log. As on Heroku any name may be
/// asked for: one that is gone has lines in the log, and one may yet come.
fn hint_at_unknown(session: &mut Session, client: &Client, app: &str, name: &str) -> Result<()> {
    // Who may read logs may look at the formation; if not, the hint is what is missing.
    let Ok(formation) = client.list::<Formation>(&app_path(app, "/formation"), Range::All) else {
        return Ok(());
    };
    let types: Vec<&str> = formation.iter().map(|one| one.process_type.as_str()).collect();
    if is_known(name, &types) {
        return Ok(());
    }
    let has = match types.as_slice() {
        [] => "it has none yet".to_owned(),
        types => format!("it has {}", types.join(", ")),
    };
    session.output.note(format!("{app} has no process {name} ({has}); `windlass ps` lists them."))
}

/// Whether a name is that of a process or type of the app, or of what the platform writes for.
fn is_known(name: &str, types: &[&str]) -> bool {
    let kind = name.split_once('.').map_or(name, |(kind, _)| kind);
    types.contains(&kind) || PLATFORM_NAMES.contains(&kind)
}

/// Prints lines; remembers what it has printed and each process's colour.
#[derive(Default)]
struct Printer {
    colours: HashMap<String, Style>,
    /// The time at the start of the last line printed.
    last: Option<String>,
    /// Whether lines up to `last` are left out.
    skipping: bool,
}

impl Printer {
    /// Opens a session and prints it to its end.
    fn stream(
        &mut self,
        client: &Client,
        path: &str,
        wanted: &LogSessionCreate,
        output: &mut Output,
    ) -> Result<()> {
        let session: LogSession = client.post(path, wanted)?;
        let mut lines = BufReader::new(client.stream(&session.logplex_url)?);
        let mut line = Vec::new();
        loop {
            line.clear();
            match lines.read_until(b'\n', &mut line) {
                Ok(0) => return Ok(()),
                Ok(_) => self.print(&String::from_utf8_lossy(&line), output)?,
                Err(_) if wanted.tail => return Ok(()),
                Err(error) => return Err(CliError::file("The log stream broke", &error)),
            }
        }
    }

    /// The same after a cut, tried several times while the server is away.
    fn again(
        &mut self,
        client: &Client,
        path: &str,
        wanted: &LogSessionCreate,
        output: &mut Output,
    ) -> Result<()> {
        let mut last = None;
        for pause in PAUSES {
            thread::sleep(pause);
            self.skipping = self.last.is_some();
            match self.stream(client, path, wanted, output) {
                Err(error) if error.kind == ErrorKind::Unreachable => last = Some(error),
                ended => return ended,
            }
        }
        Err(last.unwrap_or_else(|| CliError::general("The log stream ended.")))
    }

    fn print(&mut self, line: &str, output: &mut Output) -> Result<()> {
        let line = line.trim_end_matches(['\r', '\n']);
        let time = line.split(' ').next().unwrap_or_default();
        if self.skipping {
            // Times are of one form and in UTC, so that text order is time order.
            if self.last.as_deref().is_some_and(|last| time <= last) {
                return Ok(());
            }
            self.skipping = false;
        }
        self.last = Some(time.to_owned());
        let text = match output.colour() {
            true => self.coloured(line, output),
            false => line.to_owned(),
        };
        output.said(format!("{text}\n").as_bytes())?;
        Ok(())
    }

    /// Colours `time app[web.1]:` by the process's name.
    fn coloured(&mut self, line: &str, output: &Output) -> String {
        let Some((head, message)) = line.split_once("]: ") else {
            return line.to_owned();
        };
        let Some((_, name)) = head.rsplit_once('[') else {
            return line.to_owned();
        };
        let next = COLOURS[self.colours.len() % COLOURS.len()];
        let style = *self.colours.entry(name.to_owned()).or_insert(next);
        format!("{} {message}", output.paint(style, &format!("{head}]:")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::Captured;

    #[test]
    fn names_are_those_of_processes_types_and_the_platform() {
        let types = ["web", "worker"];
        for name in ["web", "web.1", "web.99", "worker", "router", "run.1234", "api"] {
            assert!(is_known(name, &types), "{name}");
        }
        for name in ["nope", "we", "webs.1", ".1", ""] {
            assert!(!is_known(name, &types), "{name}");
        }
    }

    #[test]
    fn each_process_has_its_colour() {
        let captured = Captured::new();
        let mut output = captured.output(true);
        let mut printer = Printer::default();
        for line in ["T app[web.1]: a\n", "T app[web.2]: b [x]: c\n", "T app[web.1]: d\n", "odd\n"]
        {
            printer.print(line, &mut output).unwrap();
        }
        assert_eq!(
            captured.stdout(),
            "\u{1b}[33mT app[web.1]:\u{1b}[0m a\n\
             \u{1b}[32mT app[web.2]:\u{1b}[0m b [x]: c\n\
             \u{1b}[33mT app[web.1]:\u{1b}[0m d\n\
             odd\n"
        );
    }
}
