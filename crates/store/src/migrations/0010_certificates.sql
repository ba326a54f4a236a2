-- Certificates of apps; without an app: for the platform's own domain.
CREATE TABLE certificates (
    id TEXT PRIMARY KEY,
    app TEXT REFERENCES apps (id) ON DELETE CASCADE,
    name TEXT NOT NULL UNIQUE,
    origin TEXT NOT NULL,
    -- JSON.
    names TEXT NOT NULL,
    chain TEXT NOT NULL,
    -- Sealed.
    key BLOB NOT NULL,
    not_after INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX certificates_of_app ON certificates (app);

-- The certificate that somebody chose for a domain; NULL: whichever covers it.
ALTER TABLE domains ADD COLUMN certificate TEXT REFERENCES certificates (id) ON DELETE SET NULL;

-- The private authority, if it was needed yet.
CREATE TABLE certificate_authority (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    certificate TEXT NOT NULL,
    -- Sealed.
    key BLOB NOT NULL,
    -- The endings of names that it may sign for, as JSON.
    permitted TEXT NOT NULL
) STRICT;
