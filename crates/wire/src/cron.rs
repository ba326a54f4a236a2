use serde::{Deserialize, Serialize};

/// `GET /apps/:app/cron-jobs`: a command that runs at times.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct CronJob {
    pub id: String,
    pub name: String,
    pub command: String,
    /// Five fields of crontab(5), or `@daily` and the like.
    pub schedule: String,
    /// An IANA name.
    pub timezone: String,
    /// `allow`, `forbid` or `replace`.
    pub concurrency_policy: String,
    /// Whether it runs in maintenance mode too.
    pub maintenance: bool,
    /// Whether it is made up for when the server was away.
    pub catch_up: bool,
    /// Seconds.
    pub timeout: u64,
    /// `app.json` or `user`.
    pub source: String,
    pub suspended: bool,
    /// `None` while it is suspended.
    pub next_run_at: Option<String>,
    pub last_run: Option<CronRun>,
    pub created_at: String,
    pub updated_at: String,
}

/// `GET /apps/:app/cron-jobs/:job/runs`: one time that a job ran, or did not.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct CronRun {
    pub id: String,
    /// `cron.7`, counted within the app.
    pub name: String,
    pub number: u32,
    /// The job's name.
    pub job: String,
    /// `schedule`, `catch_up` or `manual`.
    pub cause: String,
    /// `running`, `succeeded`, `failed`, `timed_out`, `replaced`, `lost`, `skipped` or `missed`.
    pub status: String,
    pub command: String,
    /// The version of the release that it ran on.
    pub release: Option<u32>,
    pub exit_code: Option<i32>,
    /// Why, in words.
    pub reason: Option<String>,
    pub scheduled_at: Option<String>,
    pub started_at: String,
    pub ended_at: Option<String>,
    /// Milliseconds from start to end.
    pub duration: Option<u64>,
}

/// `POST /apps/:app/cron-jobs`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct CronJobCreate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub command: String,
    pub schedule: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_policy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<bool>,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// `PATCH /apps/:app/cron-jobs/:job`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct CronJobUpdate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<bool>,
}
