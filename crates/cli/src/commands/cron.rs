//! `windlass cron` and its family

use super::app_path;
use super::run::command_line;
use crate::arguments::{AppArguments, JsonArguments};
use crate::client::{Range, encoded};
use crate::error::{CliError, Result};
use crate::output::{Cell, Style, Table};
use crate::session::Session;
use crate::time::{with_age, with_wait};
use std::io::Read;
use windlass_wire::{CronJob, CronJobCreate, CronJobUpdate, CronRun};

/// Commands about commands that run at times.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum CronCommand {
    /// List an app's cron jobs
    #[command(name = "cron", alias = "cron:list")]
    List(List),
    /// Run a command at times
    #[command(name = "cron:add", alias = "cron:create")]
    Add(Add),
    /// Run a cron job now
    #[command(name = "cron:run")]
    Run(Named),
    /// Keep a cron job from running
    #[command(name = "cron:suspend")]
    Suspend(Named),
    /// Let a suspended cron job run again
    #[command(name = "cron:resume")]
    Resume(Named),
    /// Delete a cron job; its history stays
    #[command(name = "cron:remove", alias = "cron:delete")]
    Remove(Named),
    /// Show when a cron job ran, and how that went
    #[command(name = "cron:runs", alias = "cron:history")]
    Runs(Runs),
    /// Show what a run of a cron job said
    #[command(name = "cron:output")]
    Output(Output),
}

impl CronCommand {
    pub fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List(arguments) => arguments.run(session),
            Self::Add(arguments) => arguments.run(session),
            Self::Run(arguments) => arguments.start(session),
            Self::Suspend(arguments) => arguments.suspend(session, true),
            Self::Resume(arguments) => arguments.suspend(session, false),
            Self::Remove(arguments) => arguments.remove(session),
            Self::Runs(arguments) => arguments.run(session),
            Self::Output(arguments) => arguments.run(session),
        }
    }
}

fn job_path(app: &str, job: &str, rest: &str) -> String {
    app_path(app, &format!("/cron-jobs/{}{rest}", encoded(job)))
}

#[derive(Clone, Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl List {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let jobs: Vec<CronJob> = client.list(&app_path(&app, "/cron-jobs"), Range::All)?;
        if self.json.json {
            return session.output.json(&jobs);
        }
        if jobs.is_empty() {
            return session.output.note(
                "No cron jobs. Add one with `windlass cron:add \"*/10 * * * *\" -- COMMAND`, or in app.json.",
            );
        }
        let now = session.environment.now;
        let mut table = Table::new(&["Name", "Schedule", "Command", "Next run", "Last run"]);
        for job in jobs {
            let zone =
                if job.timezone == "UTC" { String::new() } else { format!(" {}", job.timezone) };
            let next = match (&job.next_run_at, job.suspended) {
                (_, true) => Cell::styled("suspended", Style::Yellow),
                (Some(at), false) => with_wait(at, now).into(),
                (None, false) => "".into(),
            };
            table.row(vec![
                job.name.into(),
                format!("{}{zone}", job.schedule).into(),
                job.command.into(),
                next,
                job.last_run.as_ref().map_or_else(|| "never".into(), result),
            ]);
        }
        session.output.heading(&format!("{app} Cron Jobs"))?;
        session.output.table(&table)
    }
}

