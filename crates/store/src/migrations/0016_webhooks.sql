-- No reference to the app: that it is gone is told as well, and then they go.
CREATE TABLE app_webhooks (
    id TEXT PRIMARY KEY,
    app TEXT NOT NULL,
    -- JSON.
    include TEXT NOT NULL,
    level TEXT NOT NULL,
    -- Sealed JSON: url, secret, authorization.
    target BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX app_webhooks_of_app ON app_webhooks (app);

-- An app that has webhooks, as they were last told of it. `changes` counts what has changed in the
-- tables below; `told` is how far events have been made of it.
CREATE TABLE watched_apps (
    app TEXT PRIMARY KEY,
    changes INTEGER NOT NULL DEFAULT 0,
    told INTEGER NOT NULL DEFAULT 0,
    -- JSON.
    resources TEXT NOT NULL
) STRICT;
CREATE INDEX watched_apps_changed ON watched_apps (app) WHERE changes != told;

CREATE TABLE webhook_events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    app TEXT NOT NULL,
    include TEXT NOT NULL,
    -- JSON.
    payload TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX webhook_events_of_app ON webhook_events (app, number);

CREATE TABLE webhook_deliveries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    app TEXT NOT NULL,
    webhook TEXT NOT NULL,
    level TEXT NOT NULL,
    event TEXT NOT NULL REFERENCES webhook_events (id) ON DELETE CASCADE,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    -- NULL: it is over.
    next_attempt_at INTEGER,
    -- JSON, or NULL before the first.
    last_attempt TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX webhook_deliveries_of_app ON webhook_deliveries (app, number);
CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (webhook, number)
    WHERE next_attempt_at IS NOT NULL;
CREATE INDEX webhook_deliveries_of_event ON webhook_deliveries (event);

CREATE TABLE log_drains (
    id TEXT PRIMARY KEY,
    app TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    token TEXT NOT NULL UNIQUE,
    -- Sealed: it may hold a password.
    url BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX log_drains_of_app ON log_drains (app);

-- What webhooks are told of: every write to it counts, whoever makes it, in its own transaction.
CREATE TRIGGER apps_update_is_told AFTER UPDATE ON apps BEGIN
    UPDATE watched_apps SET changes = changes + 1 WHERE app = NEW.id;
END;
CREATE TRIGGER apps_delete_is_told AFTER DELETE ON apps BEGIN
    UPDATE watched_apps SET changes = changes + 1 WHERE app = OLD.id;
END;
CREATE TRIGGER builds_insert_is_told AFTER INSERT ON builds BEGIN
    UPDATE watched_apps SET changes = changes + 1 WHERE app = NEW.app;
END;
CREATE TRIGGER builds_update_is_told AFTER UPDATE ON builds BEGIN
    UPDATE watched_apps SET changes = changes + 1 WHERE app = NEW.app;
END;
CREATE TRIGGER builds_delete_is_told AFTER DELETE ON builds BEGIN
    UPDATE watched_apps SET changes = changes + 1 WHERE app = OLD.app;
END;
CREATE TRIGGER collaborators_insert_is_told AFTER INSERT ON collaborators BEGIN
    UPDATE watched_apps SET changes = changes + 1 WHERE app = NEW.app;
END;
CREATE TRIGGER collaborators_update_is_told AFTER UPDATE ON collaborators BEGIN
    UPDATE watched_apps SET changes = changes + 1 WHERE app = NEW.app;
END;
CREATE TRIGGER collaborators_delete_is_told AFTER DELETE ON collaborators BEGIN
    UPDATE watched_apps SET changes = changes + 1 WHERE app = OLD.app;
END;
CREATE TRIGGER domains_insert_is_told AFTER INSERT ON domains BEGIN
    UPDATE watched_apps SET changes = changes + 1 WHERE app = NEW.app;
END;
CREATE TRIGGER domains_update_is_told AFTER UPDATE ON domains BEGIN
    UPDATE watched_apps SET changes = changes + 1 WHERE app = NEW.app;
END;
CREATE TRIGGER domains_delete_is_told AFTER DELETE ON domains BEGIN
    UPDATE watched_apps SET changes = changes + 1 WHERE app = OLD.app;
END;
CREATE TRIGGER formation_insert_is_told AFTER INSERT ON formation BEGIN
    UPDATE watched_apps SET changes = changes + 1 WHERE app = NEW.app;
END;
CREATE TRIGGER formation_update_is_told AFTER UPDATE ON formation BEGIN
    UPDATE watched_apps SET changes = changes + 1 WHERE app = NEW.app;
END;
CREATE TRIGGER formation_delete_is_told AFTER DELETE ON formation BEGIN
    UPDATE watched_apps SET changes = changes + 1 WHERE app = OLD.app;
END;
CREATE TRIGGER releases_insert_is_told AFTER INSERT ON releases BEGIN
    UPDATE watched_apps SET changes = changes + 1 WHERE app = NEW.app;
END;
CREATE TRIGGER releases_update_is_told AFTER UPDATE ON releases BEGIN
    UPDATE watched_apps SET changes = changes + 1 WHERE app = NEW.app;
END;
CREATE TRIGGER releases_delete_is_told AFTER DELETE ON releases BEGIN
    UPDATE watched_apps SET changes = changes + 1 WHERE app = OLD.app;
END;
CREATE TRIGGER certificates_insert_is_told AFTER INSERT ON certificates BEGIN
    UPDATE watched_apps SET changes = changes + 1 WHERE app = NEW.app;
END;
CREATE TRIGGER certificates_update_is_told AFTER UPDATE ON certificates BEGIN
    UPDATE watched_apps SET changes = changes + 1 WHERE app = NEW.app;
END;
CREATE TRIGGER certificates_delete_is_told AFTER DELETE ON certificates BEGIN
    UPDATE watched_apps SET changes = changes + 1 WHERE app = OLD.app;
END;
