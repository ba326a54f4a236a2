//! `windlass connect`: for clients that talk to localhost only, as Heroku's CLI.

use crate::arguments::ServerArguments;
use crate::commands::git::helper_command;
use crate::error::{CliError, Result};
use crate::output::Style;
use crate::session::Session;
use crate::tls;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use windlass_connect::{
    CertificateFiles, Exports, Forwarder, InvalidUpstream, LocalAuthority, PROBE_PATH, StartError,
    Upstream, exports,
};

/// The port stays the same, because git remotes have it in their URLs.
const DEFAULT_PORT: u16 = 7443;

#[derive(Clone, Debug, clap::Args)]
pub struct Connect {
    /// The port on this machine; 0: any that is free
    #[arg(long, default_value_t = DEFAULT_PORT)]
    port: u16,
    #[command(flatten)]
    server: ServerArguments,
    /// Run this with everything set, and end with it [default: print what to set, and go on]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Connect {
    /// Gives the command's exit code.
    pub fn run(self, session: &mut Session) -> Result<u8> {
        let url = session.server_url(&self.server)?;
        let folder = folder(session)?;
        let authority = LocalAuthority::open(&folder).map_err(|error| general(&error))?;
        let upstream = Upstream::new::<Failed>(&url, || {
            let trust = session.trust_for(&url)?;
            Ok(tls::for_connections(&trust)?)
        });
        let upstream = upstream.map_err(|Failed(error)| error)?;
        // Signals are taken before anything can be left behind.
        let signals = Signals::new([SIGINT, SIGQUIT, SIGTERM, SIGHUP])
            .map_err(|error| CliError::file("Could not take signals", &error))?;
        let (forwarder, port) = match Forwarder::start(self.port, &authority, upstream) {
            Ok(forwarder) => {
                let port = forwarder.port();
                (Some(forwarder), port)
            }
            Err(error) if error.is_taken() && is_forwarded(self.port, &authority, &url) => {
                (None, self.port)
            }
            Err(error) => return Err(not_started(&error)),
        };
        let files = certificate_files(session, &authority, &folder)?;
        let origin = format!("https://localhost:{port}");
        let helper = helper_command(&session.environment, &url, &origin);
        let before = &session.environment.variables;
        let exports = exports(port, &files, &helper, before);
        if let Some((program, arguments)) = self.command.split_first() {
            let token = session.token_for(&url)?;
            return run_command(program, arguments, &exports, token.as_deref(), signals);
        }
        show(session, &url, &origin, &exports)?;
        if forwarder.is_some() {
            wait(signals);
        }
        Ok(0)
    }
}

/// What a URL, or whom to trust there, can be wrong with.
struct Failed(CliError);

impl From<InvalidUpstream> for Failed {
    fn from(error: InvalidUpstream) -> Failed {
        Failed(CliError::usage(format!("{error}.")))
    }
}

impl From<CliError> for Failed {
    fn from(error: CliError) -> Failed {
        Failed(error)
    }
}

fn general(error: &dyn std::fmt::Display) -> CliError {
    CliError::general(format!("The forwarder was not started: {error}."))
}

fn not_started(error: &StartError) -> CliError {
    let told = general(error);
    match error.is_taken() {
        true => told.hint("Pass another one with --port, or --port 0 for any that is free."),
        false => told,
    }
}

fn folder(session: &Session) -> Result<PathBuf> {
    let file = session.environment.config_file();
    let folder = file.as_deref().and_then(Path::parent).map(|folder| folder.join("connect"));
    folder.ok_or_else(|| {
        CliError::general("There is no home folder to keep the certificates in.")
            .hint("Set HOME or XDG_CONFIG_HOME.")
    })
}

fn certificate_files(
    session: &Session,
    authority: &LocalAuthority,
    folder: &Path,
) -> Result<CertificateFiles> {
    let alone = authority.certificate_file().to_owned();
    let with_others = |variable, name| together(session, authority, variable, &folder.join(name));
    let node = with_others("NODE_EXTRA_CA_CERTS", "node.pem")?;
    Ok(CertificateFiles {
        node: node.unwrap_or_else(|| alone.clone()),
        git: with_others("GIT_SSL_CAINFO", "git.pem")?,
        authority: alone,
    })
}

