//! `windlass run` and `run:detached`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::attach::{Attachment, Connection, Signals};
use crate::environment::Environment;
use crate::error::{CliError, Result};
use crate::session::Session;
use crate::terminal::{self, RawMode};
use std::collections::BTreeMap;
use windlass_wire::{Dyno, DynoCreate};

#[derive(Clone, Debug, clap::Args)]
pub struct Run {
    /// Do not give the command a terminal
    #[arg(long)]
    no_tty: bool,
    /// Exit with the command's code; always so here, accepted for Heroku's sake
    #[arg(short = 'x', long)]
    exit_code: bool,
    /// NAME=value variables for this process only, separated by semicolons
    #[arg(short, long, value_name = "VARS")]
    env: Option<String>,
    /// Stop it after so many seconds [default: the server's run.timeout]
    #[arg(long, value_name = "SECONDS")]
    time_to_live: Option<u64>,
    /// The size of the process
    #[arg(short, long)]
    size: Option<String>,
    #[command(flatten)]
    app: AppArguments,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

impl Run {
    /// Gives the command's exit code.
    pub fn run(self, session: &mut Session) -> Result<u8> {
        let (client, app) = session.app_client(&self.app)?;
        let mut env = extra_variables(self.env.as_deref())?;
        let terminal = terminal_variables(&session.environment, self.no_tty, &mut env);
        let body = DynoCreate {
            command: command_line(&self.command),
            attach: true,
            env,
            force_no_tty: (!terminal).then_some(true),
            time_to_live: self.time_to_live,
            size: self.size,
            process_type: None,
        };
        let message = format!("Running {} on {}", body.command, session.output.app(&app));
        let path = app_path(&app, "/dynos");
        let start = || {
            let process: Dyno = client.post(&path, &body)?;
            let url = process.upgrade_url.as_deref().ok_or_else(|| {
                CliError::general(format!("The server cannot attach to {}.", process.name))
                    .hint("Use `windlass run:detached` and `windlass logs`.")
            })?;
            Ok((Connection::open(url, &client.trust_for(url))?, process.name))
        };
        let up = |_: &_, (_, name): &(Connection, String)| Some(name.clone());
        let (connection, _) = session.output.action(&message, start, up)?;
        attach(session, connection, terminal)
    }
}

/// Adds what makes the server give the command a terminal like ours; tells whether it does.
pub(super) fn terminal_variables(
    environment: &Environment,
    no_tty: bool,
    env: &mut BTreeMap<String, serde_json::Value>,
) -> bool {
    let terminal = !no_tty && environment.stdin_terminal && environment.stdout_terminal;
    if terminal {
        let term = environment.variable("TERM").unwrap_or("xterm");
        env.insert("TERM".to_owned(), term.into());
        // Zero, where the terminal does not tell: the server takes a usual size then.
        let (rows, columns) = terminal::size().unwrap_or_default();
        env.insert("COLUMNS".to_owned(), columns.into());
        env.insert("LINES".to_owned(), rows.into());
    }
    terminal
}

pub(super) fn attach(session: &mut Session, connection: Connection, terminal: bool) -> Result<u8> {
    let failed = |error| CliError::file("Could not set up the terminal", &error);
    let signals = Signals::take().map_err(failed)?;
    let raw = match terminal {
        true => Some(RawMode::enter().map_err(failed)?),
        false => None,
    };
    let input = rustix::stdio::stdin();
    let ended = Attachment::new(connection, input, signals, terminal).run(&mut session.output);
    drop(raw);
    ended
}

#[derive(Clone, Debug, clap::Args)]
pub struct RunDetached {
    /// NAME=value variables for this process only, separated by semicolons
    #[arg(short, long, value_name = "VARS")]
    env: Option<String>,
    /// Stop it after so many seconds [default: the server's run.timeout]
    #[arg(long, value_name = "SECONDS")]
    time_to_live: Option<u64>,
    /// The size of the process
    #[arg(short, long)]
    size: Option<String>,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

impl RunDetached {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let body = DynoCreate {
            command: command_line(&self.command),
            env: extra_variables(self.env.as_deref())?,
            time_to_live: self.time_to_live,
            size: self.size,
            ..DynoCreate::default()
        };
        let message = format!("Running {} on {}", body.command, session.output.app(&app));
        let path = app_path(&app, "/dynos");
        let process: Dyno = session.output.action(
            &message,
            || client.post(&path, &body),
            |_, process: &Dyno| Some(process.name.clone()),
        )?;
        if self.json.json {
            return session.output.json(&process);
        }
        let name = process.name;
        session.output.note(format!("Follow it with: windlass logs -a {app} -t --ps {name}"))
    }
}

pub(super) fn extra_variables(text: Option<&str>) -> Result<BTreeMap<String, serde_json::Value>> {
    let mut variables = BTreeMap::new();
    for part in text.into_iter().flat_map(|text| text.split(';')) {
        match part.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                variables.insert(name.to_owned(), value.into());
            }
            _ => {
                return Err(CliError::usage(format!("{part} is no variable."))
                    .hint("Write --env \"NAME=value;OTHER=value\"."));
            }
        }
    }
    Ok(variables)
}

/// One line for the app's shell.
///
/// A single argument is a whole command line (`run "rake test | wc"`). Of several, those
/// with blanks or special characters are kept together as they were given, except that
/// `$NAME` is still replaced there, as on Heroku: `run echo '$PORT'` prints the app's port.
pub(super) fn command_line(arguments: &[String]) -> String {
    match arguments {
        [line] => line.clone(),
        several => several.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:=@%+,~^$*?[]{}!".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut text = String::from("\"");
    for c in word.chars() {
        if matches!(c, '"' | '\\' | '`') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_reach_the_shell_as_they_were_given() {
        let line = |words: &[&str]| {
            command_line(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(line(&["rake test | wc"]), "rake test | wc");
        assert_eq!(line(&["rake", "test"]), "rake test");
        assert_eq!(line(&["echo", "$PORT"]), "echo $PORT");
        assert_eq!(line(&["python", "-c", "print(\"a b\")"]), r#"python -c "print(\"a b\")""#);
        assert_eq!(line(&["echo", "a;b", ""]), r#"echo "a;b" """#);
    }

    #[test]
    fn extra_variables_are_separated_by_semicolons() {
        let variables = extra_variables(Some("A=1;B=x=y")).unwrap();
        assert_eq!(variables["A"], "1");
        assert_eq!(variables["B"], "x=y");
        assert!(extra_variables(Some("A")).is_err());
        assert!(extra_variables(None).unwrap().is_empty());
    }
}
