//! What the tests share: one server, and repositories.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use windlass_testkit::git::Repository;
use windlass_testkit::server::TestServer;
use windlass_testkit::skip;

/// The binary under test.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_windlass"))
}

/// Returns the server that tests share while any of them runs; `None` (and says why) where no
/// server can run.
pub fn start_shared() -> Option<Arc<TestServer>> {
    static SHARED: Mutex<Weak<TestServer>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(server) = shared.upgrade() {
        return Some(server);
    }
    let server = start_own(&[])?;
    *shared = Arc::downgrade(&server);
    Some(server)
}

/// Returns a server for one test, which may do to it what it likes.
pub fn start_own(settings: &[(&str, &str)]) -> Option<Arc<TestServer>> {
    start_own_of(binary(), settings)
}

/// The same with another binary.
pub fn start_own_of(binary: &Path, settings: &[(&str, &str)]) -> Option<Arc<TestServer>> {
    match TestServer::start_with(binary, settings) {
        Ok(server) => Some(server),
        Err(unavailable) => {
            skip(&unavailable.0);
            None
        }
    }
}

/// The shared server, or the end of the test.
macro_rules! shared_server {
    () => {
        match crate::support::start_shared() {
            Some(server) => server,
            None => return,
        }
    };
}

/// A server of one's own, or the end of the test.
macro_rules! own_server {
    () => {
        own_server!(&[])
    };
    ($settings:expr) => {
        match crate::support::start_own($settings) {
            Some(server) => server,
            None => return,
        }
    };
}

pub(crate) use {own_server, shared_server};

/// The app that most tests use: it pushes fast and can misbehave.
pub fn python() -> Repository {
    Repository::of_example("python-stdlib")
}

/// The same with another version.
pub fn python_version(version: &str) -> Repository {
    let repository = python();
    repository.change("VERSION", version);
    repository
}
