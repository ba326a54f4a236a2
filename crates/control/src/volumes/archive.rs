//! Backups: what is in a volume as a tar archive, out and in. Both run `tar` in an instance on the
//! stack's image, so that whatever is in a volume or an archive is handled inside a container.

use super::refusal;
use crate::build::RUN_STACK_TAG;
use crate::records::{App, User, Volume};
use crate::{Platform, PlatformError, Result};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use windlass_core::driver::{Attached, AttachedInput, AttachedOutput};
use windlass_core::ids::{InstanceId, SnapshotId};
use windlass_core::instance::{
    ExitStatus, InstanceKind, InstanceLabels, InstanceSpec, Mount, MountSource, Output, Resources,
};
use windlass_core::volume::VolumeSource;

/// How long an archive may take, each way.
const LIMIT: Duration = Duration::from_secs(6 * 60 * 60);

/// Bytes of `tar`'s complaints that are kept.
const COMPLAINTS: usize = 2_000;

const PLACE: &str = "/mnt/volume";

/// A volume's new content on its way in.
pub struct VolumeUpload {
    platform: Platform,
    volume: Volume,
    snapshot: SnapshotId,
    instance: InstanceId,
    input: mpsc::Sender<AttachedInput>,
    ended: tokio::task::JoinHandle<Result<()>>,
}

impl Platform {
    /// Returns the pieces of a tar archive of what the volume holds at this moment. An error in the
    /// middle is the last item; dropping the receiver ends it.
    pub async fn back_up_volume(
        &self,
        volume: &Volume,
    ) -> Result<mpsc::Receiver<std::io::Result<Bytes>>> {
        if volume.size.is_none() {
            return super::invalid("A folder of the host is backed up on the host.");
        }
        let snapshot = SnapshotId::random();
        let port = self.volume_port()?;
        port.snapshot(volume.id, snapshot).await.map_err(refusal)?;
        let command = ["tar", "--create", "--numeric-owner", "--sparse", "--directory", PLACE, "."];
        let started = self.start_tar(volume, snapshot, &command, false).await;
        let attached = match started {
            Ok(attached) => attached,
            Err(error) => {
                port.remove_snapshot(volume.id, snapshot).await?;
                return Err(error);
            }
        };
        let (sender, receiver) = mpsc::channel(16);
        let (platform, volume) = (self.clone(), volume.clone());
        tokio::spawn(async move {
            let instance = attached.instance.spec.id.clone();
            let passed = tokio::time::timeout(LIMIT, pass_on(attached, &sender)).await;
            let passed = passed.unwrap_or_else(|_| invalid_end("it took too long"));
            platform.end_tar(&instance).await;
            platform.drop_snapshot(&volume, snapshot).await;
            if let Err(error) = passed {
                let _ = sender.send(Err(std::io::Error::other(error.to_string()))).await;
            }
        });
        Ok(receiver)
    }

    /// Begins to take a tar archive, which becomes a snapshot.
    pub async fn begin_volume_upload(&self, volume: &Volume) -> Result<VolumeUpload> {
        let Some(size) = volume.size else {
            return super::invalid("A folder of the host is restored on the host.");
        };
        let (snapshot, port) = (SnapshotId::random(), self.volume_port()?);
        let command =
            ["tar", "--extract", "--preserve-permissions", "--numeric-owner", "--directory", PLACE];
        let made = port.empty_snapshot(volume.id, snapshot, size).await.map_err(refusal);
        let started = match made {
            Ok(()) => self.start_tar(volume, snapshot, &command, true).await,
            Err(error) => Err(error),
        };
        let attached = match started {
            Ok(attached) => attached,
            Err(error) => {
                port.remove_snapshot(volume.id, snapshot).await?;
                return Err(error);
            }
        };
        let instance = attached.instance.spec.id.clone();
        let input = attached.input.clone();
        let (discard, _) = mpsc::channel(1);
        let ended = tokio::spawn(async move {
            let passed = tokio::time::timeout(LIMIT, pass_on(attached, &discard)).await;
            passed.unwrap_or_else(|_| invalid_end("it took too long"))
        });
        Ok(VolumeUpload {
            platform: self.clone(),
            volume: volume.clone(),
            snapshot,
            instance,
            input,
            ended,
        })
    }

