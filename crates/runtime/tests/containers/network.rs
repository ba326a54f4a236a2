use crate::harness::{Machine, connect};
use std::net::SocketAddr;
use std::process::Command;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use windlass_core::driver::Driver;
use windlass_core::instance::InstanceSpec;

crate::tests![
    the_host_reaches_instances,
    instances_do_not_reach_each_other,
    instances_do_not_reach_the_host,
    chosen_ports_of_the_host_are_open,
    names_resolve_outside,
    a_start_changes_no_address_of_the_host,
];

fn server(machine: &Machine) -> InstanceSpec {
    let mut spec = machine.web_server();
    spec.port = Some(80);
    spec
}

async fn get(address: SocketAddr) -> String {
    let mut stream = connect(address).await;
    stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n").await.unwrap();
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text).await;
    text
}

async fn the_host_reaches_instances() {
    let machine = Machine::start().await;
    let (one, mut two) = (server(&machine), server(&machine));
    // As programs do that listen on "any" address of both families.
    two.command[2] = two.command[2].replace("-p 80", "-p [::]:80");
    let one = machine.driver.start(one).await.unwrap().address.unwrap();
    let two = machine.driver.start(two).await.unwrap().address.unwrap();
    assert_ne!(one, two);
    assert!(get(one).await.contains("served"));
    assert!(get(two).await.contains("served"));
    machine.finish().await;
}

async fn instances_do_not_reach_each_other() {
    let machine = Machine::start().await;
    let address = machine.driver.start(server(&machine)).await.unwrap().address.unwrap();
    assert!(get(address).await.contains("served"));
    let script =
        format!("timeout 1 nc {} {} </dev/null; echo ended with $?", address.ip(), address.port());
    let (_, log) = machine.output_of(machine.script(&script)).await;
    assert!(log.iter().any(|l| l == "ended with 143"), "a dropped packet, not an answer: {log:?}");
    // Its own address works.
    let spec = machine
        .script("(echo hi | nc -l -p 9 &); until nc 127.0.0.1 9 2>/dev/null; do sleep 0.1; done");
    let (_, log) = machine.output_of(spec).await;
    assert_eq!(log, ["hi"]);
    machine.finish().await;
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// The addresses of this machine, the one that instances see as their router included.
fn ask_host(port: u16, patience: u64) -> String {
    format!(
        "for a in 169.254.1.1 $HOST_ADDRESS; \
         do timeout {patience} nc $a {port} </dev/null 2>/dev/null; echo ended with $?; done"
    )
}

fn host_address() -> String {
    // A UDP socket that is "connected" sends nothing but knows its own address.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.200:9").unwrap();
    socket.local_addr().unwrap().ip().to_string()
}

async fn instances_do_not_reach_the_host() {
    let machine = Machine::start().await;
    let (_listener, port) = listener().await;
    let mut spec = machine.script(&ask_host(port, 1));
    spec.environment.insert("HOST_ADDRESS".to_owned(), host_address());
    let (_, log) = machine.output_of(spec).await;
    let ends: Vec<_> = log.iter().filter(|line| line.starts_with("ended")).collect();
    assert_eq!(ends, ["ended with 143", "ended with 143"]);
    machine.finish().await;
}

async fn chosen_ports_of_the_host_are_open() {
    let mut machine = Machine::start().await;
    let (listener, port) = listener().await;
    machine.config.host_ports = vec![port];
    let machine = machine.restart().await;
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"hello\n").await.unwrap();
        }
    });
    let mut spec = machine.script(&ask_host(port, 60));
    spec.environment.insert("HOST_ADDRESS".to_owned(), host_address());
    let (_, log) = machine.output_of(spec).await;
    assert_eq!(log, ["hello", "ended with 0", "hello", "ended with 0"]);
    machine.finish().await;
}

/// Returns a host that this machine surely may reach: where its packages come from.
fn package_host() -> Option<String> {
    let directory = std::fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    let files = directory.map(|entry| entry.path()).chain(["/etc/apt/sources.list".into()]);
    let text: String = files.filter_map(|file| std::fs::read_to_string(file).ok()).collect();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let url =
        lines.flat_map(str::split_whitespace).find_map(|word| word.strip_prefix("http://"))?;
    Some(url.split('/').next()?.to_owned())
}

async fn names_resolve_outside() {
    let host = package_host().unwrap_or_default();
    let Ok(_) = tokio::net::lookup_host((host.as_str(), 80)).await else {
        println!("SKIPPED names_resolve_outside: this machine resolves no names");
        return;
    };
    let machine = Machine::start().await;
    let spec = machine.script(&format!("nslookup {host} | tail -n +3; wget -q -O - http://{host}/debian/dists/stable/Release | head -n 1"));
    let (_, log) = machine.output_of(spec).await;
    assert!(log.iter().any(|line| line.contains("Origin")), "{log:?}");
    machine.finish().await;
}

/// Browsers on this machine drop what they load when one of its addresses comes or goes.
async fn a_start_changes_no_address_of_the_host() {
    let machine = Machine::start().await;
    let address = machine.driver.start(server(&machine)).await.unwrap().address.unwrap();
    assert!(get(address).await.contains("served"));
    let shown = Command::new("ip").args(["-oneline", "address"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let of_containers = format!("wl{}", machine.config.name);
    assert!(!shown.contains(&of_containers), "{shown}");
    let router = |line: &&str| line.contains(" lo ") && line.contains(" 169.254.1.1/32 ");
    assert_eq!(shown.lines().filter(router).count(), 1, "{shown}");
    machine.finish().await;
}