/// Writes the certificates that a program was told of before into one file with ours. `None` if
/// it was told of none.
fn together(
    session: &Session,
    authority: &LocalAuthority,
    variable: &str,
    ours: &Path,
) -> Result<Option<PathBuf>> {
    let Some(others) = session.environment.variable(variable).map(Path::new) else {
        return Ok(None);
    };
    // The settings of an earlier forwarder are still in force.
    if others == ours || others == authority.certificate_file() {
        return Ok(Some(others.to_owned()));
    }
    let failed = |what: &str, path: &Path, error: &std::io::Error| {
        CliError::file(format!("Could not {what} {}", path.display()), error)
    };
    let others = std::fs::read_to_string(others).map_err(|error| failed("read", others, &error))?;
    let text = format!("{}\n{others}", authority.certificate_pem());
    std::fs::write(ours, text).map_err(|error| failed("write", ours, &error))?;
    Ok(Some(ours.to_owned()))
}

/// Whether another `windlass connect` of this user has the port, for the same server.
fn is_forwarded(port: u16, authority: &LocalAuthority, url: &str) -> bool {
    let probe = format!("https://localhost:{port}{PROBE_PATH}");
    let answer = tls::trusting_only(authority.certificate_pem()).ok().and_then(|config| {
        let config = ureq::Agent::config_builder()
            .tls_config(config)
            .proxy(None)
            .timeout_global(Some(std::time::Duration::from_secs(5)));
        config.build().new_agent().get(&probe).call().ok()?.body_mut().read_to_string().ok()
    });
    answer.as_deref() == Some(url)
}

fn show(session: &mut Session, url: &str, origin: &str, exports: &Exports) -> Result<()> {
    let origin = session.output.paint_error(Style::Green, origin);
    session.output.note(format!("{origin} now stands for {url}."))?;
    session.output.note("Clients in other terminals find it with these settings:\n")?;
    session.output.bytes(exports.for_shell().as_bytes())?;
    let ours = session.environment.find_program("windlass").is_some();
    let program = if ours { "windlass" } else { "/path/to/windlass" };
    session
        .output
        .line(format!("export HEROKU_API_KEY=\"$({program} auth:token --server {url})\""))?;
    session.output.note("\nEnd it with Ctrl-C. One command alone: windlass connect -- heroku apps")
}

/// Waits until somebody ends this process.
fn wait(mut signals: Signals) {
    let _ = signals.forever().next();
}

/// Runs a program with the settings; gives its exit code, or 128 and the signal that ended it.
fn run_command(
    program: &str,
    arguments: &[String],
    exports: &Exports,
    token: Option<&str>,
    mut signals: Signals,
) -> Result<u8> {
    let mut command = Command::new(program);
    command.args(arguments).envs(exports.iter());
    if let Some(token) = token {
        command.env("HEROKU_API_KEY", token);
    }
    let mut child = command.spawn().map_err(|error| {
        let told = CliError::general(format!("Could not run {program}: {error}"));
        match error.kind() {
            std::io::ErrorKind::NotFound => told.hint("Is it installed, and in PATH?"),
            _ => told,
        }
    })?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let handle = signals.handle();
    let passing = thread::spawn(move || {
        for signal in signals.forever() {
            // What is typed goes to the command by itself; the others are for this process alone.
            let signal = match signal {
                SIGTERM => Signal::TERM,
                SIGHUP => Signal::HUP,
                _ => continue,
            };
            if let Some(pid) = pid {
                let _ = kill_process(pid, signal);
            }
        }
    });
    let status = child.wait();
    handle.close();
    let _ = passing.join();
    let status = status
        .map_err(|error| CliError::general(format!("Could not wait for {program}: {error}")))?;
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
