//! The container's file system, put together in the shim's own mount namespace: it never shows
//! on the host and is gone with the last process that uses it.

use super::ShimError;
use crate::launch::Launch;
use crate::sys::{self, Fork};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use windlass_core::instance::Mount;

/// Users in each container.
pub const USERS: u32 = 65_536;

const CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A second place for the bundle in the containers of root.
const CA_BUNDLE_FOR_ROOT: &str = "/run/windlass/ca-certificates.crt";

/// Returns where a container with `user` finds a CA bundle that does not change.
pub fn ca_bundle_path(user: u32) -> &'static str {
    if user == 0 { CA_BUNDLE_FOR_ROOT } else { CA_BUNDLE }
}

/// A file or directory to bind into the container.
pub struct Bind {
    pub source: PathBuf,
    pub target: String,
    pub writable: bool,
}

/// What [`prepare`] has mounted.
pub struct Prepared {
    pub root: PathBuf,
    pub binds: Vec<Bind>,
}

/// Mounts the image's layers with a writable one on top, and everything that is bound in,
/// below the instance's directory, which is the current one.
pub fn prepare(directory: &Path, launch: &Launch) -> Result<Prepared, ShimError> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(ShimError::io("make a mount namespace"))?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount::<str, str, str, str>(None, "/", None, private, None)
        .map_err(ShimError::io("make mounts private"))?;
    let users = user_namespace(launch.user_base).map_err(ShimError::io("make a user namespace"))?;
    mount_overlay(launch, &users)?;
    mount_sys(launch).map_err(ShimError::io("mount /sys"))?;

    let mut binds = vec![bind(directory.join("sys"), "/sys")];
    binds.extend(network_files(directory, launch)?);
    if let Some(bundle) = &launch.ca_bundle {
        if launch.spec.user == 0 {
            // Root inside may update its certificates, which replaces the file; a file that is
            // bound cannot be replaced.
            copy_into_root(bundle, Path::new("root"), Path::new(CA_BUNDLE));
        }
        let target = ca_bundle_path(launch.spec.user);
        binds.push(host_bind(directory, bundle, "ca-certificates.crt", target)?);
    }
    for (number, mount) in launch.spec.mounts.iter().enumerate() {
        binds.push(volume(directory, number, mount, &users)?);
    }
    Ok(Prepared { root: directory.join("root"), binds })
}

fn bind(source: PathBuf, target: &str) -> Bind {
    Bind { source, target: target.to_owned(), writable: false }
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

/// Mounts a copy of the mount at `source` on `target`, which exists, with owners mapped.
fn mount_copy(source: &Path, target: &Path, users: Option<&OwnedFd>) -> Result<(), ShimError> {
    let copy = sys::clone_mount(source).map_err(ShimError::io(format!("open {source:?}")))?;
    if let Some(users) = users {
        sys::map_owners(&copy, users).map_err(|error: io::Error| {
            ShimError::Container(format!(
                "map the owners of {source:?}: {error}; this needs Linux 5.19 or newer and a file \
                 system that supports it (ext4, xfs, btrfs, tmpfs since 6.3)"
            ))
        })?;
    }
    sys::attach_mount(&copy, target).map_err(ShimError::io(format!("mount {source:?}")))
}

fn mount_overlay(launch: &Launch, users: &OwnedFd) -> Result<(), ShimError> {
    // Short relative names: all options together must fit one page.
    let mut lower = Vec::new();
    for (number, layer) in launch.layers.iter().enumerate() {
        let target = format!("l/{number}");
        fs::create_dir_all(&target).map_err(ShimError::io(format!("make {target}")))?;
        mount_copy(layer, Path::new(&target), Some(users))?;
        lower.push(target);
    }
    let writable = &launch.writable_directory;
    let made = (|| {
        let owner = launch.user_base;
        for name in ["upper", "work"] {
            let path = writable.join(name);
            fs::create_dir_all(&path)?;
            fs::set_permissions(&path, Permissions::from_mode(0o755))?;
            std::os::unix::fs::chown(&path, Some(owner), Some(owner))?;
        }
        fs::create_dir_all("w")?;
        fs::create_dir_all("root")
    })();
    made.map_err(ShimError::io(format!("make the writable layer {writable:?}")))?;
    mount_copy(writable, Path::new("w"), None)?;
    // Volatile: nothing of the writable layer is used after the instance has ended, so there is
    // nothing to flush to the disk.
    let options = format!("lowerdir={},upperdir=w/upper,workdir=w/work,volatile", lower.join(":"));
    mount(Some("overlay"), "root", Some("overlay"), MsFlags::MS_NODEV, Some(&*options))
        .map_err(ShimError::io("mount the image's layers"))
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

fn network_files(directory: &Path, launch: &Launch) -> Result<Vec<Bind>, ShimError> {
    let name = launch.spec.id.as_str();
    let hosts = format!(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{}\t{name}\n",
        launch.address
    );
    let mut binds = Vec::new();
    for (file, target, content) in
        [("hosts", "/etc/hosts", hosts), ("hostname", "/etc/hostname", format!("{name}\n"))]
    {
        let path = directory.join(file);
        let written = fs::write(&path, content)
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o644)));
        written.map_err(ShimError::io(format!("write {path:?}")))?;
        binds.push(bind(path, target));
    }
    if let Some(resolv_conf) = &launch.resolv_conf {
        binds.push(host_bind(directory, resolv_conf, "resolv.conf", "/etc/resolv.conf")?);
    }
    Ok(binds)
}

/// Makes a mount point below the instance's directory for a file of the host, so that the
/// container's root, who is nobody outside, need not be able to reach the original's directory.
fn host_bind(directory: &Path, source: &Path, name: &str, target: &str) -> Result<Bind, ShimError> {
    let point = directory.join(name);
    File::create(&point).map_err(ShimError::io(format!("make {point:?}")))?;
    mount_copy(source, &point, None)?;
    Ok(bind(point, target))
}

fn volume(
    directory: &Path,
    number: usize,
    mount: &Mount,
    users: &OwnedFd,
) -> Result<Bind, ShimError> {
    let source = &mount.source;
    let is_directory =
        fs::metadata(source).map_err(ShimError::io(format!("mount {source:?}")))?.is_dir();
    let point = directory.join(format!("m{number}"));
    let made = if is_directory { fs::create_dir(&point) } else { File::create(&point).map(drop) };
    made.map_err(ShimError::io(format!("make {point:?}")))?;
    mount_copy(source, &point, mount.id_mapped.then_some(users))?;
    Ok(Bind { source: point, target: mount.target.clone(), writable: mount.writable })
}

/// Copies a file of the host to `target` of the image mounted at `root`, if the directory is
/// there. The image's symbolic links cannot lead out of it.
fn copy_into_root(source: &Path, root: &Path, target: &Path) {
    let copied = (|| {
        let root = OwnedFd::from(File::open(root)?);
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC;
        let file = sys::open_in_root(&root, target, flags, 0o644)?;
        File::from(file).write_all(&fs::read(source)?)
    })();
    if let Err(error) = copied {
        // An image without the directory has no program that would look there.
        eprintln!("the CA bundle was not copied into the image: {error}");
    }
}
