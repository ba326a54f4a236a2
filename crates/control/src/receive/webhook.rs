//! Calls of other git hosts when somebody has pushed there. Whoever calls is nobody until the
//! signature is found right, and the body is not looked into before.

use super::SyncRequest;
use super::remote::no_source;
use crate::access::random_secret;
use crate::records::{App, GitSource, User};
use crate::{Platform, PlatformError, Result};
use ring::hmac;
use serde::Deserialize;
use windlass_core::ids::AppId;

/// Headers with `HMAC-SHA256(secret, body)` in hexadecimal digits, and what stands before those.
const SIGNATURES: [(&str, &str); 4] = [
    ("x-hub-signature-256", "sha256="),
    ("x-gitea-signature", ""),
    ("x-forgejo-signature", ""),
    ("x-gogs-signature", ""),
];
/// The header with the secret itself (GitLab).
const TOKEN: &str = "x-gitlab-token";
/// Headers that say what happened.
pub(crate) const EVENTS: [&str; 5] =
    ["x-github-event", "x-gitea-event", "x-forgejo-event", "x-gogs-event", "x-gitlab-event"];

/// An app's webhook, as it is told to another host.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    pub url: String,
    pub secret: String,
}

/// What a call is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookAnswer {
    /// The signature is missing or wrong, or there is no such webhook.
    Refused,
    /// All is well, and there is nothing to do.
    Ignored(String),
    /// The source is being fetched, or will be.
    Started(String),
}

impl Platform {
    /// Returns an app's webhook, if it has one.
    pub fn webhook(&self, app: &App) -> Result<Option<Webhook>> {
        let secret = self.store().webhook_secret(app.id)?;
        let url = format!("{}/webhooks/git/{}", self.settings().api_url, app.id);
        Ok(secret.map(|secret| Webhook { url, secret }))
    }

    /// Gives an app a webhook, or with `rotate` another secret.
    pub fn enable_webhook(&self, user: &User, app: &App, rotate: bool) -> Result<Webhook> {
        if self.git_source(app)?.is_none() {
            return Err(no_source());
        }
        if let Some(known) = self.webhook(app)?.filter(|_| !rotate) {
            return Ok(known);
        }
        self.store().set_webhook_secret(app.id, Some(&random_secret()))?;
        let said = format!("Enable git webhook by user {}", user.email);
        self.logs().append(app.id, "app[api]", &said);
        self.webhook(app)?.ok_or(PlatformError::NotFound { resource: "webhook" })
    }

    pub fn disable_webhook(&self, user: &User, app: &App) -> Result<()> {
        self.store().set_webhook_secret(app.id, None)?;
        let said = format!("Disable git webhook by user {}", user.email);
        self.logs().append(app.id, "app[api]", &said);
        Ok(())
    }

    /// Acts on a call. `header` returns a header by its name in lower case.
    pub fn take_webhook(
        &self,
        app: &str,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
    ) -> Result<WebhookAnswer> {
        let Ok(id) = app.parse::<AppId>() else { return Ok(WebhookAnswer::Refused) };
        let secret = self.store().webhook_secret(id)?;
        if !secret.is_some_and(|secret| is_signed(&secret, header, body)) {
            return Ok(WebhookAnswer::Refused);
        }
        let missing = PlatformError::NotFound { resource: "app" };
        let app = self.store().app(id)?.ok_or(missing)?;
        let source = self.git_source(&app)?.ok_or_else(no_source)?;
        let event = EVENTS.iter().find_map(|name| header(name));
        let answer = decide(event.as_deref(), &source, body)?;
        if matches!(answer, WebhookAnswer::Started(_)) {
            self.sync_in_background(app);
        }
        Ok(answer)
    }

    /// Fetches and deploys; at most one at a time for an app, and once more after that if it was
    /// called meanwhile.
    fn sync_in_background(&self, app: App) {
        let mut syncing = self.receiver().syncing();
        if let Some(again) = syncing.get_mut(&app.id) {
            *again = true;
            return;
        }
        syncing.insert(app.id, false);
        drop(syncing);
        let platform = self.clone();
        tokio::spawn(async move {
            loop {
                platform.sync_for_webhook(&app).await;
                let mut syncing = platform.receiver().syncing();
                match syncing.get_mut(&app.id) {
                    Some(again) if *again => *again = false,
                    _ => {
                        syncing.remove(&app.id);
                        return;
                    }
                }
            }
        });
    }

