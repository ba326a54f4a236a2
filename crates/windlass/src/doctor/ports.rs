//! Whether the addresses that the server listens on are free, or held by Windlass itself.

use super::Check;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

const LISTENING: &str = "0A";

pub fn check(name: &str, address: SocketAddr) -> Check {
    let error = match TcpListener::bind(address) {
        Ok(_) => return Check::ok(name, format!("{address} is free")),
        Err(error) => error,
    };
    let mend = format!("stop it, or choose another address for the {name}");
    match error.kind() {
        ErrorKind::AddrInUse => match holder(address.port()) {
            Some((_, program)) if program == "windlass" => {
                Check::ok(name, format!("{address} is held by windlass"))
            }
            Some((pid, program)) => {
                Check::fail(name, format!("{address} is held by {program} (process {pid})"), mend)
            }
            None => Check::fail(name, format!("{address} is held by another program"), mend),
        },
        ErrorKind::AddrNotAvailable => Check::fail(
            name,
            format!("{address} is no address of this machine"),
            format!("choose another address for the {name}"),
        ),
        _ => Check::fail(
            name,
            format!("{address}: {error}"),
            format!("choose another address for the {name}"),
        ),
    }
}

/// Returns the process that listens on a port and the name of its program.
fn holder(port: u16) -> Option<(u32, String)> {
    let inodes: Vec<u64> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .flat_map(|table| {
            table.lines().filter_map(|line| listener_inode(line, port)).collect::<Vec<_>>()
        })
        .collect();
    let targets: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find_map(|pid| {
        let mut files = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
        let holds = files.any(|file| {
            std::fs::read_link(file.path())
                .is_ok_and(|link| targets.iter().any(|target| link.as_os_str() == &**target))
        });
        let program = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        holds.then(|| (pid, program.trim().to_owned()))
    })
}

/// Reads a line of /proc/net/tcp: `sl local_address rem_address st ... inode`.
fn listener_inode(line: &str, port: u16) -> Option<u64> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
    let matches = u16::from_str_radix(local_port, 16).ok()? == port && *fields.get(3)? == LISTENING;
    if matches { fields.get(9)?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn the_holder_of_a_port_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (pid, _) = holder(address.port()).unwrap();
        assert_eq!(pid, std::process::id());
        let taken = check("router", address);
        drop(listener);
        assert!(taken.found.contains("held by"), "{}", taken.found);
        // A port that was just given up may be somebody else's at once: one of several stays free.
        let is_free_again = || {
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            check("router", address).status == Status::Ok
        };
        assert!((0..50).any(|_| is_free_again()));
        assert_eq!(check("router", "192.0.2.1:1".parse().unwrap()).status, Status::Fail);
    }
}
