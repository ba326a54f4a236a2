-- Where the source of an app is fetched from, and how it gets in.
CREATE TABLE git_sources (
    app TEXT PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    url TEXT NOT NULL,
    ref TEXT
) STRICT;

-- Sealed: the seed of an Ed25519 key.
CREATE TABLE deploy_keys (
    app TEXT PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    seed BLOB NOT NULL
) STRICT;

-- Sealed: what other hosts sign their calls with.
CREATE TABLE webhooks (
    app TEXT PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    secret BLOB NOT NULL
) STRICT;

-- Tokens for git hosts, sealed.
CREATE TABLE git_credentials (
    user TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    origin TEXT NOT NULL,
    username TEXT NOT NULL,
    token BLOB NOT NULL,
    PRIMARY KEY (user, origin)
) STRICT;
