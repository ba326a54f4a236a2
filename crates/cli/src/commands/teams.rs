//! `windlass teams`, `members` and their families

use crate::arguments::{JsonArguments, ServerArguments};
use crate::client::{Range, encoded};
use crate::error::Result;
use crate::output::Table;
use crate::session::Session;
use windlass_wire::{App, Team, TeamInvitation, TeamMember, TeamMemberPut, TeamName};

const PATH: &str = "/teams";

/// Commands about teams and who is in them.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum TeamsCommand {
    /// List your teams
    #[command(name = "teams", aliases = ["teams:list", "orgs"])]
    List(List),
    /// Make a team, whose admin you are
    #[command(name = "teams:create")]
    Create(Named),
    /// Give a team another name
    #[command(name = "teams:rename")]
    Rename(Rename),
    /// Delete a team that has no apps
    #[command(name = "teams:destroy", alias = "teams:delete")]
    Destroy(Named),
    /// List a team's apps
    #[command(name = "teams:apps")]
    Apps(OfTeam),
    /// List who is in a team, and as what
    #[command(name = "members", alias = "members:list")]
    Members(OfTeam),
    /// Let somebody into a team
    #[command(name = "members:add")]
    Add(Put),
    /// Give somebody another role in a team
    #[command(name = "members:set")]
    Set(Put),
    /// Invite somebody to a team; prints the link that lets them in
    #[command(name = "members:invite")]
    Invite(Put),
    /// Take somebody out of a team
    #[command(name = "members:remove")]
    Remove(Remove),
}

impl TeamsCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List(arguments) => arguments.run(session),
            Self::Create(arguments) => arguments.create(session),
            Self::Rename(arguments) => arguments.run(session),
            Self::Destroy(arguments) => arguments.destroy(session),
            Self::Apps(arguments) => arguments.apps(session),
            Self::Members(arguments) => arguments.members(session),
            Self::Add(arguments) | Self::Set(arguments) => arguments.put(session),
            Self::Invite(arguments) => arguments.invite(session),
            Self::Remove(arguments) => arguments.run(session),
        }
    }
}

fn team_path(team: &str, rest: &str) -> String {
    format!("{PATH}/{}{rest}", encoded(team))
}

#[derive(Clone, Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl List {
    fn run(self, session: &mut Session) -> Result<()> {
        let teams: Vec<Team> = session.client(&self.server)?.list(PATH, Range::All)?;
        if self.json.json {
            return session.output.json(&teams);
        }
        if teams.is_empty() {
            return session
                .output
                .note("You are in no team. `windlass teams:create NAME` makes one.");
        }
        let mut table = Table::new(&["Team", "Your role"]);
        for team in teams {
            table.row(vec![team.name.into(), team.role.unwrap_or_default().into()]);
        }
        session.output.table(&table)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Named {
    /// The team's name
    name: String,
    #[command(flatten)]
    server: ServerArguments,
}

impl Named {
    fn create(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let message = format!("Creating the team {}", self.name);
        let body = TeamName { name: Some(self.name) };
        session.output.action(&message, || client.post(PATH, &body), |_, _: &Team| None)?;
        Ok(())
    }

    fn destroy(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let message = format!("Deleting the team {}", self.name);
        let path = team_path(&self.name, "");
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Rename {
    /// Its name from now on
    name: String,
    /// The team
    #[arg(short, long, value_name = "TEAM")]
    team: String,
    #[command(flatten)]
    server: ServerArguments,
}

impl Rename {
    fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let message = format!("Renaming the team {} to {}", self.team, self.name);
        let body = TeamName { name: Some(self.name) };
        let path = team_path(&self.team, "");
        session.output.action(&message, || client.patch(&path, &body), |_, _: &Team| None)?;
        Ok(())
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct OfTeam {
    /// The team
    #[arg(short, long, value_name = "TEAM")]
    team: String,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl OfTeam {
    fn members(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let members: Vec<TeamMember> =
            client.list(&team_path(&self.team, "/members"), Range::All)?;
        if self.json.json {
            return session.output.json(&members);
        }
        let invited: Vec<TeamInvitation> =
            client.list(&team_path(&self.team, "/invitations"), Range::All)?;
        let mut table = Table::new(&["Who", "Role", "Two-factor"]);
        for member in members {
            let second = if member.two_factor_authentication { "yes" } else { "no" };
            let role = member.role.unwrap_or_default();
            table.row(vec![member.email.into(), role.into(), second.into()]);
        }
        for one in invited {
            let role = format!("{} (invited)", one.role.unwrap_or_default());
            table.row(vec![one.user.email.into(), role.into(), "".into()]);
        }
        session.output.table(&table)
    }

    fn apps(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let apps: Vec<serde_json::Value> =
            client.list(&team_path(&self.team, "/apps"), Range::All)?;
        if self.json.json {
            return session.output.json(&apps);
        }
        if apps.is_empty() {
            let note = format!("The team {} has no apps that you see.", self.team);
            return session.output.note(note);
        }
        let mut table = Table::new(&["App", "You have joined", "Locked"]);
        let word = |value: &serde_json::Value| if value == true { "yes" } else { "no" };
        for app in apps {
            let name = serde_json::from_value::<App>(app.clone()).map(|app| app.name);
            table.row(vec![
                name.unwrap_or_default().into(),
                word(&app["joined"]).into(),
                word(&app["locked"]).into(),
            ]);
        }
        session.output.table(&table)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Put {
    /// Their address
    email: String,
    /// What they are in it: admin, member or viewer
    #[arg(short, long, value_name = "ROLE", default_value = "member")]
    role: String,
    /// The team
    #[arg(short, long, value_name = "TEAM")]
    team: String,
    #[command(flatten)]
    server: ServerArguments,
}

impl Put {
    fn put(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let message = format!("Giving {} the role {} in {}", self.email, self.role, self.team);
        let body = TeamMemberPut { email: self.email, role: self.role };
        let path = team_path(&self.team, "/members");
        session.output.action(&message, || client.put(&path, &body), |_, _: &TeamMember| None)?;
        Ok(())
    }

    fn invite(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let body = TeamMemberPut { email: self.email, role: self.role };
        let path = team_path(&self.team, "/invitations");
        let message = format!("Inviting {} to {}", body.email, self.team);
        let made: TeamInvitation =
            session.output.action(&message, || client.put(&path, &body), |_, _| None)?;
        super::users::show_link(session, made.url.as_deref())
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Remove {
    /// Their address
    email: String,
    /// The team
    #[arg(short, long, value_name = "TEAM")]
    team: String,
    #[command(flatten)]
    server: ServerArguments,
}

impl Remove {
    fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let message = format!("Removing {} from {}", self.email, self.team);
        let path = team_path(&self.team, &format!("/members/{}", encoded(&self.email)));
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }
}
