//! The buildpack registry, as the `heroku` CLI asks it: what comes with Windlass is in it.

use super::fixed::SINCE;
use crate::convention::{ApiError, ApiResult, Endpoints, Needs};
use axum::Json;
use axum::extract::{Path, RawQuery};
use serde_json::{Value, json};
use std::str::FromStr;
use uuid::Uuid;
use windlass_control::build::{
    BUNDLED_BUILDPACKS, BundledBuildpack, bundled_buildpack, bundled_version,
};

/// Where the client thinks that a registered buildpack is. Installations that name it are ours.
const BLOBS: &str = "https://buildpack-registry.s3.amazonaws.com/buildpacks";
const LICENSE: &str = "MIT OR Apache-2.0";

pub(super) fn endpoints() -> Endpoints {
    Endpoints::new()
        .get("/buildpacks", Needs::Nobody, search)
        .get("/buildpacks/{buildpack}", Needs::Nobody, info)
        .get("/buildpacks/{buildpack}/revisions", Needs::Nobody, revisions)
        .get("/buildpacks/{buildpack}/revisions/{revision}", Needs::Nobody, revision)
        .get("/buildpacks/{buildpack}/readme", Needs::Nobody, readme)
}

async fn search(RawQuery(query): RawQuery) -> Json<Vec<Value>> {
    let query = crate::distribution::form_pairs(&query.unwrap_or_default());
    let found = BUNDLED_BUILDPACKS.iter().filter(|buildpack| is_wanted(buildpack, &query));
    Json(found.map(|buildpack| shape(buildpack, buildpack.namespace)).collect())
}

/// Whether a buildpack is what a search asks for: `in[namespace][]`, `in[name][]`,
/// `like[description]`.
fn is_wanted(buildpack: &BundledBuildpack, query: &[(String, String)]) -> bool {
    let one_of = |key: &str, value: &str| {
        let mut asked = query.iter().filter(|(name, _)| name == key).map(|(_, text)| text.as_str());
        query.iter().all(|(name, _)| name != key) || asked.any(|text| text == value)
    };
    let like = query
        .iter()
        .filter(|(name, _)| name == "like[description]")
        .all(|(_, text)| buildpack.description.to_lowercase().contains(&text.to_lowercase()));
    one_of("in[namespace][]", buildpack.namespace) && one_of("in[name][]", buildpack.name) && like
}

/// Finds a buildpack by `namespace/name`, or by its identifier.
fn find(name: &str) -> ApiResult<(&'static BundledBuildpack, String)> {
    let by_id = |id: Uuid| BUNDLED_BUILDPACKS.iter().find(|buildpack| self::id(buildpack) == id);
    if let Some(buildpack) = Uuid::from_str(name).ok().and_then(by_id) {
        return Ok((buildpack, buildpack.namespace.to_owned()));
    }
    let found = bundled_buildpack(name).ok_or_else(|| ApiError::not_found("buildpack"))?;
    let namespace = name.split('/').next().unwrap_or(found.namespace);
    Ok((found, namespace.to_owned()))
}

async fn info(Path(name): Path<String>) -> ApiResult<Json<Value>> {
    let (buildpack, namespace) = find(&name)?;
    Ok(Json(shape(buildpack, &namespace)))
}

async fn revisions(Path(name): Path<String>) -> ApiResult<Json<Value>> {
    Ok(Json(json!([only_revision(find(&name)?.0)])))
}

async fn revision(Path((name, revision)): Path<(String, String)>) -> ApiResult<Json<Value>> {
    let only = only_revision(find(&name)?.0);
    let is_meant = only["id"] == revision || revision == "1";
    if is_meant { Ok(Json(only)) } else { Err(ApiError::not_found("revision")) }
}

async fn readme(Path(name): Path<String>) -> ApiResult<Json<Value>> {
    use base64::Engine;
    let (buildpack, _) = find(&name)?;
    let content = base64::engine::general_purpose::STANDARD.encode(buildpack.readme);
    Ok(Json(json!({"content": content, "encoding": "base64", "sha": bundled_version()})))
}

fn id(buildpack: &BundledBuildpack) -> Uuid {
    crate::convention::derived_id(Uuid::nil(), &format!("buildpack {}", buildpack.name))
}

fn shape(buildpack: &BundledBuildpack, namespace: &str) -> Value {
    let name = buildpack.name;
    json!({
        "id": id(buildpack), "namespace": namespace, "name": name,
        "description": buildpack.description, "category": buildpack.category, "license": LICENSE,
        "blob_url": format!("{BLOBS}/{namespace}/{name}.tgz"),
        "source": {"type": "bundled", "owner": "windlass", "repo": name},
        "support": {"method": "website", "address": "The people who run this server"},
        "two_factor_authentication": false, "logo": null, "created_at": SINCE, "updated_at": SINCE,
    })
}

/// What comes with a server has the one version that it came with.
fn only_revision(buildpack: &BundledBuildpack) -> Value {
    let of = id(buildpack);
    json!({
        "id": crate::convention::derived_id(of, bundled_version()), "buildpack_id": of,
        "release": 1, "status": "published", "ref": bundled_version(),
        "checksum": bundled_version(), "license": LICENSE, "tarball": null, "error": null,
        "published_by_id": null, "published_by_email": null, "created_at": SINCE, "updated_at": SINCE,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(query: &str) -> Vec<&'static str> {
        let query = crate::distribution::form_pairs(query);
        let found = BUNDLED_BUILDPACKS.iter().filter(|buildpack| is_wanted(buildpack, &query));
        found.map(|buildpack| buildpack.name).collect()
    }

    #[test]
    fn searches_as_the_client_writes_them() {
        assert_eq!(found("").len(), BUNDLED_BUILDPACKS.len());
        assert_eq!(found("in[namespace][]=windlass"), ["procfile", "rust"]);
        assert_eq!(found("in[name][]=python&in[name][]=go"), ["go", "python"]);
        assert_eq!(found("in[namespace][]=heroku&in[name][]=rust"), [""; 0]);
        assert_eq!(found("like[description]=bundler"), ["ruby"]);
        assert_eq!(found("in%5Bname%5D%5B%5D=php"), ["php"]);
    }

    #[test]
    fn an_identifier_finds_what_it_was_given_with() {
        for buildpack in BUNDLED_BUILDPACKS {
            assert_eq!(find(&id(buildpack).to_string()).unwrap().0, buildpack);
        }
        assert!(find("acme/python").is_err());
    }
}
