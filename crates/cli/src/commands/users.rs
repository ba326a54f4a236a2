//! `windlass users`, `invitations` and their families, and `activity`

use super::app_path;
use super::destroy::confirmed_to;
use crate::activity_words::in_words;
use crate::arguments::{AppArguments, JsonArguments, ServerArguments};
use crate::client::{Client, Range, encoded};
use crate::commands::trust_on_first_use;
use crate::context::{Contexts, Login, normalised_url};
use crate::error::{CliError, Result};
use crate::git::origin_of_url;
use crate::output::Table;
use crate::session::Session;
use crate::time::{with_age, with_wait};
use windlass_wire::{
    Account, Activity, Invitation, InvitationAccept, InvitationAccepted, InvitationCreate,
    TeamMember,
};

/// Commands about the people on a server and what they did.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum UsersCommand {
    /// List everybody who has an account on the server
    #[command(name = "users", alias = "users:list")]
    List(List),
    /// Invite somebody to the server; prints the link that lets them in
    #[command(name = "users:invite", alias = "invite")]
    Invite(Invite),
    /// Take somebody's account away
    #[command(name = "users:remove")]
    Remove(Remove),
    /// Take the second factor from somebody who has lost it
    #[command(name = "users:reset-two-factor")]
    ResetSecondFactor(OfUser),
    /// Take all passkeys from somebody who has lost their device
    #[command(name = "users:reset-passkeys")]
    ResetPasskeys(OfUser),
    /// List who was invited and has not come in yet
    #[command(name = "invitations")]
    Invitations(List),
    /// Take an invitation back
    #[command(name = "invitations:revoke")]
    Revoke(Revoke),
    /// Accept an invitation, and log in
    #[command(name = "invitations:accept")]
    Accept(Accept),
    /// List who changed what, on an app or the whole server, the newest last
    #[command(name = "activity")]
    Activity(ShowActivity),
}

impl UsersCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List(arguments) => arguments.users(session),
            Self::Invite(arguments) => arguments.run(session),
            Self::Remove(arguments) => arguments.run(session),
            Self::ResetSecondFactor(arguments) => arguments.reset(session),
            Self::ResetPasskeys(arguments) => arguments.reset_passkeys(session),
            Self::Invitations(arguments) => arguments.invitations(session),
            Self::Revoke(arguments) => arguments.run(session),
            Self::Accept(arguments) => arguments.run(session),
            Self::Activity(arguments) => arguments.run(session),
        }
    }
}

/// Prints the link of an invitation, which nobody else is told.
pub(super) fn show_link(session: &mut Session, url: Option<&str>) -> Result<()> {
    let url =
        url.ok_or_else(|| CliError::general("The server made an invitation without a link."))?;
    session.output.line(url)?;
    session.output.note(
        "Send them this link: it is good once, for a week, and shown only now. No mail is sent.",
    )
}

