//! Teams, their members and their invitations.

use super::user::named;
use super::{Users, app};
use crate::convention::{
    ApiError, ApiResult, BaseUrl, Caller, Control, Endpoints, JsonBody, Needs, RangeHeader,
    derived_id, time,
};
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use windlass_control::access::TeamOfUser;
use windlass_control::records::{self, App, Invitation, Membership};
use windlass_control::{Platform, PlatformError, Result};
use windlass_core::access::TeamRole;
use windlass_wire::{
    NamedUser, Reference, Team, TeamInvitation, TeamMember, TeamMemberPut, TeamName, UserReference,
};

/// Clients tell the apps of a team by the domain of their owner's address, and cut the team's
/// name out of it.
const MANAGER_DOMAIN: &str = "herokumanager.com";

pub(super) fn endpoints() -> Endpoints {
    use Needs::{Anybody, Found};
    Endpoints::new()
        .get("/teams", Anybody, list)
        .post("/teams", Anybody, create)
        .get("/teams/{team}", Found, info)
        .patch("/teams/{team}", Found, update)
        .delete("/teams/{team}", Found, remove)
        .get("/teams/{team}/features", Found, features)
        .get("/teams/{team}/members", Found, members)
        .put("/teams/{team}/members", Found, put_member)
        .post("/teams/{team}/members", Found, create_member)
        .patch("/teams/{team}/members", Found, update_member)
        .delete("/teams/{team}/members/{member}", Found, remove_member)
        .get("/teams/{team}/members/{member}/apps", Found, apps_of_member)
        .get("/teams/{team}/invitations", Found, invitations)
        .put("/teams/{team}/invitations", Found, invite)
        .delete("/teams/{team}/invitations/{invitation}", Found, withdraw)
        .get("/teams/invitations/{token}", Found, invitation)
        .post("/teams/invitations/{token}/accept", Found, accept)
}

/// Returns whom an app is of: a person, or a team in a form that clients know.
pub(super) fn owner_of(platform: &Platform, app: &App) -> Result<UserReference> {
    match platform.team_of_app(app)? {
        Some(team) => Ok(manager(&team)),
        None => Users::new(platform).reference(app.owner),
    }
}

/// Returns the person that clients take for a team.
pub(super) fn manager(team: &records::Team) -> UserReference {
    let email = format!("{}@{MANAGER_DOMAIN}", team.name);
    UserReference { id: team.id.to_string(), email }
}

pub(super) fn reference(team: &records::Team) -> Reference {
    Reference { id: team.id.to_string(), name: team.name.clone() }
}

async fn list(
    caller: Caller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    let teams = platform.teams(&caller.user)?;
    Ok(range.answer(teams.iter().map(shape).collect()))
}

async fn create(
    caller: Caller,
    Control(platform): Control,
    JsonBody(body): JsonBody<TeamName>,
) -> ApiResult<(StatusCode, Json<Team>)> {
    let name = body.name.ok_or_else(|| ApiError::invalid("A team needs a `name`."))?;
    let team = platform.create_team(&caller.user, &name)?;
    Ok((StatusCode::CREATED, Json(shape(&team))))
}

async fn info(
    caller: Caller,
    Control(platform): Control,
    Path(team): Path<String>,
) -> ApiResult<Json<Team>> {
    Ok(Json(shape(&platform.team(&caller.user, &team)?)))
}

async fn update(
    caller: Caller,
    Control(platform): Control,
    Path(team): Path<String>,
    JsonBody(body): JsonBody<TeamName>,
) -> ApiResult<Json<Team>> {
    let mut team = platform.team(&caller.user, &team)?;
    team.require(TeamRole::Admin)?;
    if let Some(name) = body.name {
        team.team = platform.rename_team(&team, &name)?;
    }
    Ok(Json(shape(&team)))
}

async fn remove(
    caller: Caller,
    Control(platform): Control,
    Path(team): Path<String>,
) -> ApiResult<Json<Team>> {
    let team = platform.team(&caller.user, &team)?;
    platform.delete_team(&team)?;
    Ok(Json(shape(&team)))
}

/// Clients look for one by which members would have to be invited; without it they are added.
async fn features(
    caller: Caller,
    Control(platform): Control,
    Path(team): Path<String>,
    range: RangeHeader,
) -> ApiResult<Response> {
    platform.team(&caller.user, &team)?;
    Ok(range.answer(Vec::<Reference>::new()))
}

