//! `windlass access` and its family, and apps that change hands.

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments, ServerArguments};
use crate::client::{Range, encoded};
use crate::error::Result;
use crate::output::Table;
use crate::session::Session;
use crate::time::with_age;
use ureq::http::Method;
use windlass_wire::{
    App, AppTransfer, AppTransferCreate, AppTransferUpdate, Collaborator, CollaboratorCreate,
    CollaboratorUpdate, TeamAppUpdate,
};

const TRANSFERS: &str = "/account/app-transfers";

/// Commands about who has access to an app.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum AccessCommand {
    /// List who has access to an app, and to do what
    #[command(name = "access", aliases = ["access:list", "sharing"])]
    List(List),
    /// Give somebody access to an app
    #[command(name = "access:add", alias = "sharing:add")]
    Add(Add),
    /// Change what somebody may do with an app
    #[command(name = "access:update")]
    Update(Update),
    /// Take somebody's access to an app away
    #[command(name = "access:remove", alias = "sharing:remove")]
    Remove(Remove),
    /// Add yourself to an app of your team's
    #[command(name = "apps:join", alias = "join")]
    Join(OfApp),
    /// Give up your access to an app
    #[command(name = "apps:leave", alias = "leave")]
    Leave(OfApp),
    /// Show a team's app only to those who were added to it
    #[command(name = "apps:lock", alias = "lock")]
    Lock(OfApp),
    /// Show a team's app to all of the team
    #[command(name = "apps:unlock", alias = "unlock")]
    Unlock(OfApp),
    /// Offer an app to somebody, or move it into or out of a team
    #[command(name = "apps:transfer", alias = "sharing:transfer")]
    Transfer(Transfer),
    /// List the apps that you offered and were offered
    #[command(name = "transfers")]
    Transfers(Transfers),
    /// Take over an app that you were offered
    #[command(name = "transfers:accept")]
    Accept(Answer),
    /// Decline an app that you were offered
    #[command(name = "transfers:decline")]
    Decline(Answer),
    /// Take back an offer of yours
    #[command(name = "transfers:cancel")]
    Cancel(Answer),
}

impl AccessCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List(arguments) => arguments.run(session),
            Self::Add(arguments) => arguments.run(session),
            Self::Update(arguments) => arguments.run(session),
            Self::Remove(arguments) => arguments.run(session),
            Self::Join(arguments) => arguments.join(session),
            Self::Leave(arguments) => arguments.leave(session),
            Self::Lock(arguments) => arguments.lock(session, true),
            Self::Unlock(arguments) => arguments.lock(session, false),
            Self::Transfer(arguments) => arguments.run(session),
            Self::Transfers(arguments) => arguments.run(session),
            Self::Accept(arguments) => arguments.answer(session, "accepted"),
            Self::Decline(arguments) => arguments.answer(session, "declined"),
            Self::Cancel(arguments) => arguments.cancel(session),
        }
    }
}

fn permissions(of: &Collaborator) -> String {
    of.permissions.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ")
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
        let all: Vec<Collaborator> = client.list(&app_path(&app, "/collaborators"), Range::All)?;
        if self.json.json {
            return session.output.json(&all);
        }
        let mut table = Table::new(&["Who", "Role", "Permissions"]);
        for one in all {
            let permissions = permissions(&one);
            let role = one.role.unwrap_or_default();
            table.row(vec![one.user.email.into(), role.into(), permissions.into()]);
        }
        session.output.table(&table)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Add {
    /// Their address
    email: String,
    /// What they may do, with commas between: view, deploy, operate, manage [default: deploy,operate]
    #[arg(short, long, value_delimiter = ',', value_name = "PERMISSIONS")]
    permissions: Vec<String>,
    #[command(flatten)]
    app: AppArguments,
}

impl Add {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let permissions = (!self.permissions.is_empty()).then_some(self.permissions);
        let body = CollaboratorCreate { user: self.email, permissions };
        let message = format!("Adding {} to {}", body.user, session.output.app(&app));
        let path = app_path(&app, "/collaborators");
        let add = || client.post(&path, &body);
        session
            .output
            .action(&message, add, |_, made: &Collaborator| Some(permissions_of(made)))?;
        Ok(())
    }
}

fn permissions_of(made: &Collaborator) -> String {
    format!("with {}", permissions(made))
}

