//! `environments` of app.json: what is different for a review app.

use super::at::{AppJsonError, At};
use serde_json::{Map, Value};

/// Keys whose entries an environment adds to or replaces one by one; others it replaces whole.
const MERGED: [&str; 2] = ["env", "scripts"];
/// Keys that an environment can have.
const KNOWN: [&str; 6] = ["env", "formation", "buildpacks", "scripts", "addons", "stack"];

/// Returns the file as it counts in an environment.
pub(super) fn overlaid(root: &Value, environment: &str) -> Result<Value, AppJsonError> {
    let at = At::root(root);
    let Some(environments) = at.field("environments") else { return Ok(root.clone()) };
    environments.object()?;
    let Some(environment) = environments.field(environment) else { return Ok(root.clone()) };
    let mut merged: Map<String, Value> = at.object()?.clone();
    for (key, value) in environment.entries()? {
        if !KNOWN.contains(&key) {
            return Err(value.invalid(format!("an environment can have {}", KNOWN.join(", "))));
        }
        let entry = merged.entry(key).or_insert(Value::Null);
        match (MERGED.contains(&key), entry.as_object_mut(), value.value().as_object()) {
            (true, Some(entries), Some(others)) => entries.extend(others.clone()),
            _ => *entry = value.value().clone(),
        }
    }
    Ok(Value::Object(merged))
}

#[cfg(test)]
mod tests {
    use super::super::{AppJson, EnvSource};

    const FILE: &str = r#"{
        "env": {"MODE": "live", "KEPT": "k"},
        "formation": {"web": {"quantity": 3}, "worker": {"quantity": 2}},
        "scripts": {"postdeploy": "seed", "pr-predestroy": "wipe"},
        "environments": {
            "review": {
                "env": {"MODE": "review", "MORE": "m"},
                "formation": {"web": {"quantity": 1}},
                "scripts": {"postdeploy": "seed --small"},
                "addons": ["heroku-postgresql"]
            }
        }
    }"#;

    fn value<'a>(app: &'a AppJson, name: &str) -> Option<&'a str> {
        match &app.env.get(&name.parse().unwrap())?.source {
            EnvSource::Value(value) => Some(value),
            _ => None,
        }
    }

    #[test]
    fn a_review_app_has_its_own_values() {
        let plain = AppJson::parse(FILE.as_bytes()).unwrap();
        assert_eq!((value(&plain, "MODE"), value(&plain, "MORE")), (Some("live"), None));
        assert_eq!(plain.formation.len(), 2);
        assert_eq!(AppJson::parse_in(FILE.as_bytes(), Some("test")).unwrap(), plain);

        let review = AppJson::parse_in(FILE.as_bytes(), Some("review")).unwrap();
        let values = ["MODE", "KEPT", "MORE"].map(|name| value(&review, name));
        assert_eq!(values, [Some("review"), Some("k"), Some("m")]);
        let quantities: Vec<_> = review.formation.values().copied().collect();
        assert_eq!(quantities, [1], "a formation is replaced whole");
        let scripts = &review.scripts;
        assert_eq!(scripts.first_postdeploy.as_ref().unwrap().command, "seed --small");
        assert_eq!(scripts.predestroy.as_ref().unwrap().command, "wipe", "the others stay");
        assert!(review.warnings.iter().any(|line| line.contains("addons")), "{review:?}");
    }

    #[test]
    fn mistakes_name_their_place() {
        for (file, place) in [
            (r#"{"environments": []}"#, "environments must be an object"),
            (r#"{"environments": {"review": 1}}"#, "environments.review must be an object"),
            (r#"{"environments": {"review": {"image": "x"}}}"#, "environments.review.image"),
            (
                r#"{"environments": {"review": {"formation": {"web": {"quantity": -1}}}}}"#,
                "quantity",
            ),
        ] {
            let error = AppJson::parse_in(file.as_bytes(), Some("review")).unwrap_err();
            assert!(error.to_string().contains(place), "{error}");
        }
        assert!(AppJson::parse(br#"{"environments": []}"#).is_ok(), "as before");
    }
}