    async fn sync_for_webhook(&self, app: &App) {
        let request = SyncRequest { if_changed: true, ..SyncRequest::default() };
        let synced = async {
            let user = self.user(app.owner)?;
            self.begin_sync(&user, app, request).await
        };
        match synced.await {
            Ok((_, Some(work))) => drop(work.await),
            Ok((_, None)) => tracing::debug!(app = %app.name, "a webhook brought nothing new"),
            Err(error) => {
                tracing::warn!(app = %app.name, error = &error as &dyn std::error::Error, "a webhook failed");
                let said = format!("Webhook: nothing was deployed. {error}");
                self.logs().append(app.id, "app[api]", &said);
            }
        }
    }
}

/// Whether a call comes from somebody who knows the secret. Everything that is there to show it
/// must show it.
pub(crate) fn is_signed(
    secret: &str,
    header: &dyn Fn(&str) -> Option<String>,
    body: &[u8],
) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut shown = 0;
    for (name, prefix) in SIGNATURES {
        let Some(value) = header(name) else { continue };
        let digits = value.strip_prefix(prefix).and_then(bytes_of);
        if digits.is_none_or(|digits| hmac::verify(&key, body, &digits).is_err()) {
            return false;
        }
        shown += 1;
    }
    if let Some(token) = header(TOKEN) {
        // By way of their signatures, how long it takes says nothing of the secret.
        let wanted = hmac::sign(&key, secret.as_bytes());
        if hmac::verify(&key, token.as_bytes(), wanted.as_ref()).is_err() {
            return false;
        }
        shown += 1;
    }
    shown > 0
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok())
        .collect()
}

/// What the three hosts tell of a push.
#[derive(Deserialize)]
struct Push {
    #[serde(rename = "ref")]
    reference: Option<String>,
    after: Option<String>,
    repository: Option<Repository>,
    /// GitLab's name for it.
    project: Option<Repository>,
}

#[derive(Deserialize)]
struct Repository {
    default_branch: Option<String>,
}

impl Push {
    fn default_branch(&self) -> Option<&str> {
        let mut places = [&self.repository, &self.project].into_iter().flatten();
        places.find_map(|place| place.default_branch.as_deref())
    }
}

/// What is to be done about a call whose signature is right.
fn decide(event: Option<&str>, source: &GitSource, body: &[u8]) -> Result<WebhookAnswer> {
    let ignored = |why: String| Ok(WebhookAnswer::Ignored(why));
    match event.unwrap_or("push") {
        "push" | "Push Hook" | "Tag Push Hook" => {}
        "ping" => return ignored("pong: the webhook works.".to_owned()),
        _ => return ignored("Ignored: only pushes are acted on.".to_owned()),
    }
    let push: Push = serde_json::from_slice(body).map_err(|_| {
        PlatformError::Invalid(
            "The webhook's body is not a push in JSON: choose application/json as its content type."
                .to_owned(),
        )
    })?;
    let Some(pushed) = push.reference.as_deref() else {
        return ignored("Ignored: it names no branch or tag.".to_owned());
    };
    if push.after.as_deref().is_some_and(|id| !id.is_empty() && id.bytes().all(|b| b == b'0')) {
        return ignored("Ignored: it was deleted.".to_owned());
    }
    let is_deployed = match source.reference.as_deref() {
        Some(name) => [name.to_owned(), format!("refs/heads/{name}"), format!("refs/tags/{name}")]
            .contains(&pushed.to_owned()),
        None => match push.default_branch() {
            Some(branch) => pushed == format!("refs/heads/{branch}"),
            // Nothing is deployed that was not: it is looked up anyway.
            None => pushed.starts_with("refs/heads/"),
        },
    };
    if !is_deployed {
        let deployed = source.reference.as_deref().unwrap_or("the default branch");
        return ignored(format!("Ignored: only {deployed} is deployed."));
    }
    Ok(WebhookAnswer::Started("Started: it is fetched and deployed if it has changed.".to_owned()))
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
