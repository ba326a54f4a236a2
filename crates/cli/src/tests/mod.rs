//! Commands against a server that answers from a list: what they send, print and return.

mod apps;
mod buildpacks;
mod certs;
mod completions;
mod config;
mod contexts;
mod errors;
mod git_source;
mod login;
mod logs;
mod names;
mod network;
mod people;
mod process;
mod ps;
mod reference;
mod releases;
mod resources;
mod routing;
mod webhooks;

use serde_json::{Value, json};

const U: &str = "01234567-89ab-cdef-0123-456789abcdef";
const T: &str = "2026-01-02T03:04:05Z";

fn reference(name: &str) -> Value {
    json!({"id": U, "name": name})
}

fn account() -> Value {
    json!({
        "id": U, "email": "owner@example.com", "name": null, "verified": true,
        "two_factor_authentication": false, "allow_tracking": false, "beta": false,
        "federated": false, "identity_provider": null, "last_login": null,
        "sms_number": null, "suspended_at": null, "delinquent_at": null,
        "country_of_residence": null, "default_organization": null,
        "default_team": null, "created_at": T, "updated_at": T,
    })
}

fn app(name: &str, server: &str) -> Value {
    json!({
        "id": U, "name": name, "acm": false, "archived_at": null,
        "buildpack_provided_description": null, "build_stack": reference("debian-12"),
        "stack": reference("debian-12"), "created_at": T, "updated_at": T,
        "released_at": T, "git_url": format!("{server}/{name}.git"),
        "generation": reference("cedar"), "internal_routing": null, "maintenance": false,
        "owner": {"id": U, "email": "owner@example.com"}, "organization": null,
        "team": null, "region": reference("local"), "repo_size": 12_345, "slug_size": null,
        "space": null, "web_url": format!("http://{name}.localhost:8080/"),
        "process_tier": "production",
    })
}

fn release(version: u32, status: &str, current: bool) -> Value {
    json!({
        "id": format!("release-{version}"), "version": version, "status": status,
        "current": current, "description": format!("Change {version}"), "created_at": T,
        "updated_at": T, "app": reference("bibly"),
        "user": {"id": U, "email": "owner@example.com"}, "slug": null, "artifacts": [],
        "addon_plan_names": [], "eligible_for_rollback": status == "succeeded",
        "output_stream_url": null, "oci_image": {"id": "sha256:abc"},
    })
}

fn formation(process_type: &str, quantity: u32) -> Value {
    json!({
        "id": U, "type": process_type, "quantity": quantity, "size": "Standard-1X",
        "dyno_size": reference("Standard-1X"), "command": format!("run {process_type}"),
        "app": reference("bibly"), "created_at": T, "updated_at": T,
    })
}

fn dyno(name: &str, state: &str, upgrade_url: Option<&str>) -> Value {
    let process_type = name.split('.').next();
    json!({
        "id": U, "name": name, "type": process_type, "state": state,
        "command": "python app.py", "size": "Standard-1X", "attach_url": null, "upgrade_url": upgrade_url,
        "app": reference("bibly"), "release": {"id": U, "version": 4},
        "created_at": T, "updated_at": T,
    })
}

fn domain(hostname: &str, kind: &str, cname: Option<&str>) -> Value {
    json!({
        "id": U, "hostname": hostname, "kind": kind, "cname": cname, "status": "none",
        "acm_status": null, "acm_status_reason": null, "app": reference("bibly"),
        "sni_endpoint": null, "created_at": T, "updated_at": T,
    })
}

fn error(id: &str, message: &str) -> Value {
    json!({"id": id, "message": message})
}
