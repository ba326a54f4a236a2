-- Storage that outlives instances. A volume stays when its app goes.
CREATE TABLE volumes (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    owner TEXT NOT NULL REFERENCES users (id),
    app TEXT REFERENCES apps (id) ON DELETE SET NULL,
    -- The name of the app that has it, or had it last.
    app_name TEXT NOT NULL,
    size INTEGER,
    host_folder TEXT,
    mount_path TEXT NOT NULL,
    -- A JSON list of process types; empty for all.
    processes TEXT NOT NULL,
    shared INTEGER NOT NULL,
    mounted INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (app, name)
) STRICT;

CREATE TABLE volume_snapshots (
    id TEXT PRIMARY KEY,
    volume TEXT NOT NULL REFERENCES volumes (id) ON DELETE CASCADE,
    -- Counted from 1 within the volume; people say s1.
    number INTEGER NOT NULL,
    size INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (volume, number)
) STRICT;
