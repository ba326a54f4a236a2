//! `windlass webhooks`, `webhooks:add`, `:info`, `:update`, `:remove`, `:deliveries`, `:events`

use super::app_path;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::{Client, Range, encoded};
use crate::error::{CliError, Result};
use crate::output::{Cell, Style, Table};
use crate::session::Session;
use crate::time::with_age;
use ureq::http::Method;
use windlass_wire::{Webhook, WebhookCreate, WebhookDelivery, WebhookEvent, WebhookUpdate};

const SECRET: &str = "heroku-webhook-secret";

/// Commands about who is told what happens to an app.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum WebhooksCommand {
    /// List an app's webhooks
    #[command(name = "webhooks")]
    List(List),
    /// Have a URL told what happens to an app
    #[command(name = "webhooks:add")]
    Add(Add),
    /// Show one webhook
    #[command(name = "webhooks:info")]
    Info(Named),
    /// Change a webhook
    #[command(name = "webhooks:update")]
    Update(Update),
    /// Remove a webhook
    #[command(name = "webhooks:remove")]
    Remove(Named),
    /// List what webhooks were told, and how that went
    #[command(name = "webhooks:deliveries")]
    Deliveries(Deliveries),
    /// Show one delivery
    #[command(name = "webhooks:deliveries:info")]
    DeliveryInfo(Named),
    /// List what has happened that webhooks are told of
    #[command(name = "webhooks:events")]
    Events(List),
    /// Show one event with its payload
    #[command(name = "webhooks:events:info")]
    EventInfo(Named),
}

impl WebhooksCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List(arguments) => arguments.webhooks(session),
            Self::Add(arguments) => arguments.run(session),
            Self::Info(arguments) => arguments.info(session),
            Self::Update(arguments) => arguments.run(session),
            Self::Remove(arguments) => arguments.remove(session),
            Self::Deliveries(arguments) => arguments.run(session),
            Self::DeliveryInfo(arguments) => arguments.delivery(session),
            Self::Events(arguments) => arguments.events(session),
            Self::EventInfo(arguments) => arguments.event(session),
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl List {
    fn webhooks(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let webhooks: Vec<Webhook> = client.list(&app_path(&app, "/webhooks"), Range::All)?;
        if self.json.json {
            return session.output.json(&webhooks);
        }
        if webhooks.is_empty() {
            let note = format!("{app} has no webhooks. Add one with `windlass webhooks:add`.");
            return session.output.note(note);
        }
        let mut table = Table::new(&["Webhook", "URL", "Include", "Level"]);
        for webhook in webhooks {
            table.row(vec![
                webhook.id.into(),
                webhook.url.into(),
                webhook.include.join(",").into(),
                webhook.level.into(),
            ]);
        }
        session.output.table(&table)
    }

    fn events(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, "/webhook-events");
        let events: Vec<WebhookEvent> = client.list(&path, Range::NewestCreated(1_000))?;
        if self.json.json {
            return session.output.json(&events);
        }
        if events.is_empty() {
            let note = format!("{app} has no events that a webhook was or is to be told of.");
            return session.output.note(note);
        }
        let mut table = Table::new(&["Event", "Include", "Action", "Created"]);
        for event in events {
            table.row(vec![
                event.id.into(),
                event.include.into(),
                event.payload.action.into(),
                with_age(&event.created_at, session.environment.now).into(),
            ]);
        }
        session.output.table(&table)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Add {
    /// What to tell of, with commas between: api:release,api:build,dyno
    #[arg(short, long, value_name = "ENTITIES", required = true, value_delimiter = ',')]
    include: Vec<String>,
    /// notify: a few attempts; sync: in order, for up to 72 hours
    #[arg(short, long, value_name = "LEVEL", default_value = "notify")]
    level: String,
    /// Where to send it
    #[arg(short, long, value_name = "URL")]
    url: String,
    /// The key of signatures [default: the server makes one]
    #[arg(short, long, value_name = "TEXT")]
    secret: Option<String>,
    /// Sent along as the header Authorization
    #[arg(short = 't', long, value_name = "TEXT")]
    authorization: Option<String>,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Add {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, "/webhooks");
        let is_given = self.secret.is_some();
        let body = WebhookCreate {
            include: self.include,
            level: self.level,
            url: self.url,
            secret: self.secret,
            authorization: self.authorization,
        };
        let message = format!("Adding a webhook to {}", session.output.app(&app));
        let (webhook, secret): (Webhook, _) = session.output.action(
            &message,
            || client.send_for_secret(Method::POST, &path, &body, SECRET),
            |_, _| None,
        )?;
        if self.json.json {
            return session.output.json(&webhook);
        }
        match secret.filter(|_| !is_given) {
            Some(secret) => show_secret(session, &secret),
            None => Ok(()),
        }
    }
}

fn show_secret(session: &mut Session, secret: &str) -> Result<()> {
    session.output.note("The key of its signatures, shown this once:")?;
    session.output.line(secret)
}