#[derive(Clone, Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl List {
    fn users(self, session: &mut Session) -> Result<()> {
        let users: Vec<Account> = session.client(&self.server)?.list("/users", Range::All)?;
        if self.json.json {
            return session.output.json(&users);
        }
        let now = session.environment.now;
        let mut table = Table::new(&["Who", "Name", "Two-factor", "Last login"]);
        for user in users {
            let second = if user.two_factor_authentication { "yes" } else { "no" };
            let login = user.last_login.map_or_else(|| "never".to_owned(), |at| with_age(&at, now));
            let name = user.name.unwrap_or_default();
            table.row(vec![user.email.into(), name.into(), second.into(), login.into()]);
        }
        session.output.table(&table)
    }

    fn invitations(self, session: &mut Session) -> Result<()> {
        let open: Vec<Invitation> =
            session.client(&self.server)?.list("/invitations", Range::All)?;
        if self.json.json {
            return session.output.json(&open);
        }
        if open.is_empty() {
            return session.output.note("No invitation is open.");
        }
        let now = session.environment.now;
        let mut table = Table::new(&["Who", "Id", "Invited by", "Good until"]);
        for one in open {
            table.row(vec![
                one.email.into(),
                one.id.into(),
                one.invited_by.email.into(),
                with_wait(&one.expires_at, now).into(),
            ]);
        }
        session.output.table(&table)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Invite {
    /// Their address
    email: String,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Invite {
    fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let body = InvitationCreate { email: self.email };
        let message = format!("Inviting {}", body.email);
        let made: Invitation =
            session.output.action(&message, || client.post("/invitations", &body), |_, _| None)?;
        if self.json.json {
            return session.output.json(&made);
        }
        show_link(session, made.url.as_deref())
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Remove {
    /// Their address
    email: String,
    /// Their address once more, instead of a question
    #[arg(short, long, value_name = "EMAIL")]
    confirm: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
}

impl Remove {
    fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let path = format!("/users/{}", encoded(&self.email));
        // Nobody confirms a mistyped address.
        let user: Account = client.get(&path)?;
        let warning =
            format!("This takes the account of {}, with all its tokens and keys.", user.email);
        confirmed_to(session, "Removing", &warning, &user.email, self.confirm.as_deref())?;
        let message = format!("Removing {}", user.email);
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct OfUser {
    /// Their address
    email: String,
    #[command(flatten)]
    server: ServerArguments,
}

impl OfUser {
    fn reset(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let message = format!("Taking the second factor from {}", self.email);
        let path = format!("/users/{}/two-factor", encoded(&self.email));
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }

    fn reset_passkeys(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let message = format!("Taking the passkeys from {}", self.email);
        let path = format!("/users/{}/passkeys", encoded(&self.email));
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Revoke {
    /// The invitation's id
    id: String,
    #[command(flatten)]
    server: ServerArguments,
}

impl Revoke {
    fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let path = format!("/invitations/{}", encoded(&self.id));
        let revoke = || client.delete(&path);
        session.output.action("Taking the invitation back", revoke, |_, ()| None)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Accept {
    /// The link
    url: String,
    /// What you want to be called
    #[arg(short, long)]
    name: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
}

impl Accept {
    /// With a login for the server it is accepted by that account; else it makes one.
    fn run(self, session: &mut Session) -> Result<()> {
        let wrong = || {
            CliError::usage(
                "This is no invitation's link: it looks like https://HOST/invitations/SECRET.",
            )
        };
        let (origin, secret) = self.url.rsplit_once("/invitations/").ok_or_else(wrong)?;
        if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(wrong());
        }
        let url = match &self.server.server {
            Some(url) => normalised_url(url)?,
            None => normalised_url(&origin_of_url(origin).ok_or_else(wrong)?)?,
        };
        let arguments = ServerArguments { server: Some(url.clone()), context: None };
        if session.token_for(&url)?.is_some() {
            let path = format!("/teams/invitations/{secret}/accept");
            let client = session.client(&arguments)?;
            let accept = || client.post(&path, &serde_json::json!({}));
            session.output.action("Accepting the invitation", accept, |_, made: &TeamMember| {
                made.role.as_ref().map(|role| format!("you are a {role} of the team now"))
            })?;
            return Ok(());
        }
        self.come_in(session, &url, secret)
    }

    fn come_in(&self, session: &mut Session, url: &str, secret: &str) -> Result<()> {
        let trust = trust_on_first_use::at(session, url, None)?;
        let certificate = trust_on_first_use::to_store(&trust);
        let client = Client::new(url, trust, None, session.warnings.clone())?;
        let body = InvitationAccept { token: secret.to_owned(), name: self.name.clone() };
        let accepted: InvitationAccepted = session.output.action(
            "Accepting the invitation",
            || client.post("/invitations/actions/accept", &body),
            |_, _| None,
        )?;
        let token = accepted.authorization.access_token.map(|token| token.token);
        let token = token.ok_or_else(|| CliError::general("The server gave no token."))?;
        let mut contexts = Contexts::load(&session.environment)?;
        let login = Login { email: accepted.user.email.clone(), token, name: None, certificate };
        contexts.contexts.insert(url.to_owned(), login);
        contexts.current = Some(url.to_owned());
        contexts.save(&session.environment)?;
        session.output.note(format!("Logged in to {url} as {}", accepted.user.email))
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct ShowActivity {
    /// How many at most
    #[arg(short, long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1000))]
    num: u32,
    /// Of the whole server, for its owner
    #[arg(long, conflicts_with = "app")]
    all: bool,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl ShowActivity {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, path) = match self.all {
            true => (session.client(&self.app.server)?, "/activity".to_owned()),
            false => {
                let (client, app) = session.app_client(&self.app)?;
                (client, app_path(&app, "/activity"))
            }
        };
        let mut entries: Vec<Activity> = client.list(&path, Range::NewestCreated(self.num))?;
        if self.json.json {
            return session.output.json(&entries);
        }
        if entries.is_empty() {
            return session.output.note("Nobody has changed anything yet.");
        }
        entries.reverse();
        let now = session.environment.now;
        let mut table = Table::new(&["When", "Who", "Token", "App", "What", "From"]);
        for entry in entries {
            table.row(vec![
                with_age(&entry.created_at, now).into(),
                entry.user.email.into(),
                entry.token.unwrap_or_default().into(),
                entry.app.map(|app| app.name).unwrap_or_default().into(),
                in_words(&entry.action).into(),
                entry.address.unwrap_or_default().into(),
            ]);
        }
        session.output.table(&table)
    }
}
