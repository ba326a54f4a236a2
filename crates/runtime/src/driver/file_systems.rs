//! Making, checking and growing the file systems of volumes, by e2fsprogs as host jobs.

use super::EmbeddedDriver;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use windlass_core::driver::DriverError;
use windlass_core::host_job::{HostJob, HostJobOutput, HostJobs};
use windlass_core::instance::Resources;

/// How long each program may take.
const TOOL_LIMIT: Duration = Duration::from_secs(10 * 60);

impl EmbeddedDriver {
    /// Makes the file system in an image file.
    pub(super) async fn format(&self, image: &Path) -> Result<(), DriverError> {
        let fixed =
            ["mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-E", "root_owner=1000:1000"];
        self.file_system_tool(&fixed, image, &[0]).await
    }

    /// Makes the file system of an image that nobody has mounted as large as the image.
    pub(super) async fn fill_image(&self, image: &Path) -> Result<(), DriverError> {
        // The other insists on the check. 1 stands for mended.
        self.file_system_tool(&["e2fsck", "-f", "-p"], image, &[0, 1]).await?;
        self.file_system_tool(&["resize2fs"], image, &[0]).await
    }

    async fn file_system_tool(
        &self,
        command: &[&str],
        image: &Path,
        good: &[i32],
    ) -> Result<(), DriverError> {
        let image = image.display().to_string();
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let job = HostJob {
            command: command.iter().copied().chain([image.as_str()]).map(str::to_owned).collect(),
            environment: BTreeMap::from([("PATH".to_owned(), path.to_owned())]),
            working_directory: PathBuf::from("/"),
            resources: Resources::default(),
            confined_to: None,
        };
        let mut said = HostJobs::run(self, job).await?;
        let mut output = Vec::new();
        let follow = async {
            while let Some(item) = said.recv().await {
                match item {
                    HostJobOutput::Output(bytes) => output.extend_from_slice(&bytes),
                    HostJobOutput::Ended(status) => return Some(status.code),
                }
            }
            None
        };
        let code = tokio::time::timeout(TOOL_LIMIT, follow).await.ok().flatten();
        if code.is_some_and(|code| good.contains(&code)) {
            return Ok(());
        }
        let (program, output) = (command[0], String::from_utf8_lossy(&output).trim().to_owned());
        tracing::error!(program, ?code, output, "a tool for file systems failed");
        let hint = if code == Some(127) { "; install the package e2fsprogs" } else { "" };
        Err(DriverError::Other(format!("{program} failed ({output}){hint}")))
    }
}
