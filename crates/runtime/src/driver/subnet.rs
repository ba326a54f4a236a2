//! The addresses of this server's instances: a block that no other server on the machine uses.

use crate::RuntimeError;
use crate::shim::{HARDWARE_ADDRESS, remove_gateway};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const CLAIMS: &str = "/run/windlass/subnets";
const BLOCKS: u32 = 64;
const PREFIX: u8 = 20;
const FIRST_BLOCK: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 0);

/// A block of addresses, with those in use.
pub struct Subnet {
    pub network: Ipv4Addr,
    pub prefix: u8,
    claim: Option<PathBuf>,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    numbers: BTreeSet<u32>,
    last: u32,
}

impl Subnet {
    /// Uses the given block, which the operator answers for.
    pub fn fixed(network: Ipv4Addr, prefix: u8) -> Result<Self, RuntimeError> {
        if !(8..=29).contains(&prefix) {
            let reason = format!("the prefix length of {network}/{prefix} must be 8 to 29");
            return Err(RuntimeError::Subnet(reason));
        }
        let network = Ipv4Addr::from(u32::from(network) & mask(prefix));
        Ok(Self { network, prefix, claim: None, used: Mutex::default() })
    }

    /// Claims a free block for the server with `run_directory`, or finds the one that it has.
    pub fn claim(run_directory: &Path) -> Result<Self, RuntimeError> {
        let claims = Path::new(CLAIMS);
        let _lock = lock(claims)?;
        let owner = |block: u32| -> Option<PathBuf> {
            fs::read_to_string(claims.join(block.to_string())).ok().map(PathBuf::from)
        };
        let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
        let routes = parse_routes(&routes);
        let mine = (0..BLOCKS).find(|block| owner(*block).as_deref() == Some(run_directory));
        let free = |block: &u32| {
            owner(*block).is_none_or(|directory| !directory.exists())
                && !routes.iter().any(|route| route.overlaps(block_address(*block), PREFIX))
        };
        let block = mine.or_else(|| (0..BLOCKS).find(free)).ok_or_else(|| {
            RuntimeError::Subnet(format!(
                "every /{PREFIX} block of {FIRST_BLOCK}/14 is claimed in {CLAIMS} or has a route; \
                 name a subnet in the configuration"
            ))
        })?;
        let claim = claims.join(block.to_string());
        fs::write(&claim, run_directory.as_os_str().as_encoded_bytes())
            .map_err(RuntimeError::io("write", &claim))?;
        let network = block_address(block);
        Ok(Self { network, prefix: PREFIX, claim: Some(claim), used: Mutex::default() })
    }

    /// Gives the block up; with the last one on the machine goes the address that all containers
    /// have for their router.
    pub fn release(&self) {
        let claims = Path::new(CLAIMS);
        let released = lock(claims).and_then(|_lock| {
            if let Some(claim) = &self.claim {
                let _ = fs::remove_file(claim);
            }
            if is_any_claimed(claims) || has_devices() {
                return Ok(());
            }
            remove_gateway()
                .map_err(RuntimeError::io("give up", Path::new("the containers' router")))
        });
        if let Err(error) = released {
            tracing::warn!(%error, "the address of the containers' router was left behind");
        }
    }

    /// Returns an address that no instance has, the one used longest ago first.
    pub fn allocate(&self) -> Option<Ipv4Addr> {
        let highest = !mask(self.prefix) - 1;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let after = (used.last + 1..=highest).find(|number| !used.numbers.contains(number));
        let number = after.or_else(|| (1..=used.last).find(|n| !used.numbers.contains(n)))?;
        used.numbers.insert(number);
        used.last = number;
        Some(Ipv4Addr::from(u32::from(self.network) + number))
    }