#[derive(Clone, Debug, clap::Args)]
pub struct Update {
    /// Their address
    email: String,
    /// What they may do from now on, with commas between: view, deploy, operate, manage
    #[arg(short, long, required = true, value_delimiter = ',', value_name = "PERMISSIONS")]
    permissions: Vec<String>,
    #[command(flatten)]
    app: AppArguments,
}

impl Update {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, &format!("/collaborators/{}", encoded(&self.email)));
        let body = CollaboratorUpdate { permissions: self.permissions };
        let message = format!("Updating {} on {}", self.email, session.output.app(&app));
        let update = || client.patch(&path, &body);
        session
            .output
            .action(&message, update, |_, made: &Collaborator| Some(permissions_of(made)))?;
        Ok(())
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Remove {
    /// Their address
    email: String,
    #[command(flatten)]
    app: AppArguments,
}

impl Remove {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, &format!("/collaborators/{}", encoded(&self.email)));
        let message = format!("Removing {} from {}", self.email, session.output.app(&app));
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct OfApp {
    #[command(flatten)]
    app: AppArguments,
}

impl OfApp {
    fn join(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let body = CollaboratorCreate { user: "~".to_owned(), permissions: None };
        let message = format!("Joining {}", session.output.app(&app));
        let path = app_path(&app, "/collaborators");
        let join = || client.post(&path, &body);
        session
            .output
            .action(&message, join, |_, made: &Collaborator| Some(permissions_of(made)))?;
        Ok(())
    }

    fn leave(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let message = format!("Leaving {}", session.output.app(&app));
        let path = app_path(&app, "/collaborators/~");
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }

    fn lock(self, session: &mut Session, locked: bool) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let word = if locked { "Locking" } else { "Unlocking" };
        let message = format!("{word} {}", session.output.app(&app));
        let body = TeamAppUpdate { locked: Some(locked), owner: None };
        let path = format!("/teams/apps/{}", encoded(&app));
        session.output.action(&message, || client.patch(&path, &body), |_, _: &App| None)?;
        Ok(())
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Transfer {
    /// Somebody's address, or a team's name
    recipient: String,
    #[command(flatten)]
    app: AppArguments,
}

impl Transfer {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let current: App = client.get(&app_path(&app, ""))?;
        let name = session.output.app(&app);
        if current.team.is_none() && self.recipient.contains('@') {
            let body = AppTransferCreate { app, recipient: self.recipient };
            let message = format!("Offering {name} to {}", body.recipient);
            session.output.action(
                &message,
                || client.post(TRANSFERS, &body),
                |_, _: &AppTransfer| Some("waiting for them to accept".to_owned()),
            )?;
            return Ok(());
        }
        let message = format!("Transferring {name} to {}", self.recipient);
        let body = TeamAppUpdate { locked: None, owner: Some(self.recipient) };
        let path = format!("/teams/apps/{}", encoded(&app));
        session.output.action(&message, || client.patch(&path, &body), |_, _: &App| None)?;
        Ok(())
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Transfers {
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Transfers {
    fn run(self, session: &mut Session) -> Result<()> {
        let all: Vec<AppTransfer> = session.client(&self.server)?.list(TRANSFERS, Range::All)?;
        if self.json.json {
            return session.output.json(&all);
        }
        if all.is_empty() {
            return session.output.note("No app was offered by you or to you.");
        }
        let mut table = Table::new(&["App", "From", "To", "State", "Since"]);
        for one in all {
            table.row(vec![
                one.app.name.into(),
                one.owner.email.into(),
                one.recipient.email.into(),
                one.state.into(),
                with_age(&one.created_at, session.environment.now).into(),
            ]);
        }
        session.output.table(&table)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Answer {
    /// The app that is offered, or the transfer's id
    transfer: String,
    #[command(flatten)]
    server: ServerArguments,
}

impl Answer {
    fn path(&self) -> String {
        format!("{TRANSFERS}/{}", encoded(&self.transfer))
    }

    fn answer(self, session: &mut Session, state: &str) -> Result<()> {
        let client = session.client(&self.server)?;
        let body = AppTransferUpdate { state: state.to_owned() };
        let word = if state == "accepted" { "Accepting" } else { "Declining" };
        let message = format!("{word} {}", session.output.app(&self.transfer));
        let answer = || client.send(Method::PATCH, &self.path(), &body);
        session.output.action(&message, answer, |_, _: &AppTransfer| None)?;
        Ok(())
    }

    fn cancel(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let message = format!("Taking back the offer of {}", session.output.app(&self.transfer));
        session.output.action(&message, || client.delete(&self.path()), |_, ()| None)
    }
}
