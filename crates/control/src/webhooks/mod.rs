//! Webhooks: what happens to an app is told to URLs that its people give.
//!
//! The database counts changes of watched apps in the transaction that makes them. Whoever knows
//! the API's shapes looks at such an app and hands in what it sees; what has changed since the last
//! look becomes events, and each event a delivery for every webhook that is told of it. So whoever
//! changes something need not know of webhooks and never waits for one.

mod deliver;
mod tell;

pub use tell::Teller;

use crate::platform::now_ms;
use crate::records::{App, DeliveryStatus, User, WebhookDelivery, WebhookEvent, WebhookTarget};
use crate::{Platform, PlatformError, Result};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use windlass_core::ids::{AppId, WebhookDeliveryId, WebhookEventId, WebhookId};
use windlass_core::outgoing::{OutgoingUrl, Scheme, UrlError};
use windlass_core::webhook::{
    self, Call, Level, Resource, WEBHOOKS_PER_APP, WebhookError, checked_include, checked_text,
};

pub use crate::records::Webhook;

/// What is in memory only.
#[derive(Default)]
pub(crate) struct Webhooks {
    /// Who last asked for a change of an app, and when.
    askers: Mutex<HashMap<AppId, (User, u64)>>,
    /// The webhooks that are being told something.
    under_way: Mutex<HashSet<Call>>,
    /// Something may be due.
    wake: tokio::sync::Notify,
}

