//! Every endpoint, with everybody who may and may not call it.
//!
//! The list of endpoints is the server's own: a new one is checked from the day it is there. What
//! each needs is written down here a second time, and differently: by path, so that a slip in one
//! of the two shows.

use super::support::{Answer, Server};
use http::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use windlass_api::{Endpoint, Needs, REFUSALS, Refusal};
use windlass_core::access::Permission;
use windlass_testkit::schema::same_path;

/// An app that nobody here ever changes: what is let through must find nothing to do.
const APP: &str = "bibly";

/// Who calls, with what of the app's permissions they have; the app's owner and the server's have
/// them all.
const PEOPLE: [(&str, &[&str]); 4] = [
    ("viewer", &["view"]),
    ("deployer", &["deploy"]),
    ("operator", &["operate"]),
    ("manager", &["manage"]),
];

/// How a request was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Taken {
    /// It reached its handler, whatever that made of it.
    Through,
    /// 401
    Unknown,
    /// 403 of the doorkeeper
    Forbidden,
    /// 404 of the app: a stranger is not told that it exists.
    Hidden,
}

fn taken(answer: &Answer) -> Taken {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let message = body["message"].as_str().unwrap_or_default();
    match answer.status.as_u16() {
        401 => Taken::Unknown,
        // The doorkeeper's three refusals; what handlers refuse has other words.
        403 if message.starts_with("You do not have the permission")
            || message.starts_with("Only the owner of this server")
            || message.starts_with("Your token is for") =>
        {
            Taken::Forbidden
        }
        404 if body["resource"] == "app" && message == "Couldn't find that app." => Taken::Hidden,
        _ => Taken::Through,
    }
}

