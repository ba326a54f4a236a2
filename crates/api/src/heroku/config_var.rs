//! Config vars.

use crate::convention::body::ExactJsonBody;
use crate::convention::{ApiError, ApiResult, AppOfCaller, Control, to_the_end};
use axum::Json;
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};
use windlass_wire::{ConfigVars, ConfigVarsUpdate};

/// Every process gets these from the platform, whatever config vars say.
const SET_BY_PLATFORM: [&str; 2] = ["DYNO", "PORT"];
/// Heroku's CLI and ours show what it says.
const WARNING: &str = "warning-message";

pub(super) async fn info(
    AppOfCaller { app, .. }: AppOfCaller,
    Control(platform): Control,
) -> ApiResult<Json<ConfigVars>> {
    Ok(Json(platform.config_vars(&app)?))
}

pub(super) async fn update(
    AppOfCaller { user, app }: AppOfCaller,
    Control(platform): Control,
    ExactJsonBody(body): ExactJsonBody<Map<String, Value>>,
) -> ApiResult<(HeaderMap, Json<ConfigVars>)> {
    let changes = changes(body)?;
    let warnings = warnings(&changes);
    let vars =
        to_the_end(async move { platform.update_config_vars(&user, &app, changes).await }).await?;
    Ok((warnings, Json(vars)))
}

/// As on Heroku what has no effect may be set; but whoever does so is told.
fn warnings(changes: &ConfigVarsUpdate) -> HeaderMap {
    let given = |name: &&str| changes.get(*name).is_some_and(Option::is_some);
    let warning = |name: &str| {
        let text = format!("The platform sets {name} itself: processes do not see this value.");
        Some((http::HeaderName::from_static(WARNING), HeaderValue::from_str(&text).ok()?))
    };
    let mut headers = HeaderMap::new();
    for (name, value) in SET_BY_PLATFORM.into_iter().filter(given).filter_map(warning) {
        headers.append(name, value);
    }
    headers
}

/// Values are text; numbers and truth values are taken as they are written. `null` removes.
fn changes(body: Map<String, Value>) -> ApiResult<ConfigVarsUpdate> {
    let change = |(name, value): (String, Value)| {
        let value = match value {
            Value::Null => None,
            Value::String(text) => Some(text),
            Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
            Value::Array(_) | Value::Object(_) => {
                return Err(ApiError::invalid(format!(
                    "The value of config var {name} must be text."
                )));
            }
        };
        Ok((name, value))
    };
    body.into_iter().map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_become_text() {
        let Value::Object(body) = json!({"A": "x", "B": null, "C": 5, "D": true}) else {
            unreachable!()
        };
        let changes = changes(body).unwrap();
        let text = |name: &str| changes[name].as_deref();
        assert_eq!(
            (text("A"), text("B"), text("C"), text("D")),
            (Some("x"), None, Some("5"), Some("true"))
        );
        let Value::Object(body) = json!({"A": ["x"]}) else { unreachable!() };
        assert_eq!(super::changes(body).unwrap_err().status.as_u16(), 422);
    }
}