async fn members(
    caller: Caller,
    Control(platform): Control,
    Path(team): Path<String>,
    range: RangeHeader,
) -> ApiResult<Response> {
    let team = platform.team(&caller.user, &team)?.team;
    let mut all = Vec::new();
    for member in platform.members(&team)? {
        all.push(member_shape(&platform, &member)?);
    }
    for outsider in platform.outsiders(&team)? {
        let id = derived_id(team.id.0, &outsider.user.id.to_string()).to_string();
        let (since, changed) = (outsider.created_at, outsider.updated_at);
        let user = &outsider.user;
        all.push(member_of(&platform, id, user, "collaborator", since, changed)?);
    }
    Ok(range.answer(all))
}

async fn put_member(
    caller: Caller,
    Control(platform): Control,
    Path(team): Path<String>,
    JsonBody(body): JsonBody<TeamMemberPut>,
) -> ApiResult<Json<TeamMember>> {
    let team = platform.team(&caller.user, &team)?;
    let role = role(&body.role)?;
    let member = platform.put_member(&caller.user, &team, &body.email, role)?;
    Ok(Json(member_shape(&platform, &member)?))
}

async fn create_member(
    caller: Caller,
    Control(platform): Control,
    Path(team): Path<String>,
    JsonBody(body): JsonBody<TeamMemberPut>,
) -> ApiResult<(StatusCode, Json<TeamMember>)> {
    let team = platform.team(&caller.user, &team)?;
    let role = role(&body.role)?;
    if platform.member(&caller.user, &team.team, &body.email).is_ok() {
        let message = format!("{} is in the team {} already.", body.email, team.team.name);
        return Err(ApiError::invalid(message));
    }
    let member = platform.put_member(&caller.user, &team, &body.email, role)?;
    Ok((StatusCode::CREATED, Json(member_shape(&platform, &member)?)))
}

async fn update_member(
    caller: Caller,
    Control(platform): Control,
    Path(team): Path<String>,
    JsonBody(body): JsonBody<TeamMemberPut>,
) -> ApiResult<Json<TeamMember>> {
    let team = platform.team(&caller.user, &team)?;
    team.require(TeamRole::Admin)?;
    let role = role(&body.role)?;
    let member = platform.member(&caller.user, &team.team, &body.email)?;
    let member = platform.put_member(&caller.user, &team, &member.user.email, role)?;
    Ok(Json(member_shape(&platform, &member)?))
}

async fn remove_member(
    caller: Caller,
    Control(platform): Control,
    Path((team, member)): Path<(String, String)>,
) -> ApiResult<Json<TeamMember>> {
    let team = platform.team(&caller.user, &team)?;
    let removed = platform.remove_member(&caller.user, &team, &member)?;
    Ok(Json(member_shape(&platform, &removed)?))
}

/// The team's apps that a member sees, of those that the one who asks sees too.
async fn apps_of_member(
    caller: Caller,
    Control(platform): Control,
    Path((team, member)): Path<(String, String)>,
    base: BaseUrl,
    range: RangeHeader,
) -> ApiResult<Response> {
    let team = platform.team(&caller.user, &team)?.team;
    let member = platform.member(&caller.user, &team, &member)?;
    let mut apps = platform.apps_of_team(&caller.user, &team)?;
    let theirs = platform.apps_of_team(&member.user, &team)?;
    apps.retain(|app| theirs.iter().any(|one| one.id == app.id));
    let shapes: Result<Vec<_>> =
        apps.iter().map(|one| app::team_shape(&platform, &base, &member.user, one)).collect();
    Ok(range.answer(shapes?))
}

async fn invitations(
    caller: Caller,
    Control(platform): Control,
    Path(team): Path<String>,
    range: RangeHeader,
) -> ApiResult<Response> {
    let team = platform.team(&caller.user, &team)?.team;
    let open = platform.invitations(Some(&team))?;
    let shapes: ApiResult<Vec<_>> =
        open.iter().map(|one| invitation_shape(&platform, &team, one)).collect();
    Ok(range.answer(shapes?))
}

