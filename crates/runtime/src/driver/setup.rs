//! What must be in place before instances can be started, and what a start must look like.

use crate::{RuntimeConfig, RuntimeError};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use windlass_core::instance::InstanceSpec;

/// Searchable by everybody, readable by root only.
pub const SEARCHABLE: u32 = 0o711;

/// Makes the directories. A container's root is another user outside and must be able to reach
/// its mount points, so all directories above them must be searchable.
pub fn make_directories(config: &RuntimeConfig) -> Result<(), RuntimeError> {
    let (run, writable) = (&config.run_directory, config.work_directory.join("writable"));
    let instances = run.join("instances");
    let new: Vec<_> = instances.ancestors().filter(|path| !path.exists()).collect();
    let clients = super::clients_directory(run);
    for directory in [&instances, &writable, &clients] {
        fs::create_dir_all(directory).map_err(RuntimeError::io("make", directory))?;
    }
    for directory in new.into_iter().chain([run.as_path(), &instances]) {
        set_mode(directory, SEARCHABLE)?;
    }
    set_mode(&writable, 0o700)?;
    set_mode(&clients, 0o700)?;
    let run = fs::canonicalize(run).map_err(RuntimeError::io("find", run))?;
    let searchable =
        |path: &Path| fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o001 != 0);
    match run.ancestors().find(|path| !searchable(path)) {
        Some(path) => Err(RuntimeError::NotSearchable(path.to_owned())),
        None => Ok(()),
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<(), RuntimeError> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(RuntimeError::io("set the mode of", path))
}

/// Returns the host's certificates, if they are where Debian has them.
pub fn host_ca_bundle() -> Option<PathBuf> {
    let bundle = PathBuf::from("/etc/ssl/certs/ca-certificates.crt");
    bundle.exists().then_some(bundle)
}

/// Refuses a name that is not six hexadecimal digits.
pub fn check_name(name: &str) -> Result<(), RuntimeError> {
    let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if name.len() == 6 && name.bytes().all(hexadecimal) {
        Ok(())
    } else {
        Err(RuntimeError::InvalidName(name.to_owned()))
    }
}

/// Refuses what no container could be made of.
pub fn check_spec(spec: &InstanceSpec) -> Result<(), String> {
    let id = spec.id.as_str();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if id.is_empty() || id.len() > 63 || !id.bytes().all(plain) {
        return Err(format!("{id:?} is not an instance identifier"));
    }
    if spec.command.first().is_none_or(String::is_empty) {
        return Err("it has no command".to_owned());
    }
    if spec.command.iter().any(|argument| argument.contains('\0')) {
        return Err("an argument of its command contains a zero byte".to_owned());
    }
    for (name, value) in &spec.environment {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(format!("its environment variable {name:?} is not valid"));
        }
    }
    if !spec.working_directory.starts_with('/') {
        return Err(format!("its working directory {:?} is not absolute", spec.working_directory));
    }
    if let Some(mount) = spec.mounts.iter().find(|mount| !mount.target.starts_with('/')) {
        return Err(format!("the mount target {:?} is not absolute", mount.target));
    }
    if spec.user.max(spec.group.unwrap_or(0)) >= crate::shim::USERS {
        return Err(format!("its user {} or its group is above 65535", spec.user));
    }
    Ok(())
}
