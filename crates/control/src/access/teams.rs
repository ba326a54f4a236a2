//! Teams: who is in them and as what.

use crate::platform::now_ms;
use crate::records::{App, Collaborator, Membership, Team, User};
use crate::{Platform, PlatformError, Result};
use windlass_core::access::{Permissions, TeamRole, UnknownPermission, UnknownRole};
use windlass_core::ids::TeamId;
use windlass_core::limits::TEAMS_PER_USER;
use windlass_core::people::TeamName;

impl From<UnknownRole> for PlatformError {
    fn from(error: UnknownRole) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<UnknownPermission> for PlatformError {
    fn from(error: UnknownPermission) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// A team with what the one who asks is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamOfUser {
    pub team: Team,
    /// The server's owner counts as an admin of every team.
    pub role: TeamRole,
}

impl TeamOfUser {
    /// Refuses whoever has a lower role.
    ///
    /// # Errors
    /// [`PlatformError::Forbidden`], which names the role that is needed.
    pub fn require(&self, role: TeamRole) -> Result<()> {
        if self.role >= role {
            return Ok(());
        }
        Err(PlatformError::Forbidden(format!(
            "You are a {} of the team {}; this needs the role {role}.",
            self.role, self.team.name
        )))
    }
}

impl Platform {
    /// Makes a team whose first admin is `user`.
    pub fn create_team(&self, user: &User, name: &str) -> Result<TeamOfUser> {
        let name: TeamName = name.parse()?;
        if self.store().given(user.id)?.teams.len() >= TEAMS_PER_USER {
            let message = format!("You are in {TEAMS_PER_USER} teams already: leave one first.");
            return Err(PlatformError::Invalid(message));
        }
        let now = now_ms();
        let team = Team {
            id: TeamId::random(),
            name: name.as_str().to_owned(),
            created_at: now,
            updated_at: now,
        };
        self.store().insert_team(&team, user.id)?;
        Ok(TeamOfUser { team, role: TeamRole::Admin })
    }

    /// Returns the teams that somebody is in, by name; all of them for the server's owner.
    pub fn teams(&self, user: &User) -> Result<Vec<TeamOfUser>> {
        let (owner, given) = (self.is_owner(user)?, self.store().given(user.id)?);
        let role = |team: &Team| match given.teams.get(&team.id) {
            _ if owner => Some(TeamRole::Admin),
            role => role.copied(),
        };
        let teams = self.store().teams()?.into_iter();
        Ok(teams.filter_map(|team| role(&team).map(|role| TeamOfUser { team, role })).collect())
    }

    /// Returns a team that somebody is in, by name or id.
    pub fn team(&self, user: &User, name_or_id: &str) -> Result<TeamOfUser> {
        let found = match name_or_id.parse::<TeamId>() {
            Ok(id) => self.store().team(id)?,
            Err(_) => self.store().team_by_name(name_or_id)?,
        };
        let missing = PlatformError::NotFound { resource: "team" };
        let Some(team) = found else { return Err(missing) };
        let role = self.store().given(user.id)?.teams.get(&team.id).copied();
        let role = if self.is_owner(user)? { Some(TeamRole::Admin) } else { role };
        role.map(|role| TeamOfUser { team, role }).ok_or(missing)
    }

    /// Returns the team whose app it is; for shapes, which say so to whoever sees the app.
    pub fn team_of_app(&self, app: &App) -> Result<Option<Team>> {
        match app.team {
            Some(team) => Ok(self.store().team(team)?),
            None => Ok(None),
        }
    }

    /// Returns the team that an invitation leads to, for whoever holds its secret.
    pub fn team_of_invitation(&self, id: TeamId) -> Result<Option<Team>> {
        Ok(self.store().team(id)?)
    }

    pub fn rename_team(&self, team: &TeamOfUser, name: &str) -> Result<Team> {
        team.require(TeamRole::Admin)?;
        let name: TeamName = name.parse()?;
        self.store().rename_team(team.team.id, name.as_str(), now_ms())?;
        let missing = PlatformError::NotFound { resource: "team" };
        self.store().team(team.team.id)?.ok_or(missing)
    }

