//! The container's file system, put together in the shim's own mount namespace: it never shows
//! on the host and is gone with the last process that uses it.
//!
//! Binds are attached here and not by libcontainer: the shim is root outside and can reach their
//! sources, and libcontainer looks a target up with hundreds of system calls.

use super::ShimError;
use super::root::Root;
use crate::launch::Launch;
use crate::sys::{self, Fork, MountChange};
use crate::volume::{self, VolumeFiles};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use windlass_core::ids::SnapshotId;
use windlass_core::instance::{Mount, MountSource};

/// Users in each container.
pub const USERS: u32 = 65_536;

const CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A second place for the bundle in the containers of root.
const CA_BUNDLE_FOR_ROOT: &str = "/run/windlass/ca-certificates.crt";

/// Returns where a container with `user` finds a CA bundle that does not change.
pub fn ca_bundle_path(user: u32) -> &'static str {
    if user == 0 { CA_BUNDLE_FOR_ROOT } else { CA_BUNDLE }
}

/// Mounts the image's layers with a writable one on top, and everything that is bound in, below
/// the instance's directory, which is the current one. Returns the root.
pub fn prepare(directory: &Path, launch: &Launch) -> Result<PathBuf, ShimError> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(ShimError::io("make a mount namespace"))?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount::<str, str, str, str>(None, "/", None, private, None)
        .map_err(ShimError::io("make mounts private"))?;
    let users = user_namespace(launch.user_base).map_err(ShimError::io("make a user namespace"))?;
    mount_overlay(launch, &users)?;
    let root = Root::open(Path::new("root"), launch.user_base)
        .map_err(ShimError::io("open the container's root"))?;
    let binder = Binder { root, users };

    mount_sys(launch).map_err(ShimError::io("mount /sys"))?;
    binder.bind(Path::new("sys"), "/sys", Access::System)?;
    for (file, target) in write_network_files(launch)? {
        binder.bind(Path::new(file), target, Access::Read)?;
    }
    if let Some(resolv_conf) = &launch.resolv_conf {
        binder.bind(resolv_conf, "/etc/resolv.conf", Access::Read)?;
    }
    if let Some(bundle) = &launch.ca_bundle {
        if launch.spec.user == 0 {
            // Root inside may update its certificates, which replaces the file; a file that is
            // bound cannot be replaced.
            binder.root.copy_file(bundle, Path::new(CA_BUNDLE));
        }
        binder.bind(bundle, ca_bundle_path(launch.spec.user), Access::Read)?;
    }
    for mount in &launch.spec.mounts {
        match &mount.source {
            MountSource::Host(path) => {
                let (writable, id_mapped) = (mount.writable, mount.id_mapped);
                binder.bind(path, &mount.target, Access::Volume { writable, id_mapped })?;
            }
            MountSource::Volume(source) => {
                let files = VolumeFiles::new(&launch.volumes_directory, source.volume);
                binder.mount_volume(&files, source.snapshot, mount)?;
            }
        }
    }
    Ok(directory.join("root"))
}

/// How something is bound into the container.
#[derive(Clone, Copy)]
enum Access {
    /// With everything mounted below it, as it is.
    System,
    Read,
    Volume {
        writable: bool,
        id_mapped: bool,
    },
}

/// Binds files and directories of the host into the container.
struct Binder {
    root: Root,
    users: OwnedFd,
}

impl Binder {
    fn bind(&self, source: &Path, target: &str, access: Access) -> Result<(), ShimError> {
        let is_directory =
            fs::metadata(source).map_err(ShimError::io(format!("mount {source:?}")))?.is_dir();
        let (change, recursive) = match access {
            Access::System => (MountChange::default(), true),
            Access::Read => {
                (MountChange { owners: None, read_only: true, restricted: true }, false)
            }
            Access::Volume { writable, id_mapped } => {
                let owners = id_mapped.then_some(&self.users);
                (MountChange { owners, read_only: !writable, restricted: true }, false)
            }
        };
        let copy = copy_mount(source, &change, recursive)?;
        self.attach(&copy, target, is_directory)
            .map_err(ShimError::io(format!("mount {source:?} at {target}")))
    }

    fn attach(&self, mount: &OwnedFd, target: &str, is_directory: bool) -> io::Result<()> {
        sys::attach_mount(mount, &self.root.mount_point(Path::new(target), is_directory)?)
    }

    /// Mounts a volume, whose owners on disk are those inside.
    fn mount_volume(
        &self,
        files: &VolumeFiles,
        snapshot: Option<SnapshotId>,
        mount: &Mount,
    ) -> Result<(), ShimError> {
        let attached = files.lock().and_then(|_lock| {
            let image = snapshot.map_or_else(|| files.image(), |id| files.snapshot(id));
            let volume = volume::mount_image(&image)?;
            let (owners, read_only) = (Some(&self.users), !mount.writable);
            sys::change_mount(&volume, &MountChange { owners, read_only, restricted: true })?;
            self.attach(&volume, &mount.target, true)
        });
        attached.map_err(ShimError::io(format!("mount the volume at {}", mount.target)))
    }
}

