//! URLs of the output of builds and releases: they need no credentials, but name who may look, and
//! carry a signature that makes them unguessable.

use crate::convention::{ApiError, ApiResult, BaseUrl};
use crate::state::ApiState;
use windlass_control::records::App;
use windlass_core::access::Permission;
use windlass_core::ids::UserId;

/// User, app, the build's or release's id, and the signature.
pub(super) type Parts = (String, String, String, String);

/// Returns the URL of one of an app's `builds` or `releases`, for a caller.
pub(super) fn url(
    state: &ApiState,
    base: &BaseUrl,
    of: &str,
    caller: UserId,
    app: &App,
    id: &str,
) -> String {
    let path = signed_part(of, &caller.to_string(), &app.id.to_string(), id);
    format!("{}{path}/{}", base.0, state.sign(&path))
}

/// Checks the signature; returns the app with which the URL's user still may do what it takes, and
/// the id.
pub(super) fn open(
    state: &ApiState,
    of: &str,
    parts: Parts,
    permission: Permission,
) -> ApiResult<(App, String)> {
    let (user, app, id, signature) = parts;
    let not_found = || ApiError::not_found("stream");
    if !state.is_signed(&signed_part(of, &user, &app, &id), &signature) {
        return Err(not_found());
    }
    let user: UserId = user.parse().map_err(|_| not_found())?;
    let user = state.platform.user(user)?;
    Ok((state.platform.app_to(&user, &app, permission)?, id))
}

fn signed_part(of: &str, user: &str, app: &str, id: &str) -> String {
    format!("/streams/{of}/{user}/{app}/{id}")
}
