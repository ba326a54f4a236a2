//! The section `cron`: Dokku's keys, and some of our own.

use super::CronJob;
use super::at::{AppJsonError, At};
use crate::cron::{CronSettings, Overlap};
use crate::limits::CRON_JOBS_PER_APP;
use crate::names::CronName;

type Result<T> = std::result::Result<T, AppJsonError>;

const OURS: &[&str] = &["name", "timezone", "catch_up", "timeout"];
const DOKKUS: &[&str] = &["command", "schedule", "maintenance", "concurrency_policy"];

pub(super) fn read(list: &At<'_>, warnings: &mut Vec<String>) -> Result<Vec<CronJob>> {
    let items = list.items()?;
    if items.len() > CRON_JOBS_PER_APP {
        return Err(list.invalid(format!("an app has at most {CRON_JOBS_PER_APP} cron jobs")));
    }
    let mut jobs: Vec<CronJob> = Vec::new();
    for at in items {
        let job = job(&at, warnings)?;
        if job.name.is_some() && jobs.iter().any(|other| other.name == job.name) {
            return Err(at.invalid("another job has the same name"));
        }
        jobs.push(job);
    }
    Ok(jobs)
}

fn job(at: &At<'_>, warnings: &mut Vec<String>) -> Result<CronJob> {
    at.warn_of_others(&[DOKKUS, OURS].concat(), warnings)?;
    let command = at.needed_text("command")?;
    let mut settings = CronSettings::new(command, at.needed_text("schedule")?);
    if let Some(at) = at.field("timezone") {
        settings.timezone = Some(at.some_text()?.to_owned());
    }
    if let Some(at) = at.field("maintenance") {
        settings.maintenance = at.truth()?;
    }
    if let Some(at) = at.field("catch_up") {
        settings.catch_up = at.truth()?;
    }
    if let Some(at) = at.field("timeout") {
        settings.timeout = at.whole_number()?;
    }
    if let Some(at) = at.field("concurrency_policy") {
        let policy: std::result::Result<Overlap, _> = at.some_text()?.parse();
        settings.overlap = policy.map_err(|error| at.invalid(error.to_string()))?;
    }
    let name = at.field("name").map(|at| {
        let name: std::result::Result<CronName, _> = at.some_text()?.parse();
        name.map_err(|error| at.invalid(error.to_string()))
    });
    match settings.check() {
        Ok(_) => Ok(CronJob { name: name.transpose()?, settings }),
        Err(error) => match at.field(error.field) {
            Some(at) => Err(at.invalid(error.problem)),
            None => Err(at.invalid(error.to_string())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::AppJson;

    #[test]
    fn jobs_are_read_with_all_their_keys() {
        let app = AppJson::parse(
            br#"{"cron": [
                {"command": "rake clean", "schedule": "@daily"},
                {"name": "report", "command": "rake report", "schedule": "30 4 * * mon-fri",
                 "timezone": "Europe/Berlin", "maintenance": true, "catch_up": false,
                 "concurrency_policy": "forbid", "timeout": 600}
            ]}"#,
        );
        let app = app.unwrap();
        assert!(app.warnings.is_empty());
        let [clean, report] = &app.cron[..] else { panic!("{:?}", app.cron) };
        assert_eq!(clean.name, None);
        assert_eq!(clean.settings, super::CronSettings::new("rake clean", "@daily"));
        assert_eq!(report.name.as_ref().unwrap().as_str(), "report");
        let settings = &report.settings;
        assert_eq!(settings.timezone.as_deref(), Some("Europe/Berlin"));
        assert_eq!((settings.overlap, settings.timeout), (super::Overlap::Forbid, 600));
        assert!(settings.maintenance && !settings.catch_up);
        // As it is stored with a release.
        let stored = serde_json::to_string(&app.cron).unwrap();
        assert_eq!(serde_json::from_str::<Vec<super::CronJob>>(&stored).unwrap(), app.cron);
    }

    #[test]
    fn errors_name_the_place() {
        let table = [
            (
                r#""schedule": "61 * * * *""#,
                "cron[0].schedule: \"61\" is no minute: it goes from 0 to 59",
            ),
            (
                r#""schedule": "@daily", "timezone": "Mars""#,
                "cron[0].timezone: \"Mars\" is no time zone",
            ),
            (
                r#""schedule": "@daily", "concurrency_policy": "never""#,
                "cron[0].concurrency_policy: \"never\" is no overlap policy: allow, forbid, replace",
            ),
            (r#""schedule": "@daily", "timeout": 0"#, "cron[0].timeout: is between 1 and"),
            (
                r#""schedule": "@daily", "name": "A b""#,
                "cron[0].name: \"A b\" is not a cron job's name",
            ),
            (
                r#""schedule": "@daily", "maintenance": 1"#,
                "cron[0].maintenance must be true or false",
            ),
        ];
        for (rest, message) in table {
            let text = format!(r#"{{"cron": [{{"command": "x", {rest}}}]}}"#);
            let error = AppJson::parse(text.as_bytes()).expect_err(rest).to_string();
            assert!(error.contains(message), "{error}");
        }
        let twice = r#"{"cron": [{"name": "a", "command": "x", "schedule": "@daily"}, {"name": "a", "command": "y", "schedule": "@daily"}]}"#;
        let error = AppJson::parse(twice.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "app.json: cron[1]: another job has the same name");
    }
}
