//! Heroku's exec manager: it lets the key in with which its CLI then connects by SSH, for
//! `ps:exec`, `ps:copy`, `ps:forward` and `ps:socks`. The app's name comes as the user name of
//! Basic credentials, the token as the password.

use crate::convention::audit::About;
use crate::convention::auth::name;
use crate::convention::{ApiError, ApiResult, BaseUrl, Caller, Control, JsonBody, RangeHeader};
use crate::key::parse_public_key;
use crate::ssh::{HOST_KEY_FILE, public_host_key};
use axum::extract::Path;
use axum::response::Response;
use axum::{Extension, Json};
use http::HeaderMap;
use windlass_control::records::App;
use windlass_control::{Platform, TunnelHost};
use windlass_core::access::Permission;
use windlass_wire::{ExecAccess, ExecDyno, ExecKey};

/// Where commands can be run.
pub(super) async fn list(
    caller: Caller,
    Control(platform): Control,
    headers: HeaderMap,
    range: RangeHeader,
) -> ApiResult<Response> {
    let app = app_of(&platform, &caller, &headers)?;
    let names = platform.exec_names(&app).await?;
    Ok(range.answer(names.into_iter().map(|dyno_name| ExecDyno { dyno_name }).collect()))
}

/// Lets a key in for one dyno, for a minute.
pub(super) async fn let_in(
    caller: Caller,
    Control(platform): Control,
    Path(dyno): Path<String>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<ExecKey>,
) -> ApiResult<(Extension<About>, Json<ExecAccess>)> {
    let app = app_of(&platform, &caller, &headers)?;
    let settings = platform.settings();
    let tunnel_host = match &settings.exec_tunnel_host {
        TunnelHost::Off => {
            return Err(ApiError::invalid(
                "This server takes no SSH connections into dynos (exec.tunnel_host or ssh.listen is off): use windlass ps:exec.",
            ));
        }
        TunnelHost::Asked => BaseUrl::host_of_server(&headers, &settings.api_url),
        TunnelHost::Named(host) => host.clone(),
    };
    let host_key = settings.data_directory.join(HOST_KEY_FILE);
    let proxy_public_key = public_host_key(&host_key).map_err(|error| {
        tracing::error!(%error, "the SSH host key cannot be told");
        ApiError::internal()
    })?;
    let key =
        parse_public_key(&body.client_key).map_err(|error| ApiError::invalid(error.to_string()))?;
    let fingerprint = key.fingerprint_sha256;
    let holder = (&caller.user, &caller.token);
    let login = platform.let_exec_key_in(holder, &app, &dyno, fingerprint).await?;
    let access = ExecAccess {
        tunnel_host,
        client_user: login.login,
        proxy_public_key,
        dyno_ip: login.address.map(|address| address.to_string()).unwrap_or_default(),
    };
    Ok((Extension(About(app)), Json(access)))
}

fn app_of(platform: &Platform, caller: &Caller, headers: &HeaderMap) -> ApiResult<App> {
    let name = name(headers).ok_or_else(|| {
        ApiError::invalid("Send the app's name as the user name of Basic credentials.")
    })?;
    Ok(platform.app_to(&caller.user, &name, Permission::Operate)?)
}
