-- Apps of one program at different stages. An owner is a user or a team.
CREATE TABLE pipelines (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    owner_type TEXT NOT NULL,
    repository TEXT,
    deploy_key BLOB,
    webhook_secret BLOB,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE pipeline_couplings (
    id TEXT PRIMARY KEY,
    pipeline TEXT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    app TEXT NOT NULL UNIQUE REFERENCES apps (id) ON DELETE CASCADE,
    stage TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX couplings_of_pipeline ON pipeline_couplings (pipeline);

-- Config vars of the apps that are made in a stage, sealed as those of releases.
CREATE TABLE pipeline_config_vars (
    pipeline TEXT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    stage TEXT NOT NULL,
    config_vars BLOB NOT NULL,
    PRIMARY KEY (pipeline, stage)
) STRICT;

CREATE TABLE promotions (
    id TEXT PRIMARY KEY,
    pipeline TEXT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    source_app TEXT NOT NULL,
    source_release TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- Apps may be gone: what was done to them is still told.
CREATE TABLE promotion_targets (
    id TEXT PRIMARY KEY,
    promotion TEXT NOT NULL REFERENCES promotions (id) ON DELETE CASCADE,
    app TEXT NOT NULL,
    release TEXT,
    status TEXT NOT NULL,
    error TEXT
) STRICT;
CREATE INDEX targets_of_promotion ON promotion_targets (promotion);

CREATE TABLE app_setups (
    id TEXT PRIMARY KEY,
    app TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    user TEXT NOT NULL REFERENCES users (id),
    status TEXT NOT NULL,
    failure TEXT,
    build TEXT,
    postdeploy_output TEXT,
    postdeploy_exit INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE review_app_configs (
    pipeline TEXT PRIMARY KEY REFERENCES pipelines (id) ON DELETE CASCADE,
    automatic INTEGER NOT NULL,
    destroy_stale INTEGER NOT NULL,
    stale_days INTEGER NOT NULL,
    base_name TEXT
) STRICT;

-- A review app is remembered after its app is gone.
CREATE TABLE review_apps (
    id TEXT PRIMARY KEY,
    pipeline TEXT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    branch TEXT NOT NULL,
    request INTEGER,
    creator TEXT NOT NULL REFERENCES users (id),
    app TEXT REFERENCES apps (id) ON DELETE SET NULL,
    setup TEXT REFERENCES app_setups (id) ON DELETE SET NULL,
    status TEXT NOT NULL,
    message TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX review_apps_of_pipeline ON review_apps (pipeline);
