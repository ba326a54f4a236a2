-- An account at a certificate authority, by the URL of its directory. The credentials are sealed.
CREATE TABLE acme_accounts (
    directory   TEXT PRIMARY KEY,
    email       TEXT NOT NULL,
    credentials BLOB NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

-- What is known of each automatic certificate, by its first name. The certificates themselves are
-- with all others. What another directory issued or refused counts for nothing.
CREATE TABLE acme_certificates (
    name            TEXT PRIMARY KEY,
    app             TEXT REFERENCES apps (id) ON DELETE CASCADE,
    directory       TEXT NOT NULL,
    not_before      INTEGER,
    not_after       INTEGER,
    renew_at        INTEGER,
    failures        INTEGER NOT NULL DEFAULT 0,
    failure_kind    TEXT,
    failure_message TEXT,
    failure_at      INTEGER,
    next_at         INTEGER NOT NULL DEFAULT 0,
    checked_at      INTEGER
) STRICT;

-- Apps whose owner wants no automatic certificates.
CREATE TABLE acme_disabled (
    app TEXT PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE
) STRICT;