    /// Notes that an instance found at start has `address`.
    pub fn reserve(&self, address: Ipv4Addr) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.number(address);
        used.numbers.insert(number);
        used.last = used.last.max(number);
    }

    pub fn free(&self, address: Ipv4Addr) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.numbers.remove(&self.number(address));
    }

    /// Returns the address's number in the block, which names its network device.
    pub fn number(&self, address: Ipv4Addr) -> u32 {
        u32::from(address) & !mask(self.prefix)
    }
}

/// Nobody else claims or releases until the file is dropped.
fn lock(claims: &Path) -> Result<File, RuntimeError> {
    fs::create_dir_all(claims).map_err(RuntimeError::io("make", claims))?;
    let path = claims.join(".lock");
    let file = File::create(&path).map_err(RuntimeError::io("make", &path))?;
    file.lock().map_err(RuntimeError::io("lock", &path))?;
    Ok(file)
}

/// Whether a server that is still there has a block.
fn is_any_claimed(claims: &Path) -> bool {
    let files = fs::read_dir(claims).into_iter().flatten().flatten();
    files
        .filter_map(|file| fs::read_to_string(file.path()).ok())
        .any(|directory| !directory.is_empty() && Path::new(&directory).exists())
}

/// Whether there is a container's device on this machine: of a server with a block that was given.
fn has_devices() -> bool {
    let ours = HARDWARE_ADDRESS.map(|byte| format!("{byte:02x}")).join(":");
    let devices = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    devices
        .filter_map(|device| fs::read_to_string(device.path().join("address")).ok())
        .any(|address| address.trim() == ours)
}

fn block_address(block: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(FIRST_BLOCK) + (block << (32 - PREFIX)))
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

struct HostRoute {
    network: u32,
    mask: u32,
}

impl HostRoute {
    fn overlaps(&self, network: Ipv4Addr, prefix: u8) -> bool {
        let common = self.mask & mask(prefix);
        self.mask != 0 && self.network & common == u32::from(network) & common
    }
}

/// Parses `/proc/net/route`, whose numbers are in the machine's byte order.
fn parse_routes(text: &str) -> Vec<HostRoute> {
    let number = |field: &str| u32::from_str_radix(field, 16).ok().map(u32::from_be);
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            Some(HostRoute { network: number(fields.get(1)?)?, mask: number(fields.get(7)?)? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_used_in_turn() {
        let subnet = Subnet::fixed(Ipv4Addr::new(10, 9, 8, 7), 29).unwrap();
        let take = || subnet.allocate().map(|a| a.to_string());
        assert_eq!(take().unwrap(), "10.9.8.1");
        assert_eq!(take().unwrap(), "10.9.8.2");
        subnet.free(Ipv4Addr::new(10, 9, 8, 1));
        assert_eq!(take().unwrap(), "10.9.8.3", "not the one just freed");
        for _ in 0..3 {
            take().unwrap();
        }
        assert_eq!(take().unwrap(), "10.9.8.1");
        assert_eq!(take(), None);
    }

    #[test]
    fn routes_of_the_host_are_seen() {
        let text = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth0\t0000C80A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        let routes = parse_routes(text);
        assert_eq!(routes.len(), 2);
        let any = |address| routes.iter().any(|route| route.overlaps(address, 20));
        assert!(any(Ipv4Addr::new(10, 200, 16, 0)));
        assert!(!any(Ipv4Addr::new(10, 201, 0, 0)));
    }

    #[test]
    fn servers_get_different_blocks() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (directory.path().join("a"), directory.path().join("b"));
        fs::create_dir(&first).unwrap();
        fs::create_dir(&second).unwrap();
        let Ok(one) = Subnet::claim(&first) else {
            eprintln!("SKIPPED: {CLAIMS} cannot be written");
            return;
        };
        let two = Subnet::claim(&second).unwrap();
        assert_ne!(one.network, two.network);
        assert_eq!(Subnet::claim(&first).unwrap().network, one.network);
        let owner = fs::read_to_string(one.claim.as_ref().unwrap()).unwrap();
        assert_eq!(owner, first.to_str().unwrap());
        one.release();
        two.release();
    }
}
