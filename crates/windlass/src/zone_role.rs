//! The name server of the owner's zone, in the router's process: the world must find the apps while
//! the control plane is away.

use crate::name_server::{self, Binding};
use std::os::fd::OwnedFd;
use std::time::Duration;
use windlass_core::zone::Zone;
use windlass_dns::{Doors, ZoneServer};
use windlass_router::RouterConfig;

/// How long until a port that is taken is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Starts it on the sockets of the router before this one, if it passed such, and notes where it
/// listens. Requests are served whether it can listen or not; it tries again until it can. Returns
/// the sockets once more, for the next router.
pub fn start(zone: Zone, shared: Option<[OwnedFd; 2]>, config: &mut RouterConfig) -> Vec<OwnedFd> {
    let listen = zone.listen;
    let inherited = shared.and_then(|shared| Doors::from_shared(shared).ok());
    let bound = match inherited.filter(|doors| doors.address() == listen) {
        Some(doors) => Ok(doors),
        None => Doors::open(listen),
    };
    let mut again = Vec::new();
    let mut zone = zone;
    match &bound {
        Ok(doors) => {
            zone.listen = doors.address();
            again.extend(doors.share().into_iter().flatten());
        }
        Err(error) => {
            tracing::error!(%listen, %error, zone = zone.name, "the zone is not answered: is another name server there? (see dns.listen)");
        }
    }
    config.zone = Some(zone.clone());
    let server = match ZoneServer::new(zone, config.challenges.subscribe()) {
        Ok(server) => server,
        Err(error) => {
            tracing::error!(%error, "the zone is not answered");
            return again;
        }
    };
    let what = "questions about the zone";
    let open = move || Doors::open(listen);
    let binding = Binding { bound, open, again: AGAIN, what };
    name_server::spawn(binding, |doors| server.serve(doors), config);
    again
}
