-- How an app's requests are routed, as JSON; apps for which nobody chose anything have no row.
-- A table of its own: own pages are long, and apps are read at each request of the API.
CREATE TABLE routing_settings (
    app TEXT PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    settings TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
