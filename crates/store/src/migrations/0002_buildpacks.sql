-- The buildpacks that somebody chose for an app, in order.
CREATE TABLE buildpacks (
    app TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    buildpack TEXT NOT NULL,
    PRIMARY KEY (app, position)
) STRICT;

-- Those that a build used, as a JSON list.
ALTER TABLE builds ADD COLUMN buildpacks TEXT NOT NULL DEFAULT '[]';
