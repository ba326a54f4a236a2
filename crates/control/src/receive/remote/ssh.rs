//! The program that git starts for `ssh`: this binary under another name, which starts ssh with
//! the settings that were written for one fetch.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// The name under which git runs this binary.
pub const SSH_NAME: &str = "git-ssh";
/// Names the file with ssh's settings.
pub(super) const CONFIG_VARIABLE: &str = "WINDLASS_SSH_CONFIG";

/// Becomes ssh; returns only if that fails.
#[must_use]
pub fn main() -> ExitCode {
    let Some(config) = std::env::var_os(CONFIG_VARIABLE) else {
        eprintln!("windlass: {SSH_NAME} is started by git, for git:sync only");
        return ExitCode::FAILURE;
    };
    let mut arguments = std::env::args_os();
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(config).args(arguments.by_ref().skip(1)).env_remove(CONFIG_VARIABLE);
    let error = ssh.exec();
    eprintln!("fatal: ssh could not be started ({error}): install openssh-client on the server");
    ExitCode::FAILURE
}
