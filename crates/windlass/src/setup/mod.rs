//! `windlass setup`: installs the host packages that Windlass delegates to and builds the stack.

mod apt_sources;
pub(crate) mod child;
mod host_packages;
mod lock;
mod log;
mod packages_in;
mod progress;
mod recipe;
mod stack;

pub use progress::Progress;
pub use stack::{StackState, stack_state};

use std::path::{Path, PathBuf};
use windlass_oci::{ImageStore, OciError};

/// The stack that builds and apps use.
pub const DEFAULT_STACK: &str = "debian-12";

/// What to set up.
#[derive(Clone, Debug)]
pub struct SetupArgs {
    /// Windlass keeps everything below this directory.
    pub data_dir: PathBuf,
    /// Install host packages without asking.
    pub yes: bool,
    /// The stack to build, for example `debian-12`.
    pub suite: String,
    /// Build the stack even if it is there.
    pub force: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("{0}")]
    Unusable(String),
    #[error("{action} {subject}: {source}")]
    Io { action: &'static str, subject: String, source: std::io::Error },
    #[error(
        "{what} failed ({status}); all of its output is in setup.log of the data directory. The end:\n  {output}"
    )]
    ChildFailed { what: String, status: std::process::ExitStatus, output: String },
    #[error("{what} was stopped: it took longer than {seconds} seconds")]
    TimedOut { what: String, seconds: u64 },
    #[error("image store: {}", with_cause(.0))]
    Images(#[from] OciError),
}

impl SetupError {
    fn io(action: &'static str, subject: &str) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let subject = subject.to_owned();
        move |source| Self::Io { action, subject, source }
    }
}

fn with_cause(error: &OciError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Returns where the images are below the data directory.
#[must_use]
pub fn image_directory(data_dir: &Path) -> PathBuf {
    data_dir.join("images")
}

/// Installs missing host packages and builds a missing stack. Takes one to two minutes the first
/// time and a few milliseconds when all is there. Needs root. Call it from a thread that may block
/// and lives on: the children are ended with the thread that started them.
pub fn run(args: &SetupArgs, out: &mut Progress) -> Result<(), SetupError> {
    let recipe = recipe::Recipe::of(&args.suite)?;
    if !is_root()? {
        return Err(SetupError::Unusable(
            "setting up needs root; run `sudo windlass setup`".to_owned(),
        ));
    }
    std::fs::create_dir_all(&args.data_dir)
        .map_err(SetupError::io("cannot make", &args.data_dir.display().to_string()))?;
    let mut lock = lock::SetupLock::acquire(&args.data_dir)?;
    let mut log = log::SetupLog::new(args.data_dir.join("setup.log"));
    let store = ImageStore::open(&image_directory(&args.data_dir))?;
    lock.remove_left_overs(&store)?;

    host_packages::ensure(args, out, &mut log)?;
    match stack_state(&store, &args.suite)? {
        StackState::Ready(stack) if !args.force => {
            out.line(&format!("Stack {}", args.suite), &format!("there, built {}", stack.built));
            if stack.recipe_changed {
                out.line("", "its recipe has changed since; run `windlass setup --force`");
            }
            Ok(())
        }
        _ => stack::build(&recipe, args.force, &store, &mut lock, &mut log, out),
    }
}

/// Says whether this process may do everything.
pub fn is_root() -> Result<bool, SetupError> {
    let status = std::fs::read_to_string("/proc/self/status")
        .map_err(SetupError::io("cannot read", "process status"))?;
    let effective =
        status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().nth(1));
    Ok(effective == Some("0"))
}
