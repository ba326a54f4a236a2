//! From what has changed of an app to events and their deliveries.

use crate::platform::now_ms;
use crate::records::{App, User, WatchedApp, WebhookEvent};
use crate::{Platform, Result};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;
use windlass_core::ids::{AppId, WebhookEventId};
use windlass_core::webhook::{Change, Kind, Resource, changes};

/// How often is looked whether something has changed.
const ROUND: Duration = Duration::from_millis(250);
/// A change is ascribed to whoever asked for one no longer before, in milliseconds.
const ASKED_WITHIN_MS: u64 = 60_000;
/// In these rounds dynos are looked at, whose states are not in the database.
const DYNO_ROUNDS: u64 = 4;

/// An app that could not be looked at is left alone for so many milliseconds.
const FAILED_MS: u64 = 10_000;

/// What is known from the rounds before.
#[derive(Default)]
struct Rounds {
    number: u64,
    dynos: HashMap<AppId, Vec<(uuid::Uuid, &'static str)>>,
    /// Until when these are left alone.
    failed: HashMap<AppId, u64>,
}

/// Shows an app as the API does.
pub trait Teller: Send + Sync + 'static {
    /// Returns everything of an app that webhooks are told of.
    fn resources(
        &self,
        platform: &Platform,
        app: &App,
    ) -> impl Future<Output = Result<Vec<Resource>>> + Send;
}

impl Platform {
    /// Tells webhooks of what changes, from now on and for as long as the platform is there.
    pub fn spawn_webhooks(&self, teller: impl Teller) {
        self.spawn_deliveries();
        let weak = self.downgrade();
        tokio::spawn(async move {
            let mut rounds = Rounds::default();
            loop {
                tokio::time::sleep(ROUND).await;
                let Some(platform) = Platform::upgrade(&weak) else { return };
                if let Err(error) = platform.tell_round(&teller, &mut rounds).await {
                    tracing::warn!(%error, "webhooks were not told of changes yet");
                    tokio::time::sleep(Duration::from_millis(FAILED_MS)).await;
                }
            }
        });
    }

    async fn tell_round(&self, teller: &impl Teller, rounds: &mut Rounds) -> Result<()> {
        let mut changed = self.store().changed_apps()?;
        if rounds.number.is_multiple_of(DYNO_ROUNDS) {
            self.add_apps_with_other_dynos(&mut changed, &mut rounds.dynos).await?;
        }
        rounds.number += 1;
        let now = now_ms();
        rounds.failed.retain(|_, until| *until > now);
        for watched in changed {
            let app = watched.app;
            if rounds.failed.contains_key(&app) {
                continue;
            }
            if let Err(error) = self.tell_app(teller, watched).await {
                tracing::warn!(%app, %error, "webhooks were not told of an app's changes yet");
                rounds.failed.insert(app, now + FAILED_MS);
                rounds.dynos.remove(&app);
            }
        }
        Ok(())
    }

    async fn add_apps_with_other_dynos(
        &self,
        changed: &mut Vec<WatchedApp>,
        known: &mut HashMap<AppId, Vec<(uuid::Uuid, &'static str)>>,
    ) -> Result<()> {
        let told = self.store().apps_that_tell(Kind::Dyno.entities())?;
        known.retain(|app, _| told.contains(app));
        for app in told {
            let states = self.dyno_states(app).await;
            if known.get(&app) == Some(&states) {
                continue;
            }
            known.insert(app, states);
            if !changed.iter().any(|watched| watched.app == app) {
                changed.extend(self.store().watched_app(app)?);
            }
        }
        Ok(())
    }

    async fn dyno_states(&self, app: AppId) -> Vec<(uuid::Uuid, &'static str)> {
        let Ok(Some(app)) = self.store().app(app) else { return Vec::new() };
        let views = self.instances(&app).await.unwrap_or_default();
        let mut states: Vec<_> =
            views.into_iter().map(|view| (view.id, view.state.as_str())).collect();
        states.sort_unstable();
        states
    }

    async fn tell_app(&self, teller: &impl Teller, watched: WatchedApp) -> Result<()> {
        let app = self.store().app(watched.app)?;
        let now = match &app {
            Some(app) => teller.resources(self, app).await?,
            None => Vec::new(),
        };
        let asker = self.asker(watched.app);
        let at = now_ms();
        let told = changes(&watched.resources, &now);
        let events: Vec<WebhookEvent> = told
            .iter()
            .flat_map(|change| change.kind.entities().iter().map(move |entity| (change, entity)))
            .map(|(change, entity)| WebhookEvent {
                id: WebhookEventId::random(),
                app: watched.app,
                number: 0,
                include: (*entity).to_owned(),
                payload: self.payload(change, asker.as_ref()),
                created_at: at,
            })
            .collect();
        let gone = app.is_none();
        let deliveries = self.store().tell(watched.app, watched.changes, &now, &events, gone)?;
        if deliveries.is_some_and(|deliveries| deliveries > 0) {
            self.webhook_state().wake.notify_one();
        }
        Ok(())
    }

    /// Notes who asks for a change of an app, to whom what then changes is ascribed.
    pub fn note_asker(&self, app: &App, user: &User) {
        let mut askers = self.webhook_state().askers();
        let now = now_ms();
        askers.retain(|_, (_, at)| *at + ASKED_WITHIN_MS > now);
        askers.insert(app.id, (user.clone(), now));
    }

    fn asker(&self, app: AppId) -> Option<User> {
        let askers = self.webhook_state().askers();
        let (user, at) = askers.get(&app)?;
        (*at + ASKED_WITHIN_MS > now_ms()).then(|| user.clone())
    }

    fn payload(&self, change: &Change, asker: Option<&User>) -> Value {
        json!({
            "action": change.action.as_str(),
            "actor": self.actor(change, asker),
            "data": change.data,
            "previous_data": change.previous,
            "resource": change.kind.as_str(),
            "version": "application/vnd.heroku+json; version=3",
        })
    }

    /// Whom a resource names, else who asked; dynos come and go by the platform's hand.
    fn actor(&self, change: &Change, asker: Option<&User>) -> Value {
        let named = &change.data["user"];
        match asker {
            _ if named["email"].is_string() && change.kind != Kind::Collaborator => {
                json!({"email": named["email"], "id": named["id"]})
            }
            Some(user) if change.kind != Kind::Dyno => json!({"email": user.email, "id": user.id}),
            _ => json!({
                "email": format!("platform@{}", self.settings().domain),
                "id": uuid::Uuid::nil(),
            }),
        }
    }
}
