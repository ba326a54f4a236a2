-- What app.json says about running a release: checks and cron jobs, as JSON.
ALTER TABLE releases ADD COLUMN manifest TEXT NOT NULL DEFAULT '{}';
