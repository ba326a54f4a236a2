-- What was pushed to the registry. Manifests are small and kept here; the bytes of blobs are files.
CREATE TABLE registry_manifests (
    app TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    process TEXT NOT NULL,
    digest TEXT NOT NULL,
    media_type TEXT NOT NULL,
    document BLOB NOT NULL,
    -- Of the image's config: by it, clients name an image.
    config TEXT NOT NULL,
    -- What it became in the image store.
    image TEXT NOT NULL,
    pushed_at INTEGER NOT NULL,
    PRIMARY KEY (app, process, digest)
) STRICT;

CREATE TABLE registry_tags (
    app TEXT NOT NULL,
    process TEXT NOT NULL,
    tag TEXT NOT NULL,
    digest TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (app, process, tag),
    FOREIGN KEY (app, process, digest) REFERENCES registry_manifests (app, process, digest) ON DELETE CASCADE
) STRICT;

-- Which repository may use which blob. One blob may be in many.
CREATE TABLE registry_blobs (
    app TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    process TEXT NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    PRIMARY KEY (app, process, digest)
) STRICT;

-- Slugs that clients send. Those of builds are not here: a build has one.
CREATE TABLE slugs (
    id TEXT PRIMARY KEY,
    app TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    user TEXT NOT NULL,
    processes TEXT NOT NULL,
    commit_id TEXT,
    commit_description TEXT,
    checksum TEXT,
    buildpack TEXT,
    -- As sent, in bytes; NULL until then.
    size INTEGER,
    -- NULL until it is released.
    image TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX slugs_of_app ON slugs (app, created_at);
