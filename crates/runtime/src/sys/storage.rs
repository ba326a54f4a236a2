//! Loop devices and the file systems on them.

use super::{c_path, check, owned};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

const LOOP_GET_STATUS64: libc::c_ulong = 0x4C05;
const LOOP_SET_CAPACITY: libc::c_ulong = 0x4C07;
const LOOP_CONFIGURE: libc::c_ulong = 0x4C0A;
const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;
/// The device is freed when its last user goes away.
const LO_FLAGS_AUTOCLEAR: u32 = 4;

const FIFREEZE: libc::c_ulong = 0xC004_5877;
const FITHAW: libc::c_ulong = 0xC004_5878;
const FICLONE: libc::c_ulong = 0x4004_9409;
const EXT4_IOC_RESIZE_FS: libc::c_ulong = 0x4008_6610;

const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_SET_FLAG: libc::c_uint = 0;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;

/// The kernel's `struct loop_info64`.
#[repr(C)]
#[derive(Clone, Copy)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    names: [u8; 160],
    init: [u64; 2],
}

impl LoopInfo {
    fn with_flags(flags: u32) -> Self {
        Self {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: 0,
            size_limit: 0,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags,
            names: [0; 160],
            init: [0; 2],
        }
    }
}

/// The kernel's `struct loop_config`.
#[repr(C)]
struct LoopConfig {
    file: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// Returns the number of a loop device that is free now.
pub fn free_loop_device(control: &File) -> io::Result<i32> {
    // SAFETY: this request takes no argument.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
    check(libc::c_long::from(number)).map(|()| number)
}

/// Puts a file behind a free loop device, which is freed when its last user goes away.
pub fn configure_loop_device(device: &File, image: &File) -> io::Result<()> {
    let config = LoopConfig {
        file: image.as_raw_fd() as u32,
        block_size: 0,
        info: LoopInfo::with_flags(LO_FLAGS_AUTOCLEAR),
        reserved: [0; 8],
    };
    let request = LOOP_CONFIGURE;
    // SAFETY: the structure is what this request reads and outlives the call.
    check(libc::c_long::from(unsafe {
        libc::ioctl(device.as_raw_fd(), request, &raw const config)
    }))
}

/// Returns device and inode number of the file behind a loop device; an error if it is free.
pub fn loop_device_file(device: &File) -> io::Result<(u64, u64)> {
    let mut info = LoopInfo::with_flags(0);
    let request = LOOP_GET_STATUS64;
    // SAFETY: the structure is what this request fills and outlives the call.
    check(libc::c_long::from(unsafe { libc::ioctl(device.as_raw_fd(), request, &raw mut info) }))?;
    Ok((info.device, info.inode))
}

/// Makes a loop device as large as the file behind it is now.
pub fn update_loop_capacity(device: &File) -> io::Result<()> {
    // SAFETY: this request takes no argument.
    check(libc::c_long::from(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_SET_CAPACITY) }))
}

/// Holds back all writes to the file system of an opened directory.
pub fn freeze(directory: &File) -> io::Result<()> {
    // SAFETY: this request ignores its argument.
    check(libc::c_long::from(unsafe { libc::ioctl(directory.as_raw_fd(), FIFREEZE, 0) }))
}

/// Lets writes go on; an error if nobody held them back.
pub fn thaw(directory: &File) -> io::Result<()> {
    // SAFETY: this request ignores its argument.
    check(libc::c_long::from(unsafe { libc::ioctl(directory.as_raw_fd(), FITHAW, 0) }))
}

/// Makes `to` share the blocks of `from`; an error on file systems that cannot.
pub fn share_blocks(from: &File, to: &File) -> io::Result<()> {
    let source = from.as_raw_fd();
    // SAFETY: takes two descriptors.
    check(libc::c_long::from(unsafe { libc::ioctl(to.as_raw_fd(), FICLONE, source) }))
}

/// Grows the mounted ext4 of an opened directory to this many blocks.
pub fn grow_ext4(directory: &File, blocks: u64) -> io::Result<()> {
    let request = EXT4_IOC_RESIZE_FS;
    // SAFETY: this request reads one u64, which outlives the call.
    check(libc::c_long::from(unsafe {
        libc::ioctl(directory.as_raw_fd(), request, &raw const blocks)
    }))
}

/// Mounts the file system of a block device nowhere yet; gone when what is returned is closed.
/// Devices and set-user-id bits on it are ignored. Mounting a device twice gives one file system.
pub fn mount_device(
    device: &Path,
    kind: &CStr,
    options: &[(&CStr, Option<&CStr>)],
) -> io::Result<OwnedFd> {
    // SAFETY: the name is a C string that outlives the call.
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })?;
    let configure = |command: libc::c_uint, key: Option<&CStr>, value: Option<&CStr>| {
        let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
        // SAFETY: both texts are null or C strings that outlive the call.
        check(unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                context.as_raw_fd(),
                command,
                pointer(key),
                pointer(value),
                0,
            )
        })
    };
    let source: CString = c_path(device)?;
    configure(FSCONFIG_SET_STRING, Some(c"source"), Some(&source))?;
    for (name, value) in options {
        let command = if value.is_some() { FSCONFIG_SET_STRING } else { FSCONFIG_SET_FLAG };
        configure(command, Some(name), *value)?;
    }
    configure(FSCONFIG_CMD_CREATE, None, None)?;
    let attributes = super::MOUNT_ATTR_NOSUID | super::MOUNT_ATTR_NODEV;
    // SAFETY: takes integers.
    owned(unsafe {
        libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, attributes)
    })
}