    /// Deletes a team.
    ///
    /// # Errors
    /// It still has apps.
    pub fn delete_team(&self, team: &TeamOfUser) -> Result<()> {
        team.require(TeamRole::Admin)?;
        let apps = self.store().apps_of_team(team.team.id)?;
        if !apps.is_empty() {
            return Err(PlatformError::Conflict(format!(
                "The team {} still has {} apps: transfer or destroy them first.",
                team.team.name,
                apps.len()
            )));
        }
        Ok(self.store().delete_team(team.team.id)?)
    }

    pub fn members(&self, team: &Team) -> Result<Vec<Membership>> {
        Ok(self.store().members(team.id)?)
    }

    /// Returns those who were added to apps of the team without being in it.
    pub fn outsiders(&self, team: &Team) -> Result<Vec<Collaborator>> {
        Ok(self.store().outsiders(team.id)?)
    }

    /// Returns a member by id, address or user's id.
    pub fn member(&self, by: &User, team: &Team, identity: &str) -> Result<Membership> {
        let identity = if identity == "~" { by.email.as_str() } else { identity };
        let is_it = |member: &Membership| {
            member.user.email.eq_ignore_ascii_case(identity)
                || member.id.to_string() == identity
                || member.user.id.to_string() == identity
        };
        let missing = PlatformError::NotFound { resource: "member" };
        self.members(team)?.into_iter().find(is_it).ok_or(missing)
    }

    /// Lets somebody who has an account into a team, or gives them another role in it.
    ///
    /// # Errors
    /// It would leave the team without an admin.
    pub fn put_member(
        &self,
        by: &User,
        team: &TeamOfUser,
        email: &str,
        role: TeamRole,
    ) -> Result<Membership> {
        team.require(TeamRole::Admin)?;
        let user = self.user_to_add(by, email)?;
        if role != TeamRole::Admin {
            self.keep_an_admin(&team.team, &user)?;
        }
        self.store().put_member(team.team.id, user.id, role, now_ms())?;
        self.member(by, &team.team, &user.email)
    }

    /// Takes somebody out of a team; everybody may leave.
    pub fn remove_member(
        &self,
        by: &User,
        team: &TeamOfUser,
        identity: &str,
    ) -> Result<Membership> {
        let member = self.member(by, &team.team, identity)?;
        if member.user.id != by.id {
            team.require(TeamRole::Admin)?;
        }
        self.keep_an_admin(&team.team, &member.user)?;
        self.store().delete_member(team.team.id, member.user.id)?;
        Ok(member)
    }

    fn keep_an_admin(&self, team: &Team, leaving: &User) -> Result<()> {
        let members = self.members(team)?;
        let is_admin = |member: &&Membership| member.role == TeamRole::Admin;
        let mut admins = members.iter().filter(is_admin);
        if admins.next().is_some_and(|one| one.user.id == leaving.id) && admins.next().is_none() {
            return Err(PlatformError::Conflict(format!(
                "{} is the only admin of the team {}: make somebody else an admin first.",
                leaving.email, team.name
            )));
        }
        Ok(())
    }

    /// Returns a team's apps that somebody may see.
    pub fn apps_of_team(&self, user: &User, team: &Team) -> Result<Vec<App>> {
        let apps = self.apps(user)?;
        Ok(apps.into_iter().filter(|app| app.team == Some(team.id)).collect())
    }

    /// Makes an app of a team's. Whoever makes it gets all permissions on it.
    pub async fn create_team_app(
        &self,
        user: &User,
        team: &TeamOfUser,
        name: Option<&str>,
        locked: bool,
    ) -> Result<App> {
        team.require(TeamRole::Member)?;
        let app = self.create_app(user, name).await?;
        let now = now_ms();
        self.store().hand_over_app(app.id, user.id, Some(team.team.id), now)?;
        self.store().put_collaborator(app.id, user.id, Permissions::all(), now)?;
        self.store().set_app_locked(app.id, locked, now)?;
        self.store().app(app.id)?.ok_or(PlatformError::NotFound { resource: "app" })
    }
}