    async fn start_tar(
        &self,
        volume: &Volume,
        snapshot: SnapshotId,
        command: &[&str],
        writable: bool,
    ) -> Result<Attached> {
        let stack = self.images().tag(RUN_STACK_TAG)?;
        let image = stack.ok_or_else(crate::build::missing_stack)?;
        let source = VolumeSource {
            volume: volume.id,
            size_bytes: volume.size.unwrap_or_default(),
            snapshot: Some(snapshot),
        };
        let spec = InstanceSpec {
            id: InstanceId::random("volume", 1),
            labels: InstanceLabels {
                app: volume.app.ok_or(PlatformError::NotFound { resource: "app" })?,
                app_name: volume.app_name.clone(),
                kind: InstanceKind::Build,
                process: "volume".parse()?,
                index: 1,
                release: None,
                time_limit_ms: None,
                generation: 0,
            },
            image,
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            working_directory: "/".to_owned(),
            environment: BTreeMap::new(),
            // Inside only: to read and write whatever the app's users own.
            user: 0,
            group: None,
            mounts: vec![Mount {
                source: MountSource::Volume(source),
                target: PLACE.to_owned(),
                writable,
                id_mapped: true,
            }],
            resources: Resources {
                memory_bytes: Some(256 << 20),
                cpu_millis: None,
                cpu_shares: Some(256),
                processes: Some(16),
                spared_processors: 0,
            },
            port: None,
            output: Output::Attached { terminal: None },
        };
        Ok(self.driver().start_attached(spec).await?)
    }

    async fn end_tar(&self, instance: &InstanceId) {
        let _ = self.driver().stop(instance, Duration::ZERO).await;
        if let Err(error) = self.driver().forget(instance).await {
            tracing::warn!(%instance, %error, "an instance that read a volume could not be forgotten");
        }
    }

    /// Removes the temporary snapshots of a server that died.
    pub(crate) async fn drop_unknown_snapshots(&self) {
        let Some(port) = self.driver().volumes() else { return };
        for volume in self.store().volume_ids().unwrap_or_default() {
            // Without the list nothing is known to be a left-over.
            let Ok(known) = self.store().volume_snapshots(volume) else { continue };
            let known: Vec<SnapshotId> = known.into_iter().map(|snapshot| snapshot.id).collect();
            if let Err(error) = port.retain_snapshots(volume, &known).await {
                tracing::warn!(%volume, %error, "temporary snapshots were left behind");
            }
        }
    }

    async fn drop_snapshot(&self, volume: &Volume, snapshot: SnapshotId) {
        let Some(port) = self.driver().volumes() else { return };
        if let Err(error) = port.remove_snapshot(volume.id, snapshot).await {
            tracing::warn!(volume = %volume.id, %error, "a temporary snapshot was left behind");
        }
    }
}

impl VolumeUpload {
    /// When `tar` has ended nobody takes the bytes; [`VolumeUpload::finish`] says why.
    pub async fn write(&self, bytes: Bytes) {
        let _ = self.input.send(AttachedInput::Stdin(bytes)).await;
    }

    /// Ends the archive and puts its content in place of the volume's.
    pub async fn finish(self, user: &User, app: &App) -> Result<()> {
        let _ = self.input.send(AttachedInput::StdinClosed).await;
        let ended = self.ended.await;
        self.platform.end_tar(&self.instance).await;
        let unpacked = ended.unwrap_or_else(|error| invalid_end(&error.to_string()));
        let restored = match unpacked {
            Ok(()) => {
                let (volume, from) = (&self.volume, "an archive");
                self.platform.put_in_place(user, app, volume, self.snapshot, from).await
            }
            Err(error) => Err(error),
        };
        self.platform.drop_snapshot(&self.volume, self.snapshot).await;
        restored
    }

    /// Gives up: the archive ended early.
    pub async fn abandon(self) {
        self.ended.abort();
        self.platform.end_tar(&self.instance).await;
        self.platform.drop_snapshot(&self.volume, self.snapshot).await;
    }
}

/// Passes standard output on until the end.
async fn pass_on(mut attached: Attached, to: &mpsc::Sender<std::io::Result<Bytes>>) -> Result<()> {
    let mut complaints = Vec::new();
    while let Some(item) = attached.output.recv().await {
        match item {
            AttachedOutput::Stdout(bytes) => {
                if to.send(Ok(bytes)).await.is_err() {
                    return invalid_end("nobody takes it");
                }
            }
            AttachedOutput::Stderr(bytes) => {
                let room = COMPLAINTS.saturating_sub(complaints.len());
                complaints.extend(bytes.iter().take(room));
            }
            AttachedOutput::Exited(status) => return judge(&status, &complaints),
        }
    }
    invalid_end("its instance was lost")
}

fn judge(status: &ExitStatus, complaints: &[u8]) -> Result<()> {
    if status.code == 0 {
        return Ok(());
    }
    invalid_end(String::from_utf8_lossy(complaints).trim())
}

fn invalid_end(why: &str) -> Result<()> {
    super::invalid(format!("The archive could not be read or written: {why}"))
}
