ALTER TABLE users ADD COLUMN name TEXT;
ALTER TABLE users ADD COLUMN last_login_at INTEGER;
-- Somebody who left: kept because builds and releases name who made them.
ALTER TABLE users ADD COLUMN removed_at INTEGER;

ALTER TABLE tokens ADD COLUMN scope TEXT NOT NULL DEFAULT 'global';
ALTER TABLE tokens ADD COLUMN expires_at INTEGER;
ALTER TABLE tokens ADD COLUMN updated_at INTEGER;
UPDATE tokens SET updated_at = created_at;

CREATE TABLE teams (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE team_members (
    id TEXT PRIMARY KEY,
    team TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    user TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (team, user)
) STRICT;
CREATE INDEX teams_of_user ON team_members (user);

ALTER TABLE apps ADD COLUMN team TEXT REFERENCES teams (id);
ALTER TABLE apps ADD COLUMN locked INTEGER NOT NULL DEFAULT 0;
CREATE INDEX apps_of_team ON apps (team);

CREATE TABLE collaborators (
    id TEXT PRIMARY KEY,
    app TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    user TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    permissions TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (app, user)
) STRICT;
CREATE INDEX collaborations_of_user ON collaborators (user);

-- `hash` is the SHA-256 of the secret in the link; `team` and `role` say where it leads beside
-- the server.
CREATE TABLE invitations (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    invited_by TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    team TEXT REFERENCES teams (id) ON DELETE CASCADE,
    role TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX invitations_by_email ON invitations (email);

CREATE TABLE app_transfers (
    id TEXT PRIMARY KEY,
    app TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    owner TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    recipient TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- `secret` is sealed; `confirmed_at` is set once a code of it was seen; `last_step` is the time
-- step of the last code taken, since none may be used twice.
CREATE TABLE second_factors (
    user TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    secret BLOB NOT NULL,
    confirmed_at INTEGER,
    last_step INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE recovery_codes (
    user TEXT NOT NULL REFERENCES second_factors (user) ON DELETE CASCADE,
    hash BLOB NOT NULL,
    PRIMARY KEY (user, hash)
) STRICT;

-- No references: what was done stays when app and user are gone.
CREATE TABLE activity (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    user TEXT NOT NULL,
    email TEXT NOT NULL,
    token TEXT,
    app TEXT,
    app_name TEXT,
    action TEXT NOT NULL,
    address TEXT,
    request TEXT
) STRICT;
CREATE INDEX activity_of_app ON activity (app, number);
