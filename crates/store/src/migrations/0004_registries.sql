-- Logins to image registries; the password is sealed. Without a user name it is only known how to
-- reach the registry.
CREATE TABLE registries (
    host TEXT PRIMARY KEY,
    username TEXT,
    password BLOB NOT NULL,
    insecure INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
