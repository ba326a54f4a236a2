//! Which users outside an app's containers run as: a range of its own for each app, kept for good
//! since files on disk may belong to it.

use crate::launch::{read_json, write_json};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use windlass_core::ids::AppId;

/// The first user of the first range.
const FIRST: u32 = 100_000;
const RANGE: u32 = 65_536;

#[derive(Default, Serialize, Deserialize)]
struct Table {
    ranges: BTreeMap<AppId, u32>,
}

/// The table of ranges, in `userns.json`.
pub struct UserRanges {
    path: PathBuf,
    table: Mutex<Table>,
}

impl UserRanges {
    /// Reads the table; there need not be one.
    pub fn open(path: &Path) -> io::Result<Self> {
        let table = match read_json(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Table::default(),
            other => other?,
        };
        Ok(Self { path: path.to_owned(), table: Mutex::new(table) })
    }

    /// Returns the first user of `app`'s range, giving it one if it has none.
    pub fn base(&self, app: AppId) -> io::Result<u32> {
        Ok(FIRST + self.number(app)? * RANGE)
    }

    /// Returns which range `app` has, counted from 0, giving it one if it has none. No other app
    /// ever gets the same number.
    pub fn number(&self, app: AppId) -> io::Result<u32> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = table.ranges.get(&app) {
            return Ok(*number);
        }
        let number = table.ranges.values().max().map_or(0, |highest| highest + 1);
        if number >= (u32::MAX - FIRST) / RANGE {
            return Err(io::Error::other("all user ranges are taken by apps"));
        }
        table.ranges.insert(app, number);
        if let Err(error) = write_json(&self.path, &*table) {
            table.ranges.remove(&app);
            return Err(error);
        }
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_differ_and_last() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("userns.json");
        let (first, second) = (AppId::random(), AppId::random());
        let ranges = UserRanges::open(&path).unwrap();
        assert_eq!(ranges.base(first).unwrap(), 100_000);
        assert_eq!(ranges.base(second).unwrap(), 165_536);
        let again = UserRanges::open(&path).unwrap();
        assert_eq!(again.base(second).unwrap(), 165_536);
        assert_eq!(again.base(AppId::random()).unwrap(), 231_072);
    }
}