#[derive(Clone, Debug, clap::Args)]
pub struct Update {
    /// The webhook's id, from `windlass webhooks`
    id: String,
    /// What to tell of, with commas between
    #[arg(short, long, value_name = "ENTITIES", value_delimiter = ',')]
    include: Option<Vec<String>>,
    /// notify or sync
    #[arg(short, long, value_name = "LEVEL")]
    level: Option<String>,
    /// Where to send it
    #[arg(short, long, value_name = "URL")]
    url: Option<String>,
    /// The key of signatures; without a value the server makes another one
    #[arg(short, long, value_name = "TEXT", num_args = 0..=1, default_missing_value = "")]
    secret: Option<String>,
    /// Sent along as the header Authorization; without a value none is
    #[arg(short = 't', long, value_name = "TEXT", num_args = 0..=1, default_missing_value = "")]
    authorization: Option<String>,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Update {
    fn run(self, session: &mut Session) -> Result<()> {
        let emptied = |text: Option<String>| text.map(|text| Some(text).filter(|t| !t.is_empty()));
        let makes_secret = self.secret.as_deref() == Some("");
        let body = WebhookUpdate {
            include: self.include,
            level: self.level,
            url: self.url,
            secret: emptied(self.secret),
            authorization: emptied(self.authorization),
        };
        if body == WebhookUpdate::default() {
            return Err(CliError::usage("Nothing to change is given.")
                .hint("For example: windlass webhooks:update ID --include api:release,dyno"));
        }
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, &format!("/webhooks/{}", encoded(&self.id)));
        let message = format!("Updating a webhook of {}", session.output.app(&app));
        let (webhook, secret): (Webhook, _) = session.output.action(
            &message,
            || client.send_for_secret(Method::PATCH, &path, &body, SECRET),
            |_, _| None,
        )?;
        if self.json.json {
            return session.output.json(&webhook);
        }
        match secret.filter(|_| makes_secret) {
            Some(secret) => show_secret(session, &secret),
            None => Ok(()),
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Named {
    /// Its id
    id: String,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Named {
    fn get<T: serde::de::DeserializeOwned>(
        &self,
        session: &mut Session,
        family: &str,
    ) -> Result<T> {
        let (client, app) = session.app_client(&self.app)?;
        client.get(&app_path(&app, &format!("/{family}/{}", encoded(&self.id))))
    }

    fn info(self, session: &mut Session) -> Result<()> {
        let webhook: Webhook = self.get(session, "webhooks")?;
        if self.json.json {
            return session.output.json(&webhook);
        }
        session.output.heading(&webhook.id)?;
        let lines = [
            ("URL", webhook.url),
            ("Include", webhook.include.join(",")),
            ("Level", webhook.level),
            ("Created", with_age(&webhook.created_at, session.environment.now)),
            ("Updated", with_age(&webhook.updated_at, session.environment.now)),
        ];
        session.output.properties(&lines)
    }

    fn delivery(self, session: &mut Session) -> Result<()> {
        let delivery: WebhookDelivery = self.get(session, "webhook-deliveries")?;
        if self.json.json {
            return session.output.json(&delivery);
        }
        session.output.heading(&delivery.id)?;
        let lines = [
            ("Event", format!("{} {}", delivery.event.include, delivery.event.id)),
            ("Webhook", format!("{} {}", delivery.webhook.level, delivery.webhook.id)),
            ("Status", delivery.status.clone()),
            ("Attempts", delivery.num_attempts.to_string()),
            ("Last answer", last_answer(&delivery)),
            ("Next attempt", delivery.next_attempt_at.unwrap_or_else(|| "–".to_owned())),
        ];
        session.output.properties(&lines)
    }

    fn event(self, session: &mut Session) -> Result<()> {
        let event: WebhookEvent = self.get(session, "webhook-events")?;
        session.output.json(&event)
    }

    fn remove(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = app_path(&app, &format!("/webhooks/{}", encoded(&self.id)));
        let message = format!("Removing a webhook from {}", session.output.app(&app));
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Deliveries {
    /// Only those that are pending, retrying, failed or succeeded
    #[arg(short, long, value_name = "STATUS")]
    status: Option<String>,
    /// How many at most, the newest first
    #[arg(short, long, value_name = "NUMBER", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=1000))]
    num: u32,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Deliveries {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let deliveries = fetch(&client, &app, self.status.as_deref(), self.num)?;
        if self.json.json {
            return session.output.json(&deliveries);
        }
        if deliveries.is_empty() {
            return session.output.note(format!("{app} has no such deliveries."));
        }
        let are_all = u64::try_from(deliveries.len()).is_ok_and(|shown| shown < self.num.into());
        let headers = ["Delivery", "Created", "Status", "Include", "Attempts", "Last answer"];
        let mut table = Table::new(&headers);
        for delivery in deliveries {
            let style = match delivery.status.as_str() {
                "succeeded" => Style::Green,
                "failed" => Style::Red,
                _ => Style::Yellow,
            };
            let answer = last_answer(&delivery);
            table.row(vec![
                delivery.id.into(),
                with_age(&delivery.created_at, session.environment.now).into(),
                Cell::styled(delivery.status, style),
                delivery.event.include.into(),
                delivery.num_attempts.to_string().into(),
                answer.into(),
            ]);
        }
        session.output.table(&table)?;
        if are_all {
            return Ok(());
        }
        let newest = self.num;
        session.output.note(format!(
            "The newest {newest}; --num shows more, --status failed only those that failed."
        ))
    }
}

fn fetch(
    client: &Client,
    app: &str,
    status: Option<&str>,
    most: u32,
) -> Result<Vec<WebhookDelivery>> {
    let filter = status.map(|status| format!("?eq%5Bstatus%5D={}", encoded(status)));
    let path = app_path(app, &format!("/webhook-deliveries{}", filter.unwrap_or_default()));
    client.list(&path, Range::NewestCreated(most))
}

/// What came back at the last attempt: `200`, `timeout`.
fn last_answer(delivery: &WebhookDelivery) -> String {
    let Some(attempt) = &delivery.last_attempt else { return "–".to_owned() };
    let code = attempt.code.map(|code| code.to_string());
    code.or_else(|| attempt.error_class.clone()).unwrap_or_else(|| "–".to_owned())
}
