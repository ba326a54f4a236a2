//! State in one SQLite file: migrations, one file a noun.
