//! Programs of the host in a build: their output line by line, and how they ended.

use crate::settings::BuildSettings;
use crate::{Platform, PlatformError, Result};
use std::collections::BTreeMap;
use std::path::Path;
use windlass_core::host_job::{HostJob, HostJobOutput, HostJobs};
use windlass_core::instance::{ExitStatus, Resources};

pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The environment of a program of the host.
pub(super) fn environment(home: &Path, temporary: &Path) -> BTreeMap<String, String> {
    let text = |path: &Path| path.display().to_string();
    let fixed = [
        ("PATH", PATH.to_owned()),
        ("HOME", text(home)),
        ("TMPDIR", text(temporary)),
        ("LANG", "C.UTF-8".to_owned()),
    ];
    fixed.map(|(name, value)| (name.to_owned(), value)).into()
}

/// What a build may use, in a container or as a program of the host.
pub(super) fn resources(limits: &BuildSettings) -> Resources {
    Resources {
        memory_bytes: Some(limits.memory_bytes),
        cpu_millis: (limits.cpu_millis > 0).then_some(limits.cpu_millis),
        // A quarter of an instance's share: a build must not slow what is served.
        cpu_shares: Some(256),
        processes: Some(limits.processes),
        spared_processors: limits.spared_processors,
    }
}

impl Platform {
    /// Returns the way to run programs of the host.
    pub(super) fn host_jobs(&self) -> Result<&dyn HostJobs> {
        self.driver().host_jobs().ok_or_else(|| {
            PlatformError::Invalid("This server's driver cannot run image builders.".to_owned())
        })
    }
}

/// Runs a program to its end; `None` if it was lost. Its lines are shown to `each`, without their
/// ends, and the last one also if it has none.
pub(super) async fn run_lines(
    jobs: &dyn HostJobs,
    job: HostJob,
    mut each: impl FnMut(&str) + Send,
) -> Result<Option<ExitStatus>> {
    let mut said = jobs.run(job).await?;
    let mut rest = Vec::new();
    let mut ended = None;
    while let Some(item) = said.recv().await {
        match item {
            HostJobOutput::Output(bytes) => {
                rest.extend_from_slice(&bytes);
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    each(String::from_utf8_lossy(&line[..end]).trim_end_matches('\r'));
                }
            }
            HostJobOutput::Ended(status) => ended = Some(status),
        }
    }
    if !rest.is_empty() {
        each(&String::from_utf8_lossy(&rest));
    }
    Ok(ended)
}