/// Returns a detached copy of the mount at `source`.
fn copy_mount(
    source: &Path,
    change: &MountChange<'_>,
    recursive: bool,
) -> Result<OwnedFd, ShimError> {
    let copy =
        sys::clone_mount(source, recursive).map_err(ShimError::io(format!("mount {source:?}")))?;
    match sys::change_mount(&copy, change) {
        Ok(()) => Ok(copy),
        Err(error) if change.owners.is_some() => Err(ShimError::Container(format!(
            "map the owners of {source:?}: {error}; this needs Linux 5.19 or newer and a file \
             system that supports it (ext4, xfs, btrfs, tmpfs since 6.3)"
        ))),
        Err(error) => Err(ShimError::io(format!("change the mount of {source:?}"))(error)),
    }
}

/// Makes a user namespace for the mapping of mounts: 0 inside is `base` outside.
fn user_namespace(base: u32) -> io::Result<OwnedFd> {
    let (mut ready, mut tell) = pipe()?;
    match sys::fork()? {
        Fork::Child => {
            let made = unshare(CloneFlags::CLONE_NEWUSER).is_ok();
            let _ = tell.write_all(&[u8::from(made)]);
            sys::pause_for_ever()
        }
        Fork::Parent(child) => {
            drop(tell);
            let namespace = (|| {
                let mut made = [0];
                ready.read_exact(&mut made)?;
                if made != [1] {
                    return Err(io::Error::other(
                        "refused by the kernel; see /proc/sys/user/max_user_namespaces",
                    ));
                }
                for map in ["uid_map", "gid_map"] {
                    fs::write(format!("/proc/{child}/{map}"), format!("0 {base} {USERS}"))?;
                }
                File::open(format!("/proc/{child}/ns/user")).map(OwnedFd::from)
            })();
            let pid = nix::unistd::Pid::from_raw(child);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            let _ = sys::wait_child(child);
            namespace
        }
    }
}

fn pipe() -> io::Result<(File, File)> {
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    Ok((read.into(), write.into()))
}

fn mount_overlay(launch: &Launch, users: &OwnedFd) -> Result<(), ShimError> {
    // Short relative names: all options together must fit one page.
    let mut lower = Vec::new();
    for (number, layer) in launch.layers.iter().enumerate() {
        let change = MountChange { owners: Some(users), ..MountChange::default() };
        let target = format!("l/{number}");
        attach_copy(layer, &target, &change)?;
        lower.push(target);
    }
    make_writable_layer(launch)
        .map_err(ShimError::io(format!("make {:?}", launch.writable_directory)))?;
    attach_copy(&launch.writable_directory, "w", &MountChange::default())?;
    fs::create_dir_all("root").map_err(ShimError::io("make the container's root"))?;
    // Volatile: nothing of the writable layer is used after the instance has ended, so there is
    // nothing to flush to the disk.
    let options = format!("lowerdir={},upperdir=w/upper,workdir=w/work,volatile", lower.join(":"));
    mount(Some("overlay"), "root", Some("overlay"), MsFlags::MS_NODEV, Some(&*options))
        .map_err(ShimError::io("mount the image's layers"))
}

fn attach_copy(source: &Path, target: &str, change: &MountChange<'_>) -> Result<(), ShimError> {
    let copy = copy_mount(source, change, false)?;
    fs::create_dir_all(target)
        .and_then(|()| File::open(target))
        .and_then(|point| sys::attach_mount(&copy, &point.into()))
        .map_err(ShimError::io(format!("mount {source:?}")))
}

/// Makes the writable layer, owned by the container's root.
fn make_writable_layer(launch: &Launch) -> io::Result<()> {
    let owner = Some(launch.user_base);
    for name in ["upper", "work"] {
        let path = launch.writable_directory.join(name);
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        std::os::unix::fs::chown(&path, owner, owner)?;
    }
    Ok(())
}

/// Mounts a read-only `/sys` that belongs to the container's network namespace. Only the memory
/// limit is shown of control groups: buildpacks and language runtimes read it.
fn mount_sys(launch: &Launch) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    fs::create_dir_all("sys")?;
    mount(Some("sysfs"), "sys", Some("sysfs"), flags | MsFlags::MS_RDONLY, None::<&str>)?;
    let options = Some("mode=755,size=64k");
    mount(Some("tmpfs"), "sys/fs/cgroup", Some("tmpfs"), flags, options)?;
    if let Some(limit) = launch.spec.resources.memory_bytes {
        fs::create_dir("sys/fs/cgroup/memory")?;
        fs::write("sys/fs/cgroup/memory/memory.limit_in_bytes", format!("{limit}\n"))?;
    }
    let read_only = flags | MsFlags::MS_RDONLY | MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
    mount::<str, str, str, str>(None, "sys/fs/cgroup", None, read_only, None)?;
    Ok(())
}

/// Writes the files that name the instance; returns them with their places in the container.
fn write_network_files(launch: &Launch) -> Result<[(&'static str, &'static str); 2], ShimError> {
    let name = launch.spec.id.as_str();
    let hosts = format!(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{}\t{name}\n",
        launch.address
    );
    fs::write("hosts", hosts)
        .and_then(|()| fs::write("hostname", format!("{name}\n")))
        .map_err(ShimError::io("write the hosts file"))?;
    Ok([("hosts", "/etc/hosts"), ("hostname", "/etc/hostname")])
}
