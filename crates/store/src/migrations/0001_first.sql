CREATE TABLE users (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    user TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash BLOB NOT NULL UNIQUE,
    description TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT;

CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    user TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    public_key TEXT NOT NULL,
    comment TEXT NOT NULL,
    fingerprint TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE apps (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL REFERENCES users (id),
    maintenance INTEGER NOT NULL DEFAULT 0,
    restart_generation INTEGER NOT NULL DEFAULT 0,
    current_release INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    released_at INTEGER
) STRICT;

CREATE TABLE formation (
    id TEXT PRIMARY KEY,
    app TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    process TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (app, process)
) STRICT;

CREATE TABLE builds (
    id TEXT PRIMARY KEY,
    app TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    user TEXT NOT NULL REFERENCES users (id),
    status TEXT NOT NULL,
    commit_id TEXT,
    buildpack TEXT,
    image TEXT,
    image_size INTEGER,
    failure TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX builds_of_app ON builds (app, created_at);

CREATE TABLE releases (
    id TEXT PRIMARY KEY,
    app TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    version INTEGER NOT NULL,
    status TEXT NOT NULL,
    description TEXT NOT NULL,
    failure TEXT,
    user TEXT NOT NULL REFERENCES users (id),
    build TEXT REFERENCES builds (id) ON DELETE SET NULL,
    image TEXT,
    config_vars BLOB NOT NULL,
    processes TEXT NOT NULL,
    commit_id TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (app, version)
) STRICT;

CREATE TABLE domains (
    id TEXT PRIMARY KEY,
    app TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    hostname TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;