impl Webhooks {
    fn askers(&self) -> MutexGuard<'_, HashMap<AppId, (User, u64)>> {
        self.askers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn under_way(&self) -> MutexGuard<'_, HashSet<Call>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<WebhookError> for PlatformError {
    fn from(error: WebhookError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<UrlError> for PlatformError {
    fn from(error: UrlError) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// A webhook as somebody wants it.
#[derive(Clone)]
pub struct NewWebhook {
    pub include: Vec<String>,
    pub level: String,
    pub url: String,
    /// `None`: one is made.
    pub secret: Option<String>,
    pub authorization: Option<String>,
}

/// What is to be otherwise; `None` leaves it as it is.
#[derive(Clone, Default)]
pub struct WebhookChange {
    pub include: Option<Vec<String>>,
    pub level: Option<String>,
    pub url: Option<String>,
    /// `Some(None)`: another one is made.
    pub secret: Option<Option<String>>,
    pub authorization: Option<Option<String>>,
}

impl Platform {
    /// Returns the webhooks of an app, the oldest first.
    pub fn app_webhooks(&self, app: &App) -> Result<Vec<Webhook>> {
        Ok(self.store().webhooks(app.id)?)
    }

    pub fn app_webhook(&self, app: &App, id: &str) -> Result<Webhook> {
        let found = match id.parse::<WebhookId>() {
            Ok(id) => self.store().webhook(id)?,
            Err(_) => None,
        };
        let of_app = found.filter(|webhook| webhook.app == app.id);
        of_app.ok_or(PlatformError::NotFound { resource: "webhook" })
    }

    /// Adds a webhook. It is told of what changes from `now` on, the app as the API shows it.
    ///
    /// # Errors
    /// `Invalid` for a URL that may not be connected to and for what Heroku has no events of.
    pub fn add_webhook(
        &self,
        user: &User,
        app: &App,
        wanted: NewWebhook,
        now: &[Resource],
    ) -> Result<Webhook> {
        if self.store().webhooks(app.id)?.len() >= WEBHOOKS_PER_APP {
            let message = format!("An app can have at most {WEBHOOKS_PER_APP} webhooks.");
            return Err(PlatformError::Invalid(message));
        }
        let at = now_ms();
        let webhook = Webhook {
            id: WebhookId::random(),
            app: app.id,
            include: checked_include(wanted.include)?,
            level: wanted.level.parse()?,
            target: WebhookTarget {
                url: self.checked_webhook_url(wanted.url)?,
                secret: secret(wanted.secret)?,
                authorization: authorization(wanted.authorization)?,
            },
            created_at: at,
            updated_at: at,
        };
        self.store().save_webhook(&webhook, now)?;
        self.log_webhook(app, user, "Add");
        Ok(webhook)
    }

    /// Changes a webhook; what waits for it goes where it leads now.
    pub fn update_webhook(
        &self,
        user: &User,
        app: &App,
        id: &str,
        change: WebhookChange,
        now: &[Resource],
    ) -> Result<Webhook> {
        let mut webhook = self.app_webhook(app, id)?;
        if let Some(include) = change.include {
            webhook.include = checked_include(include)?;
        }
        if let Some(level) = change.level {
            webhook.level = level.parse::<Level>()?;
        }
        if let Some(url) = change.url {
            webhook.target.url = self.checked_webhook_url(url)?;
        }
        if let Some(wanted) = change.secret {
            webhook.target.secret = secret(wanted)?;
        }
        if let Some(wanted) = change.authorization {
            webhook.target.authorization = authorization(wanted)?;
        }
        webhook.updated_at = now_ms();
        self.store().save_webhook(&webhook, now)?;
        self.log_webhook(app, user, "Update");
        self.webhook_state().wake.notify_one();
        Ok(webhook)
    }

    /// Removes a webhook with all that waits for it.
    pub fn remove_webhook(&self, user: &User, app: &App, id: &str) -> Result<Webhook> {
        let webhook = self.app_webhook(app, id)?;
        self.store().delete_webhook(app.id, webhook.id)?;
        self.log_webhook(app, user, "Remove");
        Ok(webhook)
    }

    /// Returns what webhooks of the app were or are to be told, the newest first.
    pub fn webhook_events(&self, app: &App) -> Result<Vec<WebhookEvent>> {
        Ok(self.store().webhook_events(app.id)?)
    }

    pub fn webhook_event(&self, app: &App, id: &str) -> Result<WebhookEvent> {
        let missing = PlatformError::NotFound { resource: "webhook event" };
        let Ok(id) = id.parse::<WebhookEventId>() else { return Err(missing) };
        self.store().webhook_event(id)?.filter(|event| event.app == app.id).ok_or(missing)
    }

    /// Returns the deliveries of the app's webhooks, the newest first.
    pub fn webhook_deliveries(
        &self,
        app: &App,
        status: Option<DeliveryStatus>,
    ) -> Result<Vec<WebhookDelivery>> {
        Ok(self.store().webhook_deliveries(app.id, status)?)
    }

    pub fn webhook_delivery(&self, app: &App, id: &str) -> Result<WebhookDelivery> {
        let missing = PlatformError::NotFound { resource: "webhook delivery" };
        let Ok(id) = id.parse::<WebhookDeliveryId>() else { return Err(missing) };
        let mut all = self.store().webhook_deliveries(app.id, None)?.into_iter();
        all.find(|delivery| delivery.id == id).ok_or(missing)
    }

    fn checked_webhook_url(&self, text: String) -> Result<String> {
        let url = OutgoingUrl::with_scheme(&text, &[Scheme::Https, Scheme::Http])?;
        self.outgoing().check(&url).map_err(|error| PlatformError::Invalid(format!("{error}.")))?;
        Ok(text)
    }

    fn log_webhook(&self, app: &App, user: &User, what: &str) {
        self.logs().append(app.id, "app[api]", &format!("{what} webhook by user {}", user.email));
    }
}

fn secret(wanted: Option<String>) -> Result<String> {
    let Some(secret) = wanted else { return Ok(crate::access::random_secret()) };
    checked_text("secret", &secret)?;
    Ok(secret)
}

fn authorization(wanted: Option<String>) -> Result<Option<String>> {
    if let Some(text) = &wanted {
        webhook::checked_text("authorization", text)?;
    }
    Ok(wanted)
}
