-- Links between apps on the private network. They have no direction; the lesser identifier comes
-- first, so that a link cannot be there twice.
CREATE TABLE network_links (
    id TEXT PRIMARY KEY,
    one TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    other TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    UNIQUE (one, other),
    CHECK (one < other)
) STRICT;
CREATE INDEX network_links_of_other ON network_links (other);
