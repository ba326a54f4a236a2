//! The host's side of the network: forwarding, address translation and who may talk to whom, in
//! one nftables table. Starting an instance changes nothing in it; linking two apps changes a set.

use super::private_network::Pairs;
use super::subnet::Subnet;
use crate::shim::GATEWAY;
use crate::{RuntimeConfig, RuntimeError};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// It takes milliseconds; in a virtual machine without hardware help over ten seconds
/// were seen. A change that is given up leaves rules behind, or apps without theirs.
const NFT_LIMIT: Duration = Duration::from_secs(60);

/// Returns the common start of the names of this server's network devices.
pub fn interface_prefix(name: &str) -> String {
    format!("wl{name}")
}

fn table(name: &str) -> String {
    format!("windlass_{name}")
}

/// Returns the rules: instances reach the world, but neither this machine (except its name servers
/// and the given ports), nor the cloud's metadata service, nor each other, except where the groups
/// of their devices are in `linked`. That comes before what is established: a link that is taken
/// away cuts what went over it. What is meant for an instance that is gone is refused: with its
/// route gone as well, it would leave for the default gateway, and whoever answers there would be
/// taken for the app.
///
/// Questions for names go to port 53 of the address that instances have for their router and are
/// led to the port at which the name server of this very server listens: there may be others on the
/// machine. (To an address, since the devices at which they come in have none that `redirect` could
/// lead to.) When it is away for a moment they get no answer rather than a refusal, so that they ask
/// again.
fn rules(
    config: &RuntimeConfig,
    subnet: &Subnet,
    pairs: &Pairs,
    name_servers: &[Ipv4Addr],
) -> String {
    let (table, devices) = (table(&config.name), interface_prefix(&config.name));
    let (network, prefix) = (subnet.network, subnet.prefix);
    let (mut names, mut input, mut silence) = (String::new(), String::new(), String::new());
    if let Some(port) = config.name_server_port {
        for protocol in ["udp", "tcp"] {
            let asked = format!("iifname \"{devices}*\" ip daddr {GATEWAY} {protocol} dport");
            names += &format!("    {asked} 53 dnat ip to {GATEWAY}:{port}\n");
            input += &format!("    {asked} {port} accept\n");
            input += &format!("    ip daddr {GATEWAY} {protocol} dport {port} drop\n");
        }
        silence = format!("    oifname \"{devices}*\" icmp code port-unreachable drop\n");
    }
    if !name_servers.is_empty() {
        let servers = list(name_servers);
        for protocol in ["udp", "tcp"] {
            input += &format!(
                "    iifname \"{devices}*\" ip daddr {{ {servers} }} {protocol} dport 53 accept\n"
            );
        }
    }
    if !config.host_ports.is_empty() {
        let ports = list(&config.host_ports);
        input += &format!("    iifname \"{devices}*\" tcp dport {{ {ports} }} accept\n");
    }
    let elements = elements(pairs).map(|all| format!(" elements = {{ {all} }};"));
    let elements = elements.unwrap_or_default();
    format!(
        "table inet {table} {{}}
delete table inet {table}
table inet {table} {{
  set linked {{ type devgroup . devgroup;{elements} }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
{names}  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {network}/{prefix} oifname != \"{devices}*\" masquerade
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname \"{devices}*\" oifname \"{devices}*\" iifgroup . oifgroup @linked accept
    iifname \"{devices}*\" oifname \"{devices}*\" drop
    ct state established,related accept
    oifname \"{devices}*\" drop
    ip daddr {network}/{prefix} drop
    iifname \"{devices}*\" ip daddr 169.254.0.0/16 drop
  }}
  chain output {{
    type filter hook output priority filter; policy accept;
    ip daddr {network}/{prefix} oifname != \"{devices}*\" meta l4proto tcp reject with tcp reset
    ip daddr {network}/{prefix} oifname != \"{devices}*\" drop
{silence}  }}
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname \"{devices}*\" ct state established,related accept
{input}    iifname \"{devices}*\" drop
  }}
}}
"
    )
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// Returns the elements of the set of device groups that reach each other; `None` for no elements,
/// which nft has no words for.
fn elements(pairs: &Pairs) -> Option<String> {
    let all: Vec<String> = pairs.iter().map(|(from, to)| format!("{from} . {to}")).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// Returns what replaces the set in one transaction.
fn pair_rules(name: &str, pairs: &Pairs) -> String {
    let table = table(name);
    let mut rules = format!("flush set inet {table} linked\n");
    if let Some(elements) = elements(pairs) {
        rules += &format!("add element inet {table} linked {{ {elements} }}\n");
    }
    rules
}

/// Switches forwarding on and sets the table, replacing an older one at once.
pub async fn set_up(
    config: &RuntimeConfig,
    subnet: &Subnet,
    pairs: &Pairs,
) -> Result<(), RuntimeError> {
    let forwarding = Path::new("/proc/sys/net/ipv4/ip_forward");
    let on = std::fs::read_to_string(forwarding).is_ok_and(|value| value.trim() == "1");
    if !on {
        std::fs::write(forwarding, "1").map_err(RuntimeError::io("switch on", forwarding))?;
    }
    let name_servers = config.resolv_conf.as_deref().map(name_servers).unwrap_or_default();
    let mut all = String::new();
    for leftover in leftovers(&config.name, subnet).await.map_err(RuntimeError::Firewall)? {
        tracing::warn!(table = leftover, "removing what a killed server left in the firewall");
        all += &removal_of_table(&leftover);
    }
    all += &rules(config, subnet, pairs, &name_servers);
    nft(&all).await.map(drop).map_err(RuntimeError::Firewall)
}

/// Says which device groups reach each other, in place of those of before.
pub async fn set_pairs(name: &str, pairs: &Pairs) -> Result<(), String> {
    nft(&pair_rules(name, pairs)).await.map(drop)
}

/// Removes the table.
pub async fn remove(name: &str) {
    if let Err(error) = nft(&removal(name)).await {
        tracing::warn!(name, error, "the firewall's table was left behind");
    }
}

/// Removes a server's table, whether it is there or not.
fn removal(name: &str) -> String {
    removal_of_table(&table(name))
}

fn removal_of_table(table: &str) -> String {
    format!("table inet {table} {{}}\ndelete table inet {table}\n")
}

/// Returns the tables of other servers that speak of this one's block of addresses. They are
/// gone, or the block would not be ours; their rules would drop what is meant for our instances.
async fn leftovers(name: &str, subnet: &Subnet) -> Result<Vec<String>, String> {
    let block = format!("{}/{}", subnet.network, subnet.prefix);
    let tables = nft("list tables inet\n").await?;
    let mut found = Vec::new();
    for table in tables.lines().filter_map(|line| line.trim().strip_prefix("table inet ")) {
        let is_another = table.starts_with("windlass_") && table != self::table(name);
        // One that vanishes meanwhile is no leftover.
        let text = match is_another {
            true => nft(&format!("list table inet {table}\n")).await.unwrap_or_default(),
            false => String::new(),
        };
        if text.contains(&block) {
            found.push(table.to_owned());
        }
    }
    Ok(found)
}

/// Gives commands to the `nft` program on its standard input; returns what it says.
async fn nft(rules: &str) -> Result<String, String> {
    let mut child = tokio::process::Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
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
        Ok(Ok(output)) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
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

    fn config(name_server_port: Option<u16>) -> RuntimeConfig {
        let directory = tempfile::tempdir().unwrap();
        let images = windlass_oci::ImageStore::open(directory.path()).unwrap();
        let mut config = RuntimeConfig::new("abc123", "/run/x", "/var/x", images);
        config.host_ports = vec![80, 443];
        config.name_server_port = name_server_port;
        config
    }

    #[test]
    fn rules_as_text() {
        let subnet = Subnet::fixed(Ipv4Addr::new(10, 200, 16, 0), 20).unwrap();
        let pairs = Pairs::from([(1, 1), (1, 2), (2, 1), (2, 2)]);
        let text = rules(&config(Some(5353)), &subnet, &pairs, &[Ipv4Addr::new(192, 0, 2, 53)]);
        assert_eq!(text, include_str!("firewall_rules.nft"));
    }

    #[test]
    fn without_a_name_server_nothing_is_redirected_and_nobody_is_linked() {
        let subnet = Subnet::fixed(Ipv4Addr::new(10, 200, 16, 0), 20).unwrap();
        let text = rules(&config(None), &subnet, &Pairs::new(), &[]);
        for word in ["dnat", "elements", "dport 53", "unreachable"] {
            assert!(!text.contains(word), "{word} in {text}");
        }
    }

    #[test]
    fn links_are_replaced_in_one_transaction() {
        let pairs = Pairs::from([(1, 1), (1, 2)]);
        assert_eq!(
            pair_rules("abc123", &pairs),
            "flush set inet windlass_abc123 linked\n\
             add element inet windlass_abc123 linked { 1 . 1, 1 . 2 }\n"
        );
        assert_eq!(pair_rules("abc123", &Pairs::new()), "flush set inet windlass_abc123 linked\n");
    }

    #[test]
    fn reads_name_servers() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("resolv.conf");
        std::fs::write(&path, "search a.b\nnameserver 10.0.0.1\n nameserver ::1\n").unwrap();
        assert_eq!(name_servers(&path), [Ipv4Addr::new(10, 0, 0, 1)]);
    }
}
