//! The host's side of the network: forwarding, address translation and who may talk to whom, in
//! one nftables table set once. Starting an instance changes nothing in it.

use super::subnet::Subnet;
use crate::RuntimeError;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

const NFT_LIMIT: Duration = Duration::from_secs(10);

/// Returns the common start of the names of this server's network devices.
pub fn interface_prefix(name: &str) -> String {
    format!("wl{name}")
}

fn table(name: &str) -> String {
    format!("windlass_{name}")
}

/// Returns the rules: instances reach the world, but neither each other, nor this machine (except
/// its name servers and the given ports), nor the cloud's metadata service. What is meant for an
/// instance that is gone is refused: with its route gone as well, it would leave for the default
/// gateway, and whoever answers there would be taken for the app.
fn rules(name: &str, subnet: &Subnet, host_ports: &[u16], name_servers: &[Ipv4Addr]) -> String {
    let (table, devices) = (table(name), interface_prefix(name));
    let (network, prefix) = (subnet.network, subnet.prefix);
    let list = |items: Vec<String>| items.join(", ");
    let mut input = String::new();
    if !name_servers.is_empty() {
        let servers = list(name_servers.iter().map(Ipv4Addr::to_string).collect());
        for protocol in ["udp", "tcp"] {
            input += &format!(
                "    iifname \"{devices}*\" ip daddr {{ {servers} }} {protocol} dport 53 accept\n"
            );
        }
    }
    if !host_ports.is_empty() {
        let ports = list(host_ports.iter().map(u16::to_string).collect());
        input += &format!("    iifname \"{devices}*\" tcp dport {{ {ports} }} accept\n");
    }
    format!(
        "table inet {table} {{}}
delete table inet {table}
table inet {table} {{
  set allowed_pairs {{ type ipv4_addr . ipv4_addr; }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {network}/{prefix} oifname != \"{devices}*\" masquerade
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    ct state established,related accept
    ip saddr . ip daddr @allowed_pairs accept
    oifname \"{devices}*\" drop
    ip daddr {network}/{prefix} drop
    iifname \"{devices}*\" ip daddr 169.254.0.0/16 drop
  }}
  chain output {{
    type filter hook output priority filter; policy accept;
    ip daddr {network}/{prefix} oifname != \"{devices}*\" meta l4proto tcp reject with tcp reset
    ip daddr {network}/{prefix} oifname != \"{devices}*\" drop
  }}
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname \"{devices}*\" ct state established,related accept
{input}    iifname \"{devices}*\" drop
  }}
}}
"
    )
}

/// Switches forwarding on and sets the table, replacing an older one at once.
pub async fn set_up(
    name: &str,
    subnet: &Subnet,
    host_ports: &[u16],
    resolv_conf: Option<&Path>,
) -> Result<(), RuntimeError> {
    let forwarding = Path::new("/proc/sys/net/ipv4/ip_forward");
    let on = std::fs::read_to_string(forwarding).is_ok_and(|value| value.trim() == "1");
    if !on {
        std::fs::write(forwarding, "1").map_err(RuntimeError::io("switch on", forwarding))?;
    }
    let name_servers = resolv_conf.map(name_servers).unwrap_or_default();
    nft(&rules(name, subnet, host_ports, &name_servers)).await.map_err(RuntimeError::Firewall)
}

/// Removes the table.
pub async fn remove(name: &str) {
    let table = table(name);
    if let Err(error) = nft(&format!("table inet {table} {{}}\ndelete table inet {table}\n")).await
    {
        tracing::warn!(table, error, "the firewall's table was left behind");
    }
}

/// Gives rules to the `nft` program on its standard input.
async fn nft(rules: &str) -> Result<(), String> {
    let mut child = tokio::process::Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("nft: {error}; install the package `nftables`"))?;
    let work = async {
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(rules.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    match tokio::time::timeout(NFT_LIMIT, work).await {
        Err(_) => Err(format!("nft did not end within {} s", NFT_LIMIT.as_secs())),
        Ok(Err(error)) => Err(format!("nft: {error}")),
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(format!("nft ended with {}: {said}", output.status))
        }
    }
}

/// Returns the IPv4 name servers of a `resolv.conf`.
pub fn name_servers(resolv_conf: &Path) -> Vec<Ipv4Addr> {
    let text = std::fs::read_to_string(resolv_conf).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|rest| rest.trim().parse().ok())
        .collect()
}

/// Returns the `resolv.conf` for containers: the host's, or where that one names only the host
/// itself, which containers do not reach, the one that systemd keeps beside it.
pub fn host_resolv_conf() -> Option<std::path::PathBuf> {
    let host = Path::new("/etc/resolv.conf");
    let systemd = Path::new("/run/systemd/resolve/resolv.conf");
    let servers = name_servers(host);
    let only_loopback = servers.iter().all(Ipv4Addr::is_loopback);
    let file = if only_loopback && systemd.exists() { systemd } else { host };
    file.exists().then(|| file.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_name_ports_and_servers() {
        let subnet = Subnet::fixed(Ipv4Addr::new(10, 200, 16, 0), 20).unwrap();
        let text = rules("abc123", &subnet, &[80, 443], &[Ipv4Addr::new(192, 0, 2, 53)]);
        assert!(text.contains("ip saddr 10.200.16.0/20 oifname != \"wlabc123*\" masquerade"));
        assert!(text.contains("tcp dport { 80, 443 } accept"));
        assert!(text.contains("ip daddr { 192.0.2.53 } udp dport 53 accept"));
    }

    #[test]
    fn reads_name_servers() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("resolv.conf");
        std::fs::write(&path, "search a.b\nnameserver 10.0.0.1\n nameserver ::1\n").unwrap();
        assert_eq!(name_servers(&path), [Ipv4Addr::new(10, 0, 0, 1)]);
    }
}
