//! Apps of teams. They are apps as all others are; these endpoints tell more about the team.

use super::{app, collaborator, fixed, stack};
use crate::convention::audit::About;
use crate::convention::{
    ApiError, ApiResult, AppOfCaller, BaseUrl, Caller, Control, Endpoints, JsonBody, MANAGE, Needs,
    RangeHeader, VIEW, to_the_end,
};
use axum::extract::Path;
use axum::response::Response;
use axum::{Extension, Json};
use http::StatusCode;
use serde_json::{Value, json};
use windlass_control::records::{App, Team};
use windlass_control::{Platform, Result};
use windlass_core::access::{Permission, Permissions, TeamRole};
use windlass_wire::{TeamAppCreate, TeamAppUpdate};

pub(super) fn endpoints() -> Endpoints {
    Endpoints::new()
        .post("/teams/apps", Needs::Found, create)
        .get("/teams/{team}/apps", Needs::Found, list)
        .get("/teams/{team}/permissions", Needs::Found, permissions)
        .get("/teams/apps/{app}", VIEW, info)
        .patch("/teams/apps/{app}", MANAGE, update)
}

async fn list(
    caller: Caller,
    Control(platform): Control,
    Path(team): Path<String>,
    base: BaseUrl,
    range: RangeHeader,
) -> ApiResult<Response> {
    let team = platform.team(&caller.user, &team)?.team;
    let apps = platform.apps_of_team(&caller.user, &team)?;
    let shapes: Result<Vec<_>> =
        apps.iter().map(|one| app::team_shape(&platform, &base, &caller.user, one)).collect();
    Ok(range.answer(shapes?))
}

/// Says of each app that the caller sees who may do what with it.
async fn permissions(
    caller: Caller,
    Control(platform): Control,
    Path(team): Path<String>,
    range: RangeHeader,
) -> ApiResult<Response> {
    let team = platform.team(&caller.user, &team)?.team;
    let apps = platform.apps_of_team(&caller.user, &team)?;
    let entities: Result<Vec<_>> =
        apps.iter().map(|app| permission_entity(&platform, &team, app)).collect();
    Ok(range.answer(entities?))
}

fn permission_entity(platform: &Platform, team: &Team, app: &App) -> Result<Value> {
    let added = collaborator::of_app(platform, app)?;
    let members = platform.members(team)?.into_iter();
    let admins = members.filter(|member| member.role == TeamRole::Admin).map(|member| member.user);
    let names: Vec<_> = Permissions::all().iter().map(Permission::as_str).collect();
    let mut users: Vec<Value> = admins
        .filter(|user| added.iter().all(|one| one.user.email != user.email))
        .map(|user| json!({"id": user.id, "email": user.email, "permissions": names}))
        .collect();
    users.extend(added.into_iter().map(|one| {
        let names: Vec<_> = one.permissions.into_iter().map(|one| one.name).collect();
        json!({"id": one.user.id, "email": one.user.email, "permissions": names})
    }));
    Ok(json!({
        "id": app.id, "name": app.name.as_str(), "team_id": team.id, "type": "app", "users": users,
    }))
}

async fn create(
    Caller { user, .. }: Caller,
    Control(platform): Control,
    base: BaseUrl,
    JsonBody(body): JsonBody<TeamAppCreate>,
) -> ApiResult<(StatusCode, Extension<About>, Json<Value>)> {
    fixed::check_region(body.region.as_deref())?;
    let stack = stack::named(body.stack.as_deref())?;
    if body.space.is_some() {
        return Err(ApiError::invalid("There are no spaces here: leave `space` out."));
    }
    let team = match &body.team {
        Some(team) if body.personal != Some(true) => Some(platform.team(&user, team)?),
        _ => None,
    };
    let (control, by) = (platform.clone(), user.clone());
    let change = async move {
        let name = body.name.as_deref();
        let app = match team {
            Some(team) => {
                let locked = body.locked.unwrap_or_default();
                control.create_team_app(&by, &team, name, locked).await?
            }
            None => control.create_app(&by, name).await?,
        };
        if let Some(stack) = stack {
            control.set_build_stack(&by, &app, stack)?;
        }
        Ok(app)
    };
    let made = to_the_end(change).await?;
    let shape = app::team_shape(&platform, &base, &user, &made)?;
    Ok((StatusCode::CREATED, Extension(About(made)), Json(shape)))
}

async fn info(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    base: BaseUrl,
) -> ApiResult<Json<Value>> {
    Ok(Json(app::team_shape(&platform, &base, &user, &app)?))
}

async fn update(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    base: BaseUrl,
    JsonBody(body): JsonBody<TeamAppUpdate>,
) -> ApiResult<Json<Value>> {
    let mut changed = app;
    if let Some(locked) = body.locked {
        changed = platform.lock_app(&user, &changed, locked)?;
    }
    if let Some(owner) = &body.owner {
        changed = platform.hand_over_app(&user, &changed, owner)?;
    }
    Ok(Json(app::team_shape(&platform, &base, &user, &changed)?))
}
