//! Who instances are to each other: which app an address belongs to, and whose instances reach
//! whose.
//!
//! The firewall knows apps by the *group* of an instance's network device, a number that the
//! kernel keeps with it from its making. So nothing is told to the firewall when an instance
//! starts or ends, and no instance can pretend to be another: what counts is the device a packet
//! came from, not what it says about itself.

use super::{EmbeddedDriver, firewall};
use crate::launch::{read_json, write_json};
use crate::shim::GATEWAY;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use windlass_core::driver::DriverError;
use windlass_core::instance::{InstanceKind, InstanceLabels};
use windlass_core::links::Links;

/// The group of devices that reach no other: that of builds.
pub const ALONE: u32 = 0;

/// The file with the pairs in force, for a driver that is opened while instances run.
const PAIRS_FILE: &str = "links.json";

/// What the name server reads of an address whose instance asks for outside names only.
const NO_APP: &str = "none";

/// The device groups that reach each other: ordered pairs.
pub type Pairs = BTreeSet<(u32, u32)>;

/// Returns the directory with one link an address of an instance: its target is the app's
/// identifier, or `none` for an instance that has no names to ask for. Links need no content on
/// a disk and are made and read in one step.
pub fn clients_directory(run_directory: &Path) -> PathBuf {
    run_directory.join("clients")
}

/// Returns the pairs that were in force last.
pub fn last_pairs(run_directory: &Path) -> Pairs {
    read_json(&run_directory.join(PAIRS_FILE)).unwrap_or_default()
}

/// Writes the `resolv.conf` of instances: Windlass's name server alone, since some resolvers ask
/// all at once and take the first answer, with the host's search domains. A router that is being
/// started again does not answer for a moment, so they ask again soon.
pub fn write_resolv_conf(run_directory: &Path, host: Option<&Path>) -> io::Result<PathBuf> {
    let host = host.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    let file = run_directory.join("resolv.conf");
    fs::write(&file, resolv_conf(&host))?;
    Ok(file)
}

fn resolv_conf(host: &str) -> String {
    let search = host
        .lines()
        .map(str::trim)
        .filter(|line| matches!(line.split_whitespace().next(), Some("search" | "domain")));
    let search: String = search.map(|line| format!("{line}\n")).collect();
    format!("nameserver {GATEWAY}\n{search}options timeout:1 attempts:5\n")
}

impl EmbeddedDriver {
    /// Takes a free address for an instance, and notes whose it is.
    pub(super) fn take_address(&self, labels: &InstanceLabels) -> Result<Ipv4Addr, String> {
        let address = self.subnet.allocate();
        let address = address.ok_or("all addresses of the subnet are in use")?;
        self.note_address(address, labels).map_err(|error| {
            self.subnet.free(address);
            format!("its address cannot be noted: {error}")
        })?;
        Ok(address)
    }

    /// Notes whose an address is, before anything can be sent from it.
    pub(super) fn note_address(
        &self,
        address: Ipv4Addr,
        labels: &InstanceLabels,
    ) -> io::Result<()> {
        let link = clients_directory(&self.config.run_directory).join(address.to_string());
        let owner = match labels.kind {
            InstanceKind::Build => NO_APP.to_owned(),
            _ => labels.app.to_string(),
        };
        match std::os::unix::fs::symlink(&owner, &link) {
            // Left by a server that was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&link)?;
                std::os::unix::fs::symlink(owner, link)
            }
            other => other,
        }
    }

    /// Gives an address back that no instance has any more.
    pub(super) fn free_address(&self, address: Ipv4Addr) {
        let link = clients_directory(&self.config.run_directory).join(address.to_string());
        let _ = fs::remove_file(link);
        self.subnet.free(address);
    }

    /// Returns the group of an instance's network device.
    pub(super) fn device_group(&self, labels: &InstanceLabels) -> io::Result<u32> {
        match labels.kind {
            InstanceKind::Build => Ok(ALONE),
            _ => Ok(self.users.number(labels.app)? + 1),
        }
    }

    /// Puts links in force, in one step.
    pub(super) async fn put_links(&self, links: &Links) -> Result<(), DriverError> {
        let mut in_force = self.pairs.lock().await;
        let failed = |error: String| DriverError::Other(format!("links between apps: {error}"));
        let group = |app| self.users.number(app).map(|number| number + 1);
        let pairs = links.pairs().map(|(from, to)| Ok((group(from)?, group(to)?)));
        let pairs: Pairs = pairs.collect::<io::Result<_>>().map_err(|e| failed(e.to_string()))?;
        if *in_force == pairs {
            return Ok(());
        }
        firewall::set_pairs(&self.config.name, &pairs).await.map_err(failed)?;
        let file = self.config.run_directory.join(PAIRS_FILE);
        if let Err(error) = write_json(&file, &pairs) {
            // Only the next start of the server would miss it, until it is told again.
            tracing::warn!(?file, %error, "the links in force were not recorded");
        }
        *in_force = pairs;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_ask_this_server_alone_and_keep_the_hosts_search_domains() {
        let host = "# made by hand\nnameserver 192.0.2.1\nsearch example.com  corp.example\noptions ndots:5\n";
        assert_eq!(
            resolv_conf(host),
            "nameserver 169.254.1.1\nsearch example.com  corp.example\noptions timeout:1 attempts:5\n"
        );
    }
}