/// Fills a template so that it names nothing that exists, but the app.
fn path_of(endpoint: &Endpoint) -> String {
    let part = |part: &str| match part {
        "{app}" => APP.to_owned(),
        part if part.starts_with('{') => "00000000-0000-4000-8000-00000000dead".to_owned(),
        part => part.to_owned(),
    };
    endpoint.path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Reads what an endpoint must need from its path and method, without the server's table.
///
/// `None`: this test does not know the path, and whoever adds such a one must say here who may
/// call it.
fn expected(method: &Method, path: &str) -> Option<Needs> {
    use Permission::{Deploy, Manage, Operate, View};
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let reads = method.is_safe();
    let app = |read, write| Some(Needs::App(if reads { read } else { write }));
    match parts.as_slice() {
        ["apps", "{app}"] if method == Method::DELETE => app(View, Manage),
        ["users", "{user}"] if method == Method::DELETE => Some(Needs::Owner),
        ["apps", "{app}"] => app(View, Operate),
        ["teams", "apps", "{app}"] => app(View, Manage),
        ["apps", "{app}", rest @ ..] | ["teams", "apps", "{app}", rest @ ..] => {
            of_app(method, reads, rest)
        }
        _ => beside_apps(reads, &parts),
    }
    .map(|needs| match needs {
        // Code and secrets are never for those who only look.
        Needs::App(View) if path.contains("config-vars") => Needs::App(Deploy),
        needs => needs,
    })
}

fn of_app(method: &Method, reads: bool, rest: &[&str]) -> Option<Needs> {
    use Permission::{Deploy, Manage, Operate, View};
    let app = |read, write| Some(Needs::App(if reads { read } else { write }));
    match rest {
        ["collaborators", ..] if method == Method::PATCH => app(View, Manage),
        // Everybody may leave, and members of a team may join: the platform decides.
        ["collaborators", ..] => app(View, View),
        // They tell where logs and events go, with the secrets in those addresses.
        ["activity" | "log-drains" | "webhooks" | "webhook-events" | "webhook-deliveries", ..] => {
            app(Operate, Operate)
        }
        ["usage" | "available-dyno-sizes" | "telemetry-drains" | "addon-attachments", ..] => {
            app(View, View)
        }
        ["log-sessions" | "available-stacks"] => app(View, View),
        ["config-vars"] | ["releases", _, "config-vars"] => app(Deploy, Deploy),
        ["images", ..] | ["git-key" | "git-webhook" | "git-sync"] => app(Deploy, Deploy),
        ["releases" | "builds" | "build-cache" | "sources" | "slugs", ..]
        | ["buildpack-installations" | "deploys", ..] => app(View, Deploy),
        ["pipeline-couplings" | "review-app"] => app(View, View),
        ["pipeline-diff"] => app(Deploy, Deploy),
        ["actions", "stop" | "start"] => app(Operate, Operate),
        ["volumes", _, "archive"] => app(Operate, Operate),
        [
            "checks" | "limits" | "formation" | "formations" | "dynos" | "domains" | "acm"
            | "sni-endpoints" | "network-links" | "cron-jobs" | "routing" | "volumes" | "addons"
            | "features",
            ..,
        ] => app(View, Operate),
        _ => None,
    }
}

fn beside_apps(reads: bool, parts: &[&str]) -> Option<Needs> {
    match parts {
        [""] | ["health" | "schema" | "openapi.json"] => Some(Needs::Nobody),
        ["api", "v4", "current-status"] | ["buildpacks", ..] => Some(Needs::Nobody),
        // The exec manager: the app is the user name of the credentials.
        ["api", "v2", ..] => Some(Needs::Found),
        // The registry, whose clients authenticate in a way of their own.
        ["v2", ..] => Some(Needs::Itself),
        ["actions", ..] => Some(Needs::Found),
        // Logging in: the URLs carry secrets of their own.
        ["auth"] => Some(Needs::Nobody),
        ["auth", ..] => Some(Needs::Itself),
        ["account", "app-transfers"] if reads => Some(Needs::Anybody),
        ["account", "app-transfers", ..] => Some(Needs::Found),
        ["account", ..] | ["oauth", ..] | ["users", "~", ..] => Some(Needs::Anybody),
        ["users", "{user}"] => Some(Needs::Found),
        ["users", "{user}", "two-factor" | "passkeys"] => Some(Needs::Owner),
        ["users"] | ["metrics"] | ["dns-zone" | "registries", ..] | ["activity"] => {
            Some(Needs::Owner)
        }
        ["invitations", "actions", "accept"] => Some(Needs::Nobody),
        ["invitations", "{invitation}"] if reads => Some(Needs::Nobody),
        ["invitations", ..] => Some(Needs::Owner),
        ["teams"] | ["teams", "permissions"] => Some(Needs::Anybody),
        ["teams", ..] => Some(Needs::Found),
        ["volumes", ..] => Some(Needs::Owner),
        ["apps"] | ["sources"] | ["certificate-authority"] => Some(Needs::Anybody),
        ["stacks" | "regions" | "dyno-sizes", ..] | ["spaces"] => Some(Needs::Anybody),
        ["logs" | "sources" | "attach" | "rendezvous" | "streams", ..] => Some(Needs::Nobody),
        ["pipelines" | "app-setups"] => Some(Needs::Anybody),
        ["pipeline-couplings"] if reads => Some(Needs::Anybody),
        ["pipelines" | "app-setups" | "review-apps" | "pipeline-couplings", ..]
        | ["pipeline-promotions" | "pipeline-transfers" | "filters", ..] => Some(Needs::Found),
        ["webhooks", "pipelines", "{pipeline}"] => Some(Needs::Itself),
        ["addons" | "addon-attachments" | "addon-services" | "addon-region-capabilities", ..]
        | ["plans" | "telemetry-drains", ..] => Some(Needs::Anybody),
        ["webhooks", "git", "{app}"] | ["{repository}", ..] => Some(Needs::Itself),
        _ => None,
    }
}

struct Cast {
    tokens: BTreeMap<&'static str, String>,
}

/// Lets everybody in, and gives them what they are called after.
async fn cast(server: &Server) -> Cast {
    let mut tokens = BTreeMap::new();
    tokens.insert("server owner", server.token.clone());
    for name in ["app owner", "stranger"].into_iter().chain(PEOPLE.map(|(name, _)| name)) {
        tokens
            .insert(name, server.let_in(&format!("{}@example.com", name.replace(' ', "-"))).await);
    }
    let made = server.as_user(&tokens["app owner"], Method::POST, "/apps", json!({"name": APP}));
    assert_eq!(made.await.status, 201);
    for (name, permissions) in PEOPLE {
        let body = json!({"user": format!("{name}@example.com"), "permissions": permissions});
        let path = format!("/apps/{APP}/collaborators");
        let added = server.as_user(&tokens["app owner"], Method::POST, &path, body).await;
        assert_eq!(added.status, 201, "{added:?}");
    }
    for (name, scope) in [("read-only token", "read"), ("write token", "write")] {
        let body = json!({"scope": [scope], "description": name});
        let path = "/oauth/authorizations";
        let made = server.as_user(&tokens["app owner"], Method::POST, path, body).await.json();
        tokens.insert(name, made["access_token"]["token"].as_str().unwrap().to_owned());
    }
    Cast { tokens }
}

/// What somebody is to get from an endpoint.
fn due(who: &str, method: &Method, path: &str, needs: Needs) -> Taken {
    let of_owner = ["server owner"].contains(&who);
    let (scoped, as_if) = match who {
        "read-only token" | "write token" => (true, "app owner"),
        other => (false, other),
    };
    if scoped && !scope_allows(who, method, path, needs) {
        return Taken::Forbidden;
    }
    match needs {
        Needs::Nobody | Needs::Itself | Needs::Anybody | Needs::Found => Taken::Through,
        Needs::Owner if of_owner => Taken::Through,
        Needs::Owner => Taken::Forbidden,
        Needs::App(_) if as_if == "stranger" => Taken::Hidden,
        Needs::App(permission) => {
            let has = PEOPLE.iter().find(|(name, _)| *name == as_if).is_none_or(|(_, has)| {
                permission == Permission::View || has.contains(&permission.as_str())
            });
            if has { Taken::Through } else { Taken::Forbidden }
        }
    }
}

/// The rule of `docs/guides/people.md`, in its own words.
fn scope_allows(who: &str, method: &Method, path: &str, needs: Needs) -> bool {
    let changes = !method.is_safe();
    if matches!(needs, Needs::Nobody | Needs::Itself) {
        return true;
    }
    let own = matches!(path, "/account" | "/users/~" | "/users/{user}" | "/account/rate-limits");
    if own {
        return !changes;
    }
    let start = path.split('/').nth(1).unwrap_or_default();
    let of_apps = path.starts_with("/account/features")
        || path.starts_with("/account/app-transfers")
        || path == "/users/~/apps";
    if matches!(start, "account" | "oauth" | "users" | "invitations" | "activity") && !of_apps {
        return false;
    }
    let asks = ["/log-sessions", "/filters/apps", "/resolve", "/actions/check"];
    let changes = changes && !asks.iter().any(|end| path.ends_with(end));
    if changes && needs == Needs::Owner {
        return false;
    }
    let secret = path.ends_with("/config-vars")
        || path.ends_with("/actions/exec")
        || path.starts_with("/api/v2")
        || (changes && path.starts_with("/apps/{app}/cron-jobs"))
        || (changes && matches!(path, "/apps/{app}/dynos" | "/apps/{app}/releases"));
    !secret && (!changes || who == "write token")
}

/// What would take away what the next caller needs: the app itself. It is tried only by those who
/// are refused.
fn is_final(endpoint: &Endpoint) -> bool {
    endpoint.method == Method::DELETE && endpoint.path == "/apps/{app}"
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_lets_in_whom_it_should() {
    let server = Server::start().await;
    let cast = cast(&server).await;
    let mut endpoints = windlass_api::endpoints();
    endpoints.sort_by(|a, b| (&a.path, a.method.as_str()).cmp(&(&b.path, b.method.as_str())));
    assert!(endpoints.len() > 150, "{} endpoints", endpoints.len());
    let (mut wrong, mut unknown) = (Vec::new(), BTreeSet::new());
    for endpoint in &endpoints {
        let (method, template) = (&endpoint.method, endpoint.path.as_str());
        match known(method, template) {
            None => {
                unknown.insert(format!("{method} {template}"));
                continue;
            }
            Some(needs) if needs != endpoint.needs => {
                wrong
                    .push(format!("{method} {template} needs {:?}, not {needs:?}", endpoint.needs));
            }
            Some(_) => {}
        }
        if matches!(endpoint.needs, Needs::Nobody | Needs::Itself) {
            continue;
        }
        let path = path_of(endpoint);
        let nobody = server.send_as_is(method.clone(), &path, &[], b"").await;
        if taken(&nobody) != Taken::Unknown {
            wrong.push(format!("{method} {template} without a token: {nobody:?}"));
        }
        for (who, token) in &cast.tokens {
            let due = due(who, method, template, endpoint.needs);
            if due == Taken::Through && is_final(endpoint) {
                continue;
            }
            // A body that no endpoint takes: what is let through is refused for it, or ignores it.
            let got = server.as_user(token, method.clone(), &path, json!([null])).await;
            if taken(&got) != due {
                wrong.push(format!("{method} {template} by {who}: {due:?} is due, not {got:?}"));
            }
            if got.status.is_server_error() && got.status != 501 && got.status != 503 {
                wrong.push(format!("{method} {template} by {who}: {got:?}"));
            }
        }
    }
    assert!(
        unknown.is_empty() && wrong.is_empty(),
        "say in this test who may call these:\n{unknown:#?}\n{} differences:\n{wrong:#?}",
        wrong.len()
    );
}

/// What the test knows of an endpoint: by its own rules, or as a refusal of what Heroku has and
/// this server has not, which is the same for everybody.
fn known(method: &Method, path: &str) -> Option<Needs> {
    let refused = REFUSALS.iter().flat_map(Refusal::endpoints);
    let mut same = refused.filter(|(m, p)| method.as_str() == *m && same_path(p, path));
    if same.next().is_some() { Some(Needs::Anybody) } else { expected(method, path) }
}