/// How a run went, in few words.
fn result(run: &CronRun) -> Cell {
    let code = run.exit_code.filter(|code| *code != 0);
    let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
    let text = format!("{}{code}", run.status.replace('_', " "));
    match run.status.as_str() {
        "succeeded" => Cell::styled(text, Style::Green),
        "running" => Cell::styled(text, Style::Cyan),
        "skipped" | "missed" | "replaced" => Cell::styled(text, Style::Yellow),
        _ => Cell::styled(text, Style::Red),
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Add {
    /// Minute, hour, day of the month, month, day of the week: "30 4 * * mon-fri", or @daily
    schedule: String,
    /// The time zone of the schedule: Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", alias = "tz")]
    timezone: Option<String>,
    /// What if it still runs when it is due again: allow, forbid or replace [default: allow]
    #[arg(long, value_name = "POLICY")]
    overlap: Option<String>,
    /// The job's name [default: from its command]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Stop it after so many seconds [default: a day]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Run it in maintenance mode too
    #[arg(long)]
    maintenance: bool,
    /// Do not make up for it when the server was away
    #[arg(long)]
    no_catch_up: bool,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
    /// The command and its arguments
    #[arg(required = true, last = true)]
    command: Vec<String>,
}

impl Add {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let body = CronJobCreate {
            name: self.name,
            command: command_line(&self.command),
            schedule: self.schedule,
            timezone: self.timezone,
            concurrency_policy: self.overlap,
            maintenance: self.maintenance.then_some(true),
            catch_up: self.no_catch_up.then_some(false),
            timeout: self.timeout,
        };
        let now = session.environment.now;
        let message = format!("Adding a cron job to {}", session.output.app(&app));
        let path = app_path(&app, "/cron-jobs");
        let add = || client.post(&path, &body);
        let job: CronJob = session.output.action(&message, add, |_, job: &CronJob| {
            let next = job.next_run_at.as_ref().map(|at| with_wait(at, now)).unwrap_or_default();
            Some(format!("{} runs at {next}", job.name))
        })?;
        if self.json.json { session.output.json(&job) } else { Ok(()) }
    }
}

/// A job of an app.
#[derive(Clone, Debug, clap::Args)]
pub struct Named {
    /// The job's name
    name: String,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Named {
    fn start(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = job_path(&app, &self.name, "/runs");
        let message = format!("Running {} on {}", self.name, session.output.app(&app));
        let start = || client.post(&path, &serde_json::Map::new());
        let run: CronRun =
            session.output.action(&message, start, |_, run: &CronRun| Some(run.name.clone()))?;
        if self.json.json {
            return session.output.json(&run);
        }
        if run.status == "failed" {
            return Err(CliError::refused(run.reason.unwrap_or_else(|| "It failed.".to_owned())));
        }
        let follow = format!("windlass logs --ps {} --tail", run.name);
        session.output.note(format!(
            "Follow it with `{follow}`; `windlass cron:output {}` shows what it said.",
            self.name
        ))
    }

    fn suspend(self, session: &mut Session, suspended: bool) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let (path, now) = (job_path(&app, &self.name, ""), session.environment.now);
        let verb = if suspended { "Suspending" } else { "Resuming" };
        let message = format!("{verb} cron job {} of {}", self.name, session.output.app(&app));
        let body = CronJobUpdate { suspended: Some(suspended) };
        let change = || client.patch(&path, &body);
        let job: CronJob = session.output.action(&message, change, |_, job: &CronJob| {
            job.next_run_at.as_ref().map(|at| format!("it runs at {}", with_wait(at, now)))
        })?;
        if self.json.json { session.output.json(&job) } else { Ok(()) }
    }

    fn remove(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let path = job_path(&app, &self.name, "");
        let message = format!("Removing cron job {} of {}", self.name, session.output.app(&app));
        session.output.action(&message, || client.delete(&path), |_, ()| None)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Runs {
    /// The job's name
    name: String,
    /// How many to show, the newest first
    #[arg(short, long, value_name = "NUMBER", default_value_t = 15)]
    num: usize,
    #[command(flatten)]
    app: AppArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Runs {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let mut runs: Vec<CronRun> =
            client.list(&job_path(&app, &self.name, "/runs"), Range::All)?;
        runs.sort_by_key(|run| std::cmp::Reverse(run.number));
        runs.truncate(self.num);
        if self.json.json {
            return session.output.json(&runs);
        }
        if runs.is_empty() {
            return session.output.note(format!("{} has not run yet.", self.name));
        }
        let mut table = Table::new(&["Run", "Started", "Duration", "Result", "Cause", "Why"]);
        for run in runs {
            let result = result(&run);
            table.row(vec![
                run.name.into(),
                with_age(&run.started_at, session.environment.now).into(),
                run.duration
                    .filter(|_| run.release.is_some())
                    .map(duration)
                    .unwrap_or_default()
                    .into(),
                result,
                run.cause.replace('_', " ").into(),
                run.reason.unwrap_or_default().into(),
            ]);
        }
        session.output.heading(&format!("{app} Runs of {}", self.name))?;
        session.output.table(&table)
    }
}

/// Returns milliseconds as people say them: `0.3s`, `2m 5s`, `1h 4m`.
fn duration(milliseconds: u64) -> String {
    match milliseconds / 1_000 {
        0..60 => format!("{:.1}s", milliseconds as f64 / 1_000.0),
        seconds @ 60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        seconds => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Output {
    /// The job's name
    name: String,
    /// The run: cron.7 or 7 [default: the last]
    run: Option<String>,
    #[command(flatten)]
    app: AppArguments,
}

impl Output {
    fn run(self, session: &mut Session) -> Result<()> {
        let (client, app) = session.app_client(&self.app)?;
        let run = self.run.as_deref().unwrap_or("last");
        let path = job_path(&app, &self.name, &format!("/runs/{}/output", encoded(run)));
        let mut text = Vec::new();
        client
            .get_stream(&path)?
            .read_to_end(&mut text)
            .map_err(|error| CliError::file("The output broke off", &error))?;
        session.output.said(&text)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (milliseconds, text) in
            [(0, "0.0s"), (1_250, "1.2s"), (125_000, "2m 5s"), (3_845_000, "1h 4m")]
        {
            assert_eq!(duration(milliseconds), text);
        }
    }
}
