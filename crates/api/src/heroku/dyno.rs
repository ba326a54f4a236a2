//! Dynos: the instances that run, and one-off processes.

use super::{app_reference, fixed, formation};
use crate::convention::ApiError;
use crate::convention::{
    ApiResult, AppOfCaller, BaseUrl, Control, JsonBody, RangeHeader, time, to_the_end,
};
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use windlass_control::records::{App, User};
use windlass_control::run::{ExecLine, ExecRequest, InstanceView, OneOffRequest, Selection};
use windlass_control::{Platform, Result};
use windlass_core::instance::TerminalSize;
use windlass_wire::{Dyno, DynoCreate, DynoExec, ExecCommand, ReleaseReference};

/// What a terminal has when its client does not say: the size of the classic ones.
const DEFAULT_TERMINAL: TerminalSize = TerminalSize { rows: 24, columns: 80 };

pub(super) async fn list(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    Ok(range.answer(all(&platform, &app).await?))
}

pub(super) async fn all(platform: &Platform, app: &App) -> Result<Vec<Dyno>> {
    let instances = platform.instances(app).await?;
    let mut releases = Releases::new(platform, app);
    instances.into_iter().map(|view| shape(app, &mut releases, view)).collect()
}

pub(super) async fn info(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<Json<Dyno>> {
    let view = find(&platform, &app, &name).await?;
    Ok(Json(shape(&app, &mut Releases::new(&platform, &app), view)?))
}

pub(super) async fn create(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    base: BaseUrl,
    JsonBody(body): JsonBody<DynoCreate>,
) -> ApiResult<(StatusCode, Json<Dyno>)> {
    let terminal = terminal(body.attach, body.force_no_tty, &body.env);
    let request = OneOffRequest {
        command: body.command,
        attach: body.attach,
        environment: environment(body.env),
        terminal,
        time_limit: body.time_to_live.map(std::time::Duration::from_secs),
        size: fixed::size_name(body.size.map(Value::String).as_ref())?,
    };
    let (control, its_app) = (platform.clone(), app.clone());
    let one_off =
        to_the_end(async move { control.run_one_off(&user, &its_app, request).await }).await?;
    let mut dyno = shape(&app, &mut Releases::new(&platform, &app), one_off.view)?;
    say_where_to_attach(&mut dyno, &base, one_off.attach_secret);
    Ok((StatusCode::CREATED, Json(dyno)))
}

/// Runs a command inside a dyno; the client attaches as to a one-off.
pub(super) async fn exec(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
    base: BaseUrl,
    JsonBody(body): JsonBody<DynoExec>,
) -> ApiResult<(StatusCode, Json<Dyno>)> {
    let request = ExecRequest {
        command: match body.command {
            Some(ExecCommand::Line(line)) => ExecLine::Line(line),
            Some(ExecCommand::Words(words)) => ExecLine::Words(words),
            None => ExecLine::Shell,
        },
        terminal: terminal(true, body.force_no_tty, &body.env),
        environment: environment(body.env),
    };
    let view = find(&platform, &app, &name).await?;
    let prepared = platform.exec(&user, &app, view, request).await?;
    let mut dyno = shape(&app, &mut Releases::new(&platform, &app), prepared.view)?;
    say_where_to_attach(&mut dyno, &base, prepared.attach_secret);
    Ok((StatusCode::CREATED, Json(dyno)))
}

/// Names both ways to attach: that of Heroku's clients, and ours.
fn say_where_to_attach(dyno: &mut Dyno, base: &BaseUrl, secret: Option<String>) {
    let Some(secret) = secret else { return };
    dyno.attach_url = Some(format!("rendezvous://{}/{secret}", base.host_and_port()));
    dyno.upgrade_url = Some(format!("{}/attach/{secret}", base.0));
}

pub(super) async fn restart_all(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
) -> ApiResult<(StatusCode, Json<Value>)> {
    restart(platform, user, app, Selection::All).await
}

pub(super) async fn restart_one(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let which = select(&platform, &app, &name).await?;
    restart(platform, user, app, which).await
}

pub(super) async fn restart_formation(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let which = Selection::Type(formation::process_type(&platform, &app, &name)?);
    restart(platform, user, app, which).await
}

pub(super) async fn stop(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let which = select(&platform, &app, &name).await?;
    to_the_end(async move { platform.stop_instance(&user, &app, which).await }).await?;
    Ok(accepted())
}

pub(super) async fn stop_formation(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let which = Selection::Type(formation::process_type(&platform, &app, &name)?);
    to_the_end(async move { platform.stop_instance(&user, &app, which).await }).await?;
    Ok(accepted())
}

async fn restart(
    platform: Platform,
    user: User,
    app: App,
    which: Selection,
) -> ApiResult<(StatusCode, Json<Value>)> {
    to_the_end(async move { platform.restart(&user, &app, which).await }).await?;
    Ok(accepted())
}

fn accepted() -> (StatusCode, Json<Value>) {
    (StatusCode::ACCEPTED, Json(json!({})))
}

/// Reads a dyno's name, its id, or a process type, which means all dynos of it.
async fn select(platform: &Platform, app: &App, name: &str) -> ApiResult<Selection> {
    if name.contains('.') {
        Ok(Selection::Instance(name.to_owned()))
    } else if name.parse::<uuid::Uuid>().is_ok() {
        Ok(Selection::Instance(find(platform, app, name).await?.name))
    } else {
        name.parse().map(Selection::Type).map_err(|_| ApiError::not_found("dyno"))
    }
}

async fn find(platform: &Platform, app: &App, name: &str) -> ApiResult<InstanceView> {
    let named = |view: &InstanceView| view.name == name || view.id.to_string() == name;
    platform
        .instances(app)
        .await?
        .into_iter()
        .find(named)
        .ok_or_else(|| ApiError::not_found("dyno"))
}

/// A terminal is for attached processes whose client has one: it says so by naming its type and
/// size. Heroku's CLI names the type in a pipe too; with a terminal there, input would be echoed
/// into the output and cut at 4,095 bytes a line.
fn terminal(
    attach: bool,
    force_no_tty: Option<bool>,
    env: &BTreeMap<String, Value>,
) -> Option<TerminalSize> {
    let has_size = env.contains_key("COLUMNS") || env.contains_key("LINES");
    if !attach || force_no_tty == Some(true) || !env.contains_key("TERM") || !has_size {
        return None;
    }
    let number = |name: &str| {
        let text = env.get(name).map(text)?;
        text.parse::<u16>().ok().filter(|number| *number > 0)
    };
    Some(TerminalSize {
        rows: number("LINES").unwrap_or(DEFAULT_TERMINAL.rows),
        columns: number("COLUMNS").unwrap_or(DEFAULT_TERMINAL.columns),
    })
}

/// The terminal's size is the terminal's to tell: as variables it would be wrong after a resize.
fn environment(env: BTreeMap<String, Value>) -> BTreeMap<String, String> {
    let kept = env
        .into_iter()
        .filter(|(name, value)| name != "LINES" && name != "COLUMNS" && !value.is_null());
    kept.map(|(name, value)| (name, text(&value))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Looks the releases that dynos belong to up once each.
struct Releases<'a> {
    platform: &'a Platform,
    app: &'a App,
    known: HashMap<u32, String>,
}

impl<'a> Releases<'a> {
    fn new(platform: &'a Platform, app: &'a App) -> Self {
        Self { platform, app, known: HashMap::new() }
    }

    fn reference(&mut self, version: u32) -> Result<ReleaseReference> {
        let id = match self.known.get(&version) {
            Some(id) => id.clone(),
            None => {
                let id = self.platform.release(self.app, &version.to_string())?.id.to_string();
                self.known.insert(version, id.clone());
                id
            }
        };
        Ok(ReleaseReference { id, version })
    }
}

fn shape(app: &App, releases: &mut Releases<'_>, view: InstanceView) -> Result<Dyno> {
    Ok(Dyno {
        id: view.id.to_string(),
        process_type: view.process.to_string(),
        state: view.state.as_str().to_owned(),
        command: view.command,
        size: view.size.to_owned(),
        reason: view.reason,
        attach_url: None,
        upgrade_url: None,
        app: app_reference(app),
        release: releases.reference(view.release)?,
        created_at: time(view.created_at),
        updated_at: time(view.updated_at),
        name: view.name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, Value)]) -> BTreeMap<String, Value> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    #[test]
    fn terminals_are_for_clients_that_have_one() {
        let full =
            env(&[("TERM", json!("xterm")), ("COLUMNS", json!(120)), ("LINES", json!("40"))]);
        assert_eq!(terminal(true, None, &full), Some(TerminalSize { rows: 40, columns: 120 }));
        assert_eq!(terminal(false, None, &full), None);
        assert_eq!(terminal(true, Some(true), &full), None);
        assert_eq!(terminal(true, None, &env(&[])), None);
        assert_eq!(terminal(true, None, &env(&[("TERM", json!("xterm"))])), None, "in a pipe");
        let odd = env(&[("TERM", json!("xterm")), ("COLUMNS", json!(0)), ("LINES", json!("many"))]);
        assert_eq!(terminal(true, None, &odd), Some(DEFAULT_TERMINAL));
    }

    #[test]
    fn numbers_in_the_environment_are_text() {
        let environment =
            environment(env(&[("A", json!(1)), ("COLUMNS", json!(80)), ("B", json!("x"))]));
        assert_eq!(
            environment,
            BTreeMap::from([("A".into(), "1".into()), ("B".into(), "x".into())])
        );
    }
}
