//! People with an account on this server, and invitations to it.

use super::authorization;
use crate::convention::audit::{Peer, RequestId};
use crate::convention::{
    ApiError, ApiResult, BaseUrl, Caller, Control, Endpoints, JsonBody, Needs, RangeHeader, time,
};
use crate::heroku::account;
use axum::extract::Path;
use axum::response::Response;
use axum::{Extension, Json};
use http::StatusCode;
use windlass_control::Platform;
use windlass_control::records::{self, Activity, User};
use windlass_wire::{
    Account, AccountUpdate, Invitation, InvitationAccept, InvitationAccepted, InvitationCreate,
    NamedUser, UserReference,
};

pub(super) fn endpoints() -> Endpoints {
    use Needs::{Found, Nobody, Owner};
    Endpoints::new()
        .get("/users", Owner, list)
        .get("/users/{user}", Found, info)
        .patch("/users/{user}", Found, update)
        .delete("/users/{user}", Owner, remove)
        .delete("/users/{user}/two-factor", Owner, reset_second_factor)
        .delete("/users/{user}/passkeys", Owner, reset_passkeys)
        .get("/invitations", Owner, invitations)
        .post("/invitations", Owner, invite)
        .delete("/invitations/{invitation}", Owner, withdraw)
        .get("/invitations/{invitation}", Nobody, explain)
        .post("/invitations/actions/accept", Nobody, accept)
}

pub(super) fn named(user: &User) -> NamedUser {
    NamedUser { id: user.id.to_string(), email: user.email.clone(), name: user.name.clone() }
}

async fn list(Control(platform): Control, range: RangeHeader) -> ApiResult<Response> {
    let mut all = Vec::new();
    for user in platform.users()? {
        all.push(account::shape(&platform, user)?);
    }
    Ok(range.answer(all))
}

async fn info(
    caller: Caller,
    Control(platform): Control,
    Path(user): Path<String>,
) -> ApiResult<Json<Account>> {
    Ok(Json(account::shape(&platform, visible(&platform, &caller, &user)?)?))
}

async fn update(
    caller: Caller,
    Control(platform): Control,
    Path(user): Path<String>,
    JsonBody(body): JsonBody<AccountUpdate>,
) -> ApiResult<Json<Account>> {
    let user = visible(&platform, &caller, &user)?;
    account::change(&platform, &user, &body).map(Json)
}

/// Everybody sees themselves; the server's owner sees everybody.
fn visible(platform: &Platform, caller: &Caller, identity: &str) -> ApiResult<User> {
    let user = platform.user_named(&caller.user, identity)?;
    if user.id == caller.user.id || platform.is_owner(&caller.user)? {
        return Ok(user);
    }
    Err(ApiError::not_found("user"))
}

async fn remove(
    caller: Caller,
    Control(platform): Control,
    Path(user): Path<String>,
) -> ApiResult<Json<Account>> {
    let user = platform.user_named(&caller.user, &user)?;
    let last = account::shape(&platform, user.clone())?;
    platform.remove_user(&caller.user, &user)?;
    Ok(Json(last))
}

async fn reset_second_factor(
    caller: Caller,
    Control(platform): Control,
    Path(user): Path<String>,
) -> ApiResult<Json<Account>> {
    let user = platform.user_named(&caller.user, &user)?;
    platform.reset_second_factor(&caller.user, &user)?;
    Ok(Json(account::shape(&platform, user)?))
}

async fn reset_passkeys(
    caller: Caller,
    Control(platform): Control,
    Path(user): Path<String>,
) -> ApiResult<Json<Account>> {
    let user = platform.user_named(&caller.user, &user)?;
    platform.reset_passkeys(&caller.user, &user)?;
    Ok(Json(account::shape(&platform, user)?))
}

async fn invitations(Control(platform): Control, range: RangeHeader) -> ApiResult<Response> {
    let open = platform.invitations(None)?;
    let shapes: ApiResult<Vec<_>> = open.iter().map(|one| shape(&platform, one)).collect();
    Ok(range.answer(shapes?))
}

async fn invite(
    caller: Caller,
    Control(platform): Control,
    base: BaseUrl,
    JsonBody(body): JsonBody<InvitationCreate>,
) -> ApiResult<(StatusCode, Json<Invitation>)> {
    let made = platform.invite(&caller.user, &body.email, None)?;
    let mut shape = shape(&platform, &made.invitation)?;
    shape.url = Some(format!("{}/invitations/{}", base.0, made.secret));
    shape.token = Some(made.secret);
    Ok((StatusCode::CREATED, Json(shape)))
}

async fn withdraw(
    Control(platform): Control,
    Path(invitation): Path<String>,
) -> ApiResult<Json<Invitation>> {
    Ok(Json(shape(&platform, &platform.withdraw_invitation(None, &invitation)?)?))
}

/// What whoever opens the link in a browser reads.
async fn explain(
    Control(platform): Control,
    Path(secret): Path<String>,
    base: BaseUrl,
) -> ApiResult<String> {
    let invitation = platform.invitation(&secret)?;
    let by = platform.user(invitation.invited_by)?;
    Ok(format!(
        "{} invites you, {}, to the Windlass server {}.\n\nInstall the command line and run:\n\n    windlass invitations:accept {}/invitations/{secret}\n\nThe link is good once, until {}.\n",
        by.email,
        invitation.email,
        base.0,
        base.0,
        time(invitation.expires_at),
    ))
}

async fn accept(
    Control(platform): Control,
    peer: Option<Extension<Peer>>,
    request: Option<Extension<RequestId>>,
    JsonBody(body): JsonBody<InvitationAccept>,
) -> ApiResult<(StatusCode, Json<InvitationAccepted>)> {
    let came = platform.accept_as_newcomer(&body.token, body.name.as_deref())?;
    platform.record_activity(Activity {
        at: came.token.created_at,
        user: came.user.id,
        email: came.user.email.clone(),
        token: None,
        app: None,
        action: "POST /invitations/actions/accept".to_owned(),
        address: peer.map(|Extension(peer)| peer.0.to_string()),
        request: request.map(|Extension(id)| id.0),
    });
    let authorization = authorization::shape(&came.user, came.token, Some(came.secret));
    Ok((StatusCode::CREATED, Json(InvitationAccepted { user: named(&came.user), authorization })))
}

fn shape(platform: &Platform, invitation: &records::Invitation) -> ApiResult<Invitation> {
    let by = platform.user(invitation.invited_by)?;
    Ok(Invitation {
        id: invitation.id.to_string(),
        email: invitation.email.clone(),
        invited_by: UserReference { id: by.id.to_string(), email: by.email },
        created_at: time(invitation.created_at),
        expires_at: time(invitation.expires_at),
        token: None,
        url: None,
    })
}
