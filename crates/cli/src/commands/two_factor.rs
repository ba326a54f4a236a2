//! `windlass 2fa`, `2fa:enable`, `2fa:disable`

use crate::arguments::{JsonArguments, ServerArguments};
use crate::error::{CliError, Result};
use crate::session::Session;
use crate::terminal;
use ureq::http::Method;
use windlass_wire::{RecoveryCodes, TwoFactor, TwoFactorConfirm, TwoFactorProposal};

const PATH: &str = "/account/two-factor";

/// Commands about your second factor.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum TwoFactorCommand {
    /// Tell whether you have a second factor
    #[command(name = "2fa", alias = "twofactor")]
    Show(Show),
    /// Set up an authenticator app as your second factor
    #[command(name = "2fa:enable")]
    Enable(Enable),
    /// Give up your second factor
    #[command(name = "2fa:disable", alias = "twofactor:disable")]
    Disable(Disable),
}

impl TwoFactorCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::Show(arguments) => arguments.run(session),
            Self::Enable(arguments) => arguments.run(session),
            Self::Disable(arguments) => arguments.run(session),
        }
    }
}

/// Returns a code by option, or as it is typed on the terminal.
fn code(session: &mut Session, given: Option<String>) -> Result<String> {
    match given {
        Some(code) => Ok(code),
        None if session.environment.stdin_terminal => {
            terminal::ask_hidden(&mut session.output, "Two-factor code: ")
        }
        None => {
            session.output.note("Two-factor code: ")?;
            let line = session.read_line()?;
            if line.is_empty() {
                let message = "No code given, and no terminal to ask on.";
                return Err(CliError::usage(message).hint("Pass it with --code CODE."));
            }
            Ok(line)
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Show {
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Show {
    fn run(self, session: &mut Session) -> Result<()> {
        let status: TwoFactor = session.client(&self.server)?.get(PATH)?;
        if self.json.json {
            return session.output.json(&status);
        }
        if !status.enabled {
            return session.output.line("off (`windlass 2fa:enable` sets it up)");
        }
        session.output.line(format!("on, {} recovery codes left", status.recovery_codes_left))
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Enable {
    #[command(flatten)]
    server: ServerArguments,
}

impl Enable {
    fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let made: TwoFactorProposal = client.post(PATH, &serde_json::json!({}))?;
        session
            .output
            .note("Add this to your authenticator app, then type the code that it shows:")?;
        session.output.properties(&[("Secret", made.secret), ("URL", made.url)])?;
        let body = TwoFactorConfirm { code: code(session, None)? };
        let path = format!("{PATH}/actions/confirm");
        let confirm = || client.post(&path, &body);
        let made: RecoveryCodes =
            session.output.action("Enabling the second factor", confirm, |_, _| None)?;
        session
            .output
            .note("Recovery codes, each good once in place of a code; keep them safe:")?;
        for code in made.recovery_codes {
            session.output.line(code)?;
        }
        Ok(())
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Disable {
    /// The code that your app shows, or a recovery code
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
}

impl Disable {
    fn run(self, session: &mut Session) -> Result<()> {
        let code = code(session, self.code)?;
        let client = session.client(&self.server)?.with_two_factor_code(Some(code));
        let disable = || client.command(Method::DELETE, PATH);
        session.output.action("Disabling the second factor", disable, |_, ()| None)
    }
}
