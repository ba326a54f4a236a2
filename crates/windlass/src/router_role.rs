//! The router role: the data plane, and beside it the name server of instances. Both must go on
//! while the control plane is away, and both answer from the same routes.

use crate::arguments::{ListenArguments, RouterArguments, ZoneArguments};
use crate::name_server::{self, Binding};
use crate::{fail, log_to_stderr, notify, zone_role};
use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use windlass_core::route::ListenOptions;
use windlass_core::zone::Zone;
use windlass_dns::{Clients, Doors, Server, Upstream};
use windlass_router::RouterConfig;

/// How long until a port that is taken is tried again, as by a router that is just ending.
const AGAIN: Duration = Duration::from_millis(200);

/// The name servers of the host.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Another one after each start of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

fn boot_id() -> String {
    std::fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned()
}

pub fn main(arguments: RouterArguments) -> ExitCode {
    log_to_stderr("info");
    let runtime = match windlass_router::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, 1),
    };
    let mut config =
        RouterConfig::new(arguments.listen, arguments.control_socket, arguments.table_file);
    let served = runtime.block_on(async {
        let mut inherited = match arguments.take_over {
            true => Some(windlass_router::take_over(&config.control_socket).await?),
            false => None,
        };
        config.boot_id = boot_id();
        config.listen = options_of(arguments.options);
        let shared = inherited.as_mut().map(|inherited| std::mem::take(&mut inherited.others));
        let mut shared = shared.unwrap_or_default().into_iter();
        let mut pair = || Some([shared.next()?, shared.next()?]);
        let (names, of_zone) = (pair(), pair());
        let mut again = Vec::new();
        if let (Some(listen), Some(clients)) = (arguments.dns_listen, arguments.dns_clients) {
            again.extend(start_name_server(listen, clients, names, &mut config));
        }
        if let Some(zone) = zone_of(arguments.zone) {
            again.extend(zone_role::start(zone, of_zone, &mut config));
        }
        config.others = again.into();
        windlass_router::run_after(inherited, config, notify::stop_signal(), |address| {
            tracing::info!(%address, "the router takes requests");
        })
        .await
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, 1),
    }
}

/// Starts the name server on the sockets of the router before this one, if it passed them, and
/// notes where it listens; nowhere if it cannot, which must not keep requests from being served.
/// A port that is given must be that very one, for the firewall leads there: it is waited for.
/// Returns the sockets once more, for the next router.
fn start_name_server(
    listen: SocketAddrV4,
    clients: PathBuf,
    shared: Option<[OwnedFd; 2]>,
    config: &mut RouterConfig,
) -> Vec<OwnedFd> {
    let upstream = Upstream::new(PathBuf::from(RESOLV_CONF));
    let server = Server::new(Clients::new(clients), upstream, config.routes.subscribe());
    let bound = match shared {
        Some(shared) => Doors::from_shared(shared),
        None => windlass_dns::bind(listen),
    };
    let mut again = Vec::new();
    config.dns = match &bound {
        Ok(doors) => {
            again.extend(doors.share().into_iter().flatten());
            Some(doors.address())
        }
        Err(error) if listen.port() == 0 => {
            tracing::error!(%listen, %error, "names of instances are not answered");
            return again;
        }
        Err(_) => Some(listen.into()),
    };
    if let Err(error) = &bound {
        tracing::warn!(%listen, %error, "the name server waits for its port");
    }
    let what = "questions about names of instances";
    let open = move || windlass_dns::bind(listen);
    let binding = Binding { bound, open, again: AGAIN, what };
    name_server::spawn(binding, |doors| server.serve(doors), config);
    again
}

fn options_of(arguments: ListenArguments) -> ListenOptions {
    ListenOptions {
        https: arguments.https,
        https_public_port: arguments.https_public_port,
        trusted_proxies: arguments.trusted_proxy,
        proxy_protocol: arguments.proxy_protocol,
        without_h2c: arguments.without_h2c,
        http3: arguments.http3,
        ssh: arguments.ssh,
    }
}

fn zone_of(arguments: ZoneArguments) -> Option<Zone> {
    let ZoneArguments { zone, zone_listen, zone_address } = arguments;
    Some(Zone { name: zone?, listen: zone_listen?, addresses: zone_address })
}