async fn invite(
    caller: Caller,
    Control(platform): Control,
    Path(team): Path<String>,
    base: BaseUrl,
    JsonBody(body): JsonBody<TeamMemberPut>,
) -> ApiResult<Json<TeamInvitation>> {
    let team = platform.team(&caller.user, &team)?;
    team.require(TeamRole::Admin)?;
    let made = platform.invite(&caller.user, &body.email, Some((&team.team, role(&body.role)?)))?;
    let mut shape = invitation_shape(&platform, &team.team, &made.invitation)?;
    shape.url = Some(format!("{}/invitations/{}", base.0, made.secret));
    shape.token = Some(made.secret);
    Ok(Json(shape))
}

async fn withdraw(
    caller: Caller,
    Control(platform): Control,
    Path((team, invitation)): Path<(String, String)>,
) -> ApiResult<Json<TeamInvitation>> {
    let team = platform.team(&caller.user, &team)?;
    team.require(TeamRole::Admin)?;
    let withdrawn = platform.withdraw_invitation(Some(&team.team), &invitation)?;
    Ok(Json(invitation_shape(&platform, &team.team, &withdrawn)?))
}

/// Whoever has the secret may read what it is for.
async fn invitation(
    _caller: Caller,
    Control(platform): Control,
    Path(secret): Path<String>,
) -> ApiResult<Json<TeamInvitation>> {
    let found = platform.invitation(&secret)?;
    let team = team_of(&platform, &found)?;
    Ok(Json(invitation_shape(&platform, &team, &found)?))
}

async fn accept(
    caller: Caller,
    Control(platform): Control,
    Path(secret): Path<String>,
) -> ApiResult<Json<TeamMember>> {
    let found = platform.invitation(&secret)?;
    let team = team_of(&platform, &found)?;
    platform.accept_invitation(&caller.user, &secret)?;
    let member = platform.member(&caller.user, &team, "~")?;
    Ok(Json(member_shape(&platform, &member)?))
}

fn team_of(platform: &Platform, invitation: &Invitation) -> ApiResult<records::Team> {
    let missing = || ApiError::not_found("invitation");
    let (id, _) = invitation.team.ok_or_else(missing)?;
    platform.team_of_invitation(id)?.ok_or_else(missing)
}

fn role(text: &str) -> Result<TeamRole> {
    text.parse().map_err(PlatformError::from)
}

fn shape(TeamOfUser { team, role }: &TeamOfUser) -> Team {
    Team {
        id: team.id.to_string(),
        name: team.name.clone(),
        credit_card_collections: false,
        default: false,
        enterprise_account: None,
        identity_provider: None,
        membership_limit: None,
        provisioned_licenses: false,
        role: Some(role.as_str().to_owned()),
        kind: "team".to_owned(),
        created_at: time(team.created_at),
        updated_at: time(team.updated_at),
    }
}

fn member_shape(platform: &Platform, member: &Membership) -> Result<TeamMember> {
    let (id, role) = (member.id.to_string(), member.role.as_str());
    member_of(platform, id, &member.user, role, member.created_at, member.updated_at)
}

fn member_of(
    platform: &Platform,
    id: String,
    user: &records::User,
    role: &str,
    created_at: u64,
    updated_at: u64,
) -> Result<TeamMember> {
    Ok(TeamMember {
        id,
        email: user.email.clone(),
        federated: false,
        identity_provider: None,
        role: Some(role.to_owned()),
        two_factor_authentication: platform.has_second_factor(user.id)?,
        user: named(user),
        created_at: time(created_at),
        updated_at: time(updated_at),
    })
}

fn invitation_shape(
    platform: &Platform,
    team: &records::Team,
    invitation: &Invitation,
) -> ApiResult<TeamInvitation> {
    let invited_by = platform.user(invitation.invited_by)?;
    // Somebody without an account has no id yet; the same one is given every time.
    let known = platform.user_named(&invited_by, &invitation.email);
    let user = known.map_or_else(
        |_| NamedUser {
            id: derived_id(invitation.id.0, "user").to_string(),
            email: invitation.email.clone(),
            name: None,
        },
        |user| named(&user),
    );
    Ok(TeamInvitation {
        id: invitation.id.to_string(),
        invited_by: named(&invited_by),
        team: reference(team),
        role: invitation.team.map(|(_, role)| role.as_str().to_owned()),
        user,
        created_at: time(invitation.created_at),
        updated_at: time(invitation.created_at),
        expires_at: time(invitation.expires_at),
        token: None,
        url: None,
    })
}
