//! Collaborators: who else has permissions on an app. The same for apps of people and of teams.

use super::{app_reference, team};
use crate::convention::{
    ApiResult, AppOfCaller, Control, Endpoints, JsonBody, MANAGE, RangeHeader, VIEW, derived_id,
    time,
};
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use std::collections::HashMap;
use windlass_control::records::{self, App};
use windlass_control::{Platform, PlatformError, Result};
use windlass_core::access::{Permission, Permissions, TeamRole};
use windlass_core::ids::UserId;
use windlass_wire::{
    Collaborator, CollaboratorCreate, CollaboratorUpdate, CollaboratorUser, TeamAppPermission,
};

pub(super) fn endpoints() -> Endpoints {
    let endpoints =
        Endpoints::new().get("/teams/permissions", crate::convention::Needs::Anybody, permissions);
    // Joining and leaving need no more than to see the app; the platform decides the rest.
    ["/apps/{app}/collaborators", "/teams/apps/{app}/collaborators"].into_iter().fold(
        endpoints,
        |endpoints, path| {
            let one = format!("{path}/{{collaborator}}");
            endpoints
                .get(path, VIEW, list)
                .post(path, VIEW, create)
                .get(&one, VIEW, info)
                .patch(&one, MANAGE, update)
                .delete(&one, VIEW, remove)
        },
    )
}

async fn list(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    let mut all = vec![owner(&platform, &app)?];
    all.extend(of_app(&platform, &app)?);
    Ok(range.answer(all))
}

async fn info(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path(path): Path<Vec<(String, String)>>,
) -> ApiResult<Json<Collaborator>> {
    let identity = last(&path);
    let owner = owner(&platform, &app)?;
    if identity == owner.id || identity == owner.user.id || identity == owner.user.email {
        return Ok(Json(owner));
    }
    let one = platform.collaborator(&user, &app, identity)?;
    Ok(Json(shape(&app, &one, &roles(&platform, &app)?)))
}

async fn create(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    JsonBody(body): JsonBody<CollaboratorCreate>,
) -> ApiResult<(StatusCode, Json<Collaborator>)> {
    let permissions = body.permissions.as_deref().map(parsed).transpose()?;
    let made = platform.add_collaborator(&user, &app, &body.user, permissions)?;
    Ok((StatusCode::CREATED, Json(shape(&app, &made, &roles(&platform, &app)?))))
}

async fn update(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path(path): Path<Vec<(String, String)>>,
    JsonBody(body): JsonBody<CollaboratorUpdate>,
) -> ApiResult<Json<Collaborator>> {
    let permissions = parsed(&body.permissions)?;
    let changed = platform.update_collaborator(&user, &app, last(&path), permissions)?;
    Ok(Json(shape(&app, &changed, &roles(&platform, &app)?)))
}

async fn remove(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path(path): Path<Vec<(String, String)>>,
) -> ApiResult<Json<Collaborator>> {
    let removed = platform.remove_collaborator(&user, &app, last(&path))?;
    Ok(Json(shape(&app, &removed, &roles(&platform, &app)?)))
}

async fn permissions(range: RangeHeader) -> Response {
    range.answer(shapes(Permissions::all()))
}

/// Whoever the app is of stands first in the list.
fn owner(platform: &Platform, app: &App) -> Result<Collaborator> {
    let user = team::owner_of(platform, app)?;
    Ok(Collaborator {
        id: derived_id(app.id.0, "owner").to_string(),
        app: app_reference(app),
        user: CollaboratorUser { id: user.id, email: user.email, federated: false },
        role: Some("owner".to_owned()),
        permissions: shapes(Permissions::all()),
        created_at: time(app.created_at),
        updated_at: time(app.created_at),
    })
}

/// Returns everybody who was added to the app; its owner is not among them.
pub(super) fn of_app(platform: &Platform, app: &App) -> Result<Vec<Collaborator>> {
    let roles = roles(platform, app)?;
    Ok(platform.collaborators(app)?.iter().map(|one| shape(app, one, &roles)).collect())
}

/// Roles in the team that the app is of.
type Roles = HashMap<UserId, TeamRole>;

fn roles(platform: &Platform, app: &App) -> Result<Roles> {
    let Some(team) = platform.team_of_app(app)? else { return Ok(Roles::new()) };
    let members = platform.members(&team)?.into_iter();
    Ok(members.map(|member| (member.user.id, member.role)).collect())
}

/// Clients list a team's admins by themselves, and leave those out whose role here says so.
fn shape(app: &App, one: &records::Collaborator, roles: &Roles) -> Collaborator {
    let role = roles.get(&one.user.id).copied();
    let permissions = match role {
        Some(TeamRole::Admin) => Permissions::all(),
        _ => one.permissions,
    };
    Collaborator {
        id: one.id.to_string(),
        app: app_reference(app),
        user: CollaboratorUser {
            id: one.user.id.to_string(),
            email: one.user.email.clone(),
            federated: false,
        },
        role: Some(role.map_or("collaborator", TeamRole::as_str).to_owned()),
        permissions: shapes(permissions),
        created_at: time(one.created_at),
        updated_at: time(one.updated_at),
    }
}

fn shapes(permissions: Permissions) -> Vec<TeamAppPermission> {
    let description = |permission| match permission {
        Permission::View => "See the app, its releases, processes and logs",
        Permission::Deploy => "Push code and change config vars",
        Permission::Operate => "Scale, restart and run commands, and change how the app is reached",
        Permission::Manage => "Decide who has access; rename, transfer and destroy the app",
    };
    let shape = |permission: Permission| TeamAppPermission {
        name: permission.as_str().to_owned(),
        description: description(permission).to_owned(),
    };
    permissions.iter().map(shape).collect()
}

fn parsed(names: &[String]) -> Result<Permissions> {
    let parsed: std::result::Result<Permissions, _> =
        names.iter().map(|name| name.parse::<Permission>()).collect();
    parsed.map_err(PlatformError::from)
}

/// The path's last parameter: the one before is the app.
fn last(path: &[(String, String)]) -> &str {
    path.last().map_or("", |(_, value)| value)
}
