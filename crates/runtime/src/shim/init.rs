//! The container's first process. Like `docker run --init` it starts the program as its child and
//! reaps orphans: a program that is itself process 1 ignores SIGTERM unless it handles it, which
//! most programs do not, and collects zombies that it knows nothing of.

use crate::sys::{self, Fork};
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};
use nix::unistd::{AccessFlags, access};
use seccompiler::BpfProgram;
use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Marks messages about the command in the errors that libcontainer hands back as text.
pub const COMMAND_NOT_FOUND: &str = "command-not-found: ";

/// Runs in the container, after everything else is in place: applies the system call filter,
/// forks and executes the command.
#[derive(Clone)]
pub struct InitExecutor {
    pub filter: Rc<BpfProgram>,
    /// Written to if the command cannot be executed; closed by its execution.
    pub report: Rc<OwnedFd>,
    pub working_directory: PathBuf,
}

impl Executor for InitExecutor {
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        let fail = ExecutorValidationError::ArgValidationError;
        nix::unistd::chdir(&self.working_directory).map_err(|error| {
            fail(format!("enter the working directory {:?}: {error}", self.working_directory))
        })?;
        let process = spec.process().as_ref().ok_or_else(|| fail("no process".to_owned()))?;
        let program = process.args().as_ref().and_then(|a| a.first()).map_or("", String::as_str);
        let environment = process.env().as_deref().unwrap_or_default();
        let path = environment.iter().find_map(|v| v.strip_prefix("PATH=")).unwrap_or_default();
        find_program(program, path)
            .map(drop)
            .map_err(|why| fail(format!("{COMMAND_NOT_FOUND}{why}")))
    }

    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let arguments = spec.process().as_ref().and_then(|p| p.args().as_ref());
        let arguments: Vec<CString> = arguments
            .ok_or(ExecutorError::InvalidArg)?
            .iter()
            .map(|argument| CString::new(argument.as_bytes()))
            .collect::<Result<_, _>>()
            .map_err(|_| ExecutorError::InvalidArg)?;
        sys::reset_signals();
        // Fails for an empty filter too.
        seccompiler::apply_filter(&self.filter).map_err(|e| self.failed(&e.to_string()))?;
        match sys::fork().map_err(|e| self.failed(&e.to_string()))? {
            Fork::Child => {
                let Err(error) = nix::unistd::execvp(&arguments[0], &arguments);
                self.failed(&format!(
                    "{COMMAND_NOT_FOUND}{}: {error}",
                    arguments[0].to_string_lossy()
                ));
                sys::exit_now(127)
            }
            Fork::Parent(child) => reap_until(child),
        }
    }
}

impl InitExecutor {
    fn failed(&self, reason: &str) -> ExecutorError {
        let _ = nix::unistd::write(&*self.report, reason.as_bytes());
        ExecutorError::Other(reason.to_owned())
    }
}

/// Looks the program up as `execvp` will, for an error that says what is wrong.
pub(super) fn find_program(program: &str, path: &str) -> Result<PathBuf, String> {
    if program.contains('/') {
        let found = executable(Path::new(program)).map(|()| program.into());
        return found.map_err(|why| format!("{program}: {why}"));
    }
    let mut reason = "not found in PATH";
    for directory in path.split(':') {
        let candidate = Path::new(directory).join(program);
        match executable(&candidate) {
            Ok(()) if !program.is_empty() => return Ok(candidate),
            Err("permission denied: it is not executable") => {
                reason = "permission denied: it is not executable";
            }
            _ => {}
        }
    }
    Err(format!("{program}: {reason}"))
}

fn executable(path: &Path) -> Result<(), &'static str> {
    match std::fs::metadata(path) {
        Err(_) => Err("no such file"),
        Ok(metadata) if metadata.is_dir() => Err("it is a directory"),
        Ok(_) if access(path, AccessFlags::X_OK).is_err() => {
            Err("permission denied: it is not executable")
        }
        Ok(_) => Ok(()),
    }
}

/// Waits for children until `main` has ended, then ends with its exit code, by which the kernel
/// kills everything else in the container.
fn reap_until(main: libc::pid_t) -> ! {
    sys::set_process_name(c"init");
    sys::close_all_files();
    loop {
        match sys::wait_any_child() {
            Ok((pid, code)) if pid == main => sys::exit_now(code),
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => sys::exit_now(255),
            _ => {}
        }
    }
}

/// Waits until the command has been executed; returns what the container said if it was not.
pub fn wait_for_execution(report: BorrowedFd<'_>) -> Option<String> {
    let mut message = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = nix::unistd::read(report.as_raw_fd(), &mut buffer) {
        message.extend_from_slice(&buffer[..length]);
    }
    (!message.is_empty()).then(|| String::from_utf8_lossy(&message).into_owned())
}
