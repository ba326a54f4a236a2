-- How an app's deploys go, as JSON: settings, lock, whether it is stopped, its canary.
ALTER TABLE apps ADD COLUMN deploys TEXT NOT NULL DEFAULT '{}';
