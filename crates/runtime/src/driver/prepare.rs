//! From an instance's specification to what its shim is told.

use super::{EmbeddedDriver, cgroup_parent, firewall, seccomp_program, setup};
use crate::launch::Launch;
use windlass_core::driver::DriverError;
use windlass_core::instance::InstanceSpec;
use windlass_oci::OciError;

impl EmbeddedDriver {
    /// Returns everything a shim needs to start `spec`; takes an address.
    pub(super) fn prepare(&self, spec: InstanceSpec) -> Result<Launch, DriverError> {
        let id = spec.id.clone();
        let refuse = |reason: String| DriverError::Start { id: id.clone(), reason };
        setup::check_spec(&spec).map_err(refuse)?;
        let image = self.config.images.resolve(&spec.image).map_err(|error| match error {
            OciError::NoSuchImage(image) => DriverError::NoSuchImage(image),
            error => refuse(error.to_string()),
        })?;
        let user_base = self.users.base(spec.labels.app).map_err(|e| refuse(e.to_string()))?;
        let device_group = self.device_group(&spec.labels).map_err(|e| refuse(e.to_string()))?;
        let address = self.take_address(&spec.labels).map_err(refuse)?;
        let prefix = firewall::interface_prefix(&self.config.name);
        Ok(Launch {
            writable_directory: self.writable_directory().join(spec.id.as_str()),
            layers: image.layer_directories,
            user_base,
            address,
            interface: format!("{prefix}{:x}", self.subnet.number(address)),
            device_group,
            hierarchies: self.hierarchies.clone(),
            cgroup_parent: cgroup_parent(&self.config.name),
            seccomp_program: seccomp_program(&self.config),
            resolv_conf: self.config.resolv_conf.clone(),
            ca_bundle: self.config.ca_bundle.clone(),
            volumes_directory: self.config.volumes_directory.clone(),
            spec,
        })
    }
}
