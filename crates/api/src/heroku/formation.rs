//! The formation: how many instances of each process type.

use super::{app_reference, fixed};
use crate::convention::{
    ApiError, ApiResult, AppOfCaller, Control, ExactJsonBody, RangeHeader, time, to_the_end,
};
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use windlass_control::records::{App, User};
use windlass_control::release::ImageChange;
use windlass_control::run::{FormationChange, FormationView, Quantity};
use windlass_control::{Platform, records};
use windlass_core::names::ProcessType;
use windlass_wire::Formation;

/// `PATCH /apps/:app/formation`
#[derive(Deserialize)]
pub(super) struct UpdateMany {
    updates: Vec<Update>,
}

/// One process type's update. A size comes as text or as a reference, under either name.
#[derive(Deserialize)]
pub(super) struct Update {
    #[serde(rename = "type")]
    process_type: Option<String>,
    quantity: Option<Value>,
    size: Option<Value>,
    dyno_size: Option<Value>,
    /// `null` takes the process type out of the app.
    #[serde(default, deserialize_with = "present")]
    docker_image: Option<Option<String>>,
}

/// Tells `null` from what is left out.
fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

pub(super) async fn list(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    range: RangeHeader,
) -> ApiResult<Response> {
    let formation = platform.formation(&app)?;
    Ok(range.answer(formation.into_iter().map(|view| shape(&app, view)).collect()))
}

pub(super) async fn info(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
) -> ApiResult<Json<Formation>> {
    let view = find(platform.formation(&app)?, &name)?;
    Ok(Json(shape(&app, view)))
}

pub(super) async fn update_many(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    ExactJsonBody(body): ExactJsonBody<UpdateMany>,
) -> ApiResult<Json<Vec<Formation>>> {
    let mut changes = Changes::default();
    for update in body.updates {
        let name = update
            .process_type
            .clone()
            .ok_or_else(|| ApiError::invalid("Each update needs a `type`."))?;
        changes.add(&platform, &app, &name, update)?;
    }
    let formation = changes.apply(platform, user, app.clone()).await?;
    Ok(Json(formation.into_iter().map(|view| shape(&app, view)).collect()))
}

pub(super) async fn update_one(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    Path((_, name)): Path<(String, String)>,
    ExactJsonBody(update): ExactJsonBody<Update>,
) -> ApiResult<Json<Formation>> {
    let process = process_type(&platform, &app, &name)?;
    let before = platform.formation(&app)?;
    let mut changes = Changes::default();
    changes.add(&platform, &app, &name, update)?;
    let is_removed = changes.images.get(&process) == Some(&ImageChange::Remove);
    let formation = changes.apply(platform, user, app.clone()).await?;
    // What was removed is answered as it was.
    let view = find(if is_removed { before } else { formation }, process.as_str())?;
    Ok(Json(shape(&app, view)))
}

/// What a request changes: images of process types make a release first.
#[derive(Default)]
struct Changes {
    images: BTreeMap<ProcessType, ImageChange>,
    formation: Vec<FormationChange>,
}

impl Changes {
    fn add(&mut self, platform: &Platform, app: &App, name: &str, update: Update) -> ApiResult<()> {
        let process = process_type(platform, app, name)?;
        match &update.docker_image {
            Some(Some(id)) => {
                let digest = id.parse().map_err(|_| {
                    ApiError::invalid(format!(
                        "{id:?} is no image: `docker_image` is the digest of a pushed image's config."
                    ))
                })?;
                self.images.insert(process, ImageChange::Release(digest));
            }
            Some(None) => drop(self.images.insert(process, ImageChange::Remove)),
            None => {}
        }
        let change = parsed(platform, app, name, update)?;
        if change.quantity.is_some() || change.size.is_some() {
            self.formation.push(change);
        }
        Ok(())
    }

    async fn apply(
        self,
        platform: Platform,
        user: User,
        app: App,
    ) -> ApiResult<Vec<FormationView>> {
        let change = async move {
            if !self.images.is_empty() {
                platform.release_containers(&user, &app, self.images).await?;
            }
            platform.change_formation(&user, &app, self.formation).await
        };
        to_the_end(change).await
    }
}

/// Returns what to change; nothing but the process type when the update says no more.
fn parsed(
    platform: &Platform,
    app: &App,
    name: &str,
    update: Update,
) -> ApiResult<FormationChange> {
    Ok(FormationChange {
        process: process_type(platform, app, name)?,
        quantity: update.quantity.as_ref().map(quantity).transpose()?,
        size: fixed::size_name(update.size.as_ref().or(update.dyno_size.as_ref()))?,
    })
}

/// Reads a process type, or the id of a formation entry.
pub(super) fn process_type(
    platform: &Platform,
    app: &records::App,
    name: &str,
) -> ApiResult<ProcessType> {
    if let Ok(id) = name.parse::<uuid::Uuid>() {
        let view = platform.formation(app)?.into_iter().find(|view| view.id == id);
        return view.map(|view| view.process).ok_or_else(|| ApiError::not_found("formation"));
    }
    name.parse().map_err(|_| ApiError::not_found("formation"))
}

fn find(formation: Vec<FormationView>, name: &str) -> ApiResult<FormationView> {
    let named = |view: &FormationView| view.process.as_str() == name || view.id.to_string() == name;
    formation.into_iter().find(named).ok_or_else(|| ApiError::not_found("formation"))
}

/// Reads `2`, `"2"`, `"+1"` or `"-1"`.
fn quantity(value: &Value) -> ApiResult<Quantity> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return Err(invalid_quantity(value)),
    };
    let relative = value.is_string() && text.starts_with(['+', '-']);
    let parsed = if relative {
        text.parse().ok().map(Quantity::Relative)
    } else {
        text.parse().ok().map(Quantity::Absolute)
    };
    parsed.ok_or_else(|| invalid_quantity(value))
}

fn invalid_quantity(value: &Value) -> ApiError {
    ApiError::invalid(format!(
        "{value} is not a quantity: use a number like 2, or a change like +1 or -1."
    ))
}

pub(super) fn shape(app: &App, view: FormationView) -> Formation {
    let updated_at = time(view.updated_at);
    Formation {
        id: view.id.to_string(),
        process_type: view.process.to_string(),
        quantity: view.quantity,
        size: view.size.to_owned(),
        dyno_size: fixed::size_reference(view.size),
        command: view.command,
        app: app_reference(app),
        created_at: updated_at.clone(),
        updated_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quantities_are_numbers_or_text_and_may_be_relative() {
        let absolute = |value: Value| matches!(quantity(&value), Ok(Quantity::Absolute(2)));
        assert!(absolute(json!(2)));
        assert!(absolute(json!("2")));
        assert!(matches!(quantity(&json!("+1")), Ok(Quantity::Relative(1))));
        assert!(matches!(quantity(&json!("-3")), Ok(Quantity::Relative(-3))));
        for bad in [
            json!(-1),
            json!(1.5),
            json!("two"),
            json!(""),
            json!([1]),
            json!("+-1"),
            json!(5_000_000_000_u64),
        ] {
            assert!(quantity(&bad).is_err(), "{bad}");
        }
    }
}
