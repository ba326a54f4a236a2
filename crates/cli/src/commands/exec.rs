//! `windlass ps:exec` and `ps:copy`: commands inside a process that runs

use super::app_path;
use super::run::{attach, command_line, extra_variables, terminal_variables};
use crate::arguments::AppArguments;
use crate::attach::Connection;
use crate::client::{Client, encoded};
use crate::copy::{Download, Place, Upload};
use crate::error::{CliError, Result};
use crate::session::Session;
use windlass_wire::{Dyno, DynoExec, ExecCommand};

/// Commands inside a process that runs.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum ExecCommands {
    /// Run a command inside a process that runs
    #[command(name = "ps:exec", alias = "exec")]
    Exec(Exec),
    /// Copy files from or to a process that runs
    #[command(name = "ps:copy", aliases = ["ps:cp", "copy"])]
    Copy(Copy),
}

impl ExecCommands {
    /// Gives the exit code.
    pub fn run(self, session: &mut Session) -> Result<u8> {
        match self {
            Self::Exec(arguments) => arguments.run(session),
            Self::Copy(arguments) => arguments.run(session).map(|()| 0),
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Exec {
    /// The process
    #[arg(short, long, value_name = "NAME", default_value = "web.1")]
    dyno: String,
    /// Do not give the command a terminal
    #[arg(long)]
    no_tty: bool,
    /// NAME=value variables for this command only, separated by semicolons
    #[arg(short, long, value_name = "VARS")]
    env: Option<String>,
    #[command(flatten)]
    app: AppArguments,
    /// The command and its arguments [default: bash, or the image's shell]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

impl Exec {
    fn run(self, session: &mut Session) -> Result<u8> {
        let (client, app) = session.app_client(&self.app)?;
        let mut env = extra_variables(self.env.as_deref())?;
        let terminal = terminal_variables(&session.environment, self.no_tty, &mut env);
        let line = (!self.command.is_empty()).then(|| command_line(&self.command));
        let what = line.clone().unwrap_or_else(|| "a shell".to_owned());
        let body = DynoExec {
            command: line.map(ExecCommand::Line),
            env,
            force_no_tty: (!terminal).then_some(true),
        };
        let shown = session.output.app(&app);
        let message = format!("Running {what} in {} of {shown}", self.dyno);
        let start = || open(&client, &app, &self.dyno, &body);
        let connection = session.output.action(&message, start, |_, _| None)?;
        attach(session, connection, terminal)
    }
}

/// Starts a command inside a process and connects to it.
fn open(client: &Client, app: &str, name: &str, body: &DynoExec) -> Result<Connection> {
    let path = app_path(app, &format!("/dynos/{}/actions/exec", encoded(name)));
    let process: Dyno = client.post(&path, body)?;
    let url = process.upgrade_url.as_deref().ok_or_else(|| {
        CliError::general(format!("The server cannot run commands inside {name}."))
    })?;
    Connection::open(url, &client.trust_for(url))
}

#[derive(Clone, Debug, clap::Args)]
pub struct Copy {
    /// A file or folder: of a process (web.1:/app/log), or of this machine
    from: String,
    /// Where to: one of the two is a process's
    to: String,
    #[command(flatten)]
    app: AppArguments,
}

impl Copy {
    fn run(self, session: &mut Session) -> Result<()> {
        let (from, to) = (Place::parse(&self.from), Place::parse(&self.to));
        let (client, app) = session.app_client(&self.app)?;
        let message = format!("Copying {} to {}", self.from, self.to);
        let start = |name: &str, words: &[&str]| {
            let words = words.iter().map(ToString::to_string).collect();
            let body = DynoExec { command: Some(ExecCommand::Words(words)), ..DynoExec::default() };
            open(&client, &app, name, &body).map_err(|error| {
                match error.message.contains("no such command: tar") {
                    true => CliError::general(format!(
                        "The image of {name} has no tar, which ps:copy needs."
                    )),
                    false => error,
                }
            })
        };
        let copy = || match (from, to) {
            (Place::Process { name, path }, Place::Here(local)) => {
                Download::new(&path, &local)?.run(&name, |words| start(&name, words))
            }
            (Place::Here(local), Place::Process { name, path }) => {
                Upload::new(&local, &path)?.run(&name, |words| start(&name, words))
            }
            _ => Err(CliError::usage("Exactly one of the two must be a process's.")
                .hint("Write it like web.1:/app/file.")),
        };
        session.output.action(&message, copy, |_, files| {
            Some(format!("{files} file{}", if *files == 1 { "" } else { "s" }))
        })?;
        Ok(())
    }
}
