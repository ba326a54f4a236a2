-- Commands that run at times, and their history.
CREATE TABLE cron_jobs (
    id TEXT PRIMARY KEY,
    app TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- JSON.
    settings TEXT NOT NULL,
    from_app_json INTEGER NOT NULL,
    suspended INTEGER NOT NULL,
    -- NULL while it is suspended.
    next_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (app, name)
) STRICT;

CREATE TABLE cron_runs (
    id TEXT PRIMARY KEY,
    app TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    -- The job's name: history outlives the job.
    job TEXT NOT NULL,
    -- Counted from 1 within the app; people say cron.1.
    number INTEGER NOT NULL,
    cause TEXT NOT NULL,
    status TEXT NOT NULL,
    -- The status that it will have when it has ended, if it is being stopped.
    ending TEXT,
    command TEXT NOT NULL,
    release INTEGER,
    instance TEXT UNIQUE,
    -- Seconds.
    timeout INTEGER NOT NULL,
    scheduled_at INTEGER,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    exit_code INTEGER,
    reason TEXT,
    UNIQUE (app, number)
) STRICT;
CREATE INDEX cron_runs_of_job ON cron_runs (app, job, number);
CREATE INDEX cron_runs_under_way ON cron_runs (app) WHERE ended_at IS NULL;

-- The release whose jobs are in force.
ALTER TABLE apps ADD COLUMN cron_release INTEGER NOT NULL DEFAULT 0;
-- The number of the last run.
ALTER TABLE apps ADD COLUMN cron_runs INTEGER NOT NULL DEFAULT 0;
