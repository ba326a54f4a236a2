//! The database from outside of a server: copies of it, and its schema.

use crate::{Result, StoreError, migrations};
use rusqlite::{Connection, OpenFlags};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Returns the newest schema that this version knows.
#[must_use]
pub fn known_schema() -> u32 {
    migrations::known()
}

/// Returns the schema of the database below `directory`; `None` where there is none yet.
pub fn schema_of(directory: &Path) -> Result<Option<u32>> {
    let file = directory.join("windlass.db");
    if !file.exists() {
        return Ok(None);
    }
    let connection = open(&file)?;
    Ok(Some(connection.pragma_query_value(None, "user_version", |row| row.get(0))?))
}

/// Writes the database below `directory` as it is at this moment to the file `copy`, which must
/// not be there. A server may be using it meanwhile.
pub fn copy_database(directory: &Path, copy: &Path) -> Result<()> {
    let connection = open(&directory.join("windlass.db"))?;
    let text = copy
        .to_str()
        .ok_or_else(|| StoreError::Unreadable(format!("{} is no path in UTF-8", copy.display())))?;
    connection.execute("VACUUM INTO ?1", [text])?;
    let closed = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(copy, closed).map_err(|source| StoreError::Io {
        action: "close to others",
        path: copy.to_owned(),
        source,
    })
}

fn open(file: &Path) -> Result<Connection> {
    // Not read-only: the log beside the database may have to be read, which wants a lock in it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    Ok(connection)
}
