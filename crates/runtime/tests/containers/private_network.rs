//! Who reaches whom, and who is asked for names.

use crate::harness::{Machine, connect};
use std::net::IpAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use windlass_core::driver::Driver;
use windlass_core::ids::AppId;
use windlass_core::instance::{InstanceKind, InstanceSpec, ObservedInstance};
use windlass_core::links::Links;

crate::tests![
    instances_reach_their_own_and_linked_apps_only,
    links_are_kept_when_the_driver_is_opened_again,
    builds_reach_no_app,
    names_are_asked_for_at_the_router_address,
    nothing_of_the_platform_is_within_reach,
    what_a_killed_server_left_in_the_firewall_is_removed,
];

/// For what must come; never needed in full.
const LONG: Duration = Duration::from_secs(60);

/// Starts a web server, and returns once it listens.
pub async fn start_server(machine: &Machine, app: AppId) -> ObservedInstance {
    let mut spec = machine.web_server();
    spec.labels.app = app;
    let instance = machine.driver.start(spec).await.unwrap();
    connect((instance.private_address.unwrap(), 80).into()).await;
    instance
}

/// Whether a new instance of `app` gets an answer from `address`.
pub async fn reaches(
    machine: &Machine,
    mut spec: InstanceSpec,
    app: AppId,
    address: IpAddr,
) -> bool {
    spec.labels.app = app;
    let script = format!(
        "for n in 1 2; do timeout {} wget -q -O - http://{address}/ && break; done",
        machine.patience
    );
    spec.command[2] = script;
    let (_, log) = machine.output_of(spec).await;
    log.iter().any(|line| line == "served")
}

async fn instances_reach_their_own_and_linked_apps_only() {
    let machine = Machine::start().await;
    let [shop, caller, stranger] = [(); 3].map(|()| AppId::random());
    let address = start_server(&machine, shop).await.private_address.unwrap();
    let apps = [shop, caller, stranger];
    let reached_by = async |apps: [AppId; 3]| {
        let mut reached = Vec::new();
        for app in apps {
            reached.push(reaches(&machine, machine.script(""), app, address).await);
        }
        reached
    };
    assert_eq!(reached_by(apps).await, [false, false, false], "nothing has been said");
    machine.driver.set_links(&Links::new(apps, [])).await.unwrap();
    assert_eq!(reached_by(apps).await, [true, false, false], "one app");
    let linked = Links::new(apps, [(caller, shop)]);
    machine.driver.set_links(&linked).await.unwrap();
    machine.driver.set_links(&linked).await.unwrap();
    assert_eq!(reached_by(apps).await, [true, true, false], "two linked apps");
    machine.driver.set_links(&Links::default()).await.unwrap();
    assert_eq!(reached_by(apps).await, [false, false, false], "all taken back");
    machine.finish().await;
}

async fn links_are_kept_when_the_driver_is_opened_again() {
    let machine = Machine::start().await;
    let app = AppId::random();
    machine.driver.set_links(&Links::new([app], [])).await.unwrap();
    let address = start_server(&machine, app).await.private_address.unwrap();
    let machine = machine.restart().await;
    assert!(reaches(&machine, machine.script(""), app, address).await);
    assert!(!reaches(&machine, machine.script(""), AppId::random(), address).await);
    machine.finish().await;
}

async fn builds_reach_no_app() {
    let machine = Machine::start().await;
    let app = AppId::random();
    machine.driver.set_links(&Links::new([app], [])).await.unwrap();
    let address = start_server(&machine, app).await.private_address.unwrap();
    let mut build = machine.script("");
    build.labels.kind = InstanceKind::Build;
    assert!(!reaches(&machine, build, app, address).await);
    machine.finish().await;
}

async fn names_are_asked_for_at_the_router_address() {
    let mut machine = Machine::start().await;
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    machine.config.name_server_port = Some(port);
    let machine = machine.restart().await;
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"a name server\n").await.unwrap();
        }
    });
    let script = "grep -v search /etc/resolv.conf; timeout 60 nc 169.254.1.1 53 </dev/null";
    let (_, log) = machine.output_of(machine.script(script)).await;
    assert_eq!(log, ["nameserver 169.254.1.1", "options timeout:1 attempts:5", "a name server"]);
    // Whose address it is, for the name server; gone with the instance.
    let clients = windlass_runtime::clients_directory(&machine.config.run_directory);
    let owners = || -> Vec<String> {
        let links = std::fs::read_dir(&clients).unwrap().flatten();
        links.map(|l| std::fs::read_link(l.path()).unwrap().display().to_string()).collect()
    };
    for instance in machine.driver.observe().await.unwrap() {
        assert_eq!(owners(), [machine.app.to_string()]);
        machine.driver.forget(&instance.spec.id).await.unwrap();
    }
    assert_eq!(owners(), Vec::<String>::new());
    machine.finish().await;
}

async fn nothing_of_the_platform_is_within_reach() {
    let machine = Machine::start().await;
    // As the API and the router's control do: on the loopback, and a socket in the run directory.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = machine.config.run_directory.join("router.sock");
    let _control = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let script = format!(
        "ls {run} /run/windlass 2>/dev/null; \
         for a in 127.0.0.1 169.254.1.1 169.254.169.254; do \
           for p in {port} 80; do timeout 1 nc $a $p </dev/null && echo reached $a $p; done; \
         done; echo done",
        run = machine.config.run_directory.display()
    );
    let (_, log) = machine.output_of(machine.script(&script)).await;
    let is_failure = |line: &str| line.starts_with("nc:") || line == "Terminated";
    let said: Vec<_> = log.iter().filter(|line| !is_failure(line)).collect();
    assert_eq!(said, ["done"], "{log:?}");
    machine.finish().await;
}

async fn what_a_killed_server_left_in_the_firewall_is_removed() {
    let machine = Machine::start().await;
    let address = start_server(&machine, AppId::random()).await.private_address.unwrap();
    let IpAddr::V4(v4) = address else { panic!("{address}") };
    let network = std::net::Ipv4Addr::from(u32::from(v4) & 0xffff_f000);
    let chain = format!(
        "add table inet windlass_ffffff; \
         add chain inet windlass_ffffff output {{ type filter hook output priority 0; }}; \
         add rule inet windlass_ffffff output ip daddr {network}/20 drop"
    );
    let nft = |arguments: &[&str]| {
        let status =
            std::process::Command::new("nft").args(arguments).stderr(Stdio::null()).status();
        status.unwrap().success()
    };
    let answers = async |limit: Duration| {
        let connecting = TcpStream::connect((address, 80));
        matches!(tokio::time::timeout(limit, connecting).await, Ok(Ok(_)))
    };
    assert!(answers(LONG).await);
    assert!(nft(&[&chain]));
    assert!(!answers(Duration::from_millis(500)).await);
    let machine = machine.restart().await;
    assert!(answers(LONG).await);
    assert!(!nft(&["list", "table", "inet", "windlass_ffffff"]), "it is gone");
    machine.finish().await;
}
