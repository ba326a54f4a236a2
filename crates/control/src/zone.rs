//! The owner's zone: what it is, and whether the world asks us about it.

use crate::acme::resolver;
use crate::records::User;
use crate::{Platform, PlatformError, Result};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use windlass_core::zone::Zone;
use windlass_dns::{Resolver, Unresolved};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneCheck {
    pub name: &'static str,
    /// What is right.
    pub found: String,
    /// What is wrong and what to do; `None`: nothing.
    pub problem: Option<String>,
}

impl Platform {
    /// Returns the zone that this server answers for.
    pub fn zone(&self, user: &User) -> Result<Option<&Zone>> {
        let owner = self.store().owner()?;
        if owner.is_none_or(|owner| owner.id != user.id) {
            let message = "Only the server's owner looks after its zone.";
            return Err(PlatformError::Forbidden(message.to_owned()));
        }
        Ok(self.settings().public.zone.as_ref())
    }

    /// Asks our own name server, and then the world's, about the zone.
    pub async fn check_zone(&self, user: &User) -> Result<Vec<ZoneCheck>> {
        let missing = PlatformError::NotFound { resource: "zone" };
        let zone = self.zone(user)?.ok_or(missing)?;
        // A name that nobody can have asked for before.
        let host = format!("check-{}.{}", fastrand::u64(..), zone.name);
        let own = Resolver::of(reachable(zone.listen));
        let world = resolver(&self.settings().public);
        let (answers, delegation, seen) = tokio::join!(
            own.addresses(&host),
            world.name_servers(&zone.name),
            world.addresses(&host)
        );
        Ok(vec![
            answer_check(zone, answers),
            delegation_check(zone, delegation),
            seen_check(zone, seen),
        ])
    }
}

/// Where a server that listens everywhere is asked on this machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let address: IpAddr = match listen.ip() {
        address if !address.is_unspecified() => address,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(address, listen.port())
}

fn check(name: &'static str, outcome: std::result::Result<String, String>) -> ZoneCheck {
    match outcome {
        Ok(found) => ZoneCheck { name, found, problem: None },
        Err(problem) => ZoneCheck { name, found: String::new(), problem: Some(problem) },
    }
}

type Found<T> = std::result::Result<Vec<T>, Unresolved>;

fn list<T: ToString>(of: &[T]) -> String {
    of.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn is_complete(zone: &Zone, found: &[IpAddr]) -> bool {
    let set = |addresses: &[IpAddr]| addresses.iter().copied().collect::<BTreeSet<_>>();
    set(found) == set(&zone.addresses)
}

fn answer_check(zone: &Zone, found: Found<IpAddr>) -> ZoneCheck {
    let outcome = match found {
        Ok(found) if is_complete(zone, &found) => {
            Ok(format!("this server's name server answers at {}", zone.listen))
        }
        Ok(found) => Err(format!(
            "another name server than ours answers at {}: it says {}. Set dns.listen to an address of this machine whose port 53 is free.",
            zone.listen,
            list(&found)
        )),
        Err(error) => Err(format!(
            "nothing right answers at {}: {error}. The file router.log in the data directory says why.",
            zone.listen
        )),
    };
    check("answers", outcome)
}

fn delegation_check(zone: &Zone, found: Found<String>) -> ZoneCheck {
    let wanted = zone.name_server();
    let advice =
        format!("Set the records that windlass dns prints in the zone above {}.", zone.name);
    let outcome = match found {
        Ok(found) if found.contains(&wanted) => {
            Ok(format!("{} is answered by {}", zone.name, list(&found)))
        }
        Ok(found) if found.is_empty() => {
            Err(format!("{} has no name server of its own. {advice}", zone.name))
        }
        Ok(found) => Err(format!("{} is answered by {}. {advice}", zone.name, list(&found))),
        Err(error) => Err(format!("{} is not delegated: {error}. {advice}", zone.name)),
    };
    check("delegated", outcome)
}

fn seen_check(zone: &Zone, found: Found<IpAddr>) -> ZoneCheck {
    let outcome = match found {
        Ok(found) if is_complete(zone, &found) => {
            Ok(format!("names below {} lead to {}", zone.name, list(&found)))
        }
        Ok(found) if found.is_empty() => {
            Err(format!("names below {} lead nowhere for the world.", zone.name))
        }
        Ok(found) => Err(format!(
            "names below {} lead to {} for the world, not to {}.",
            zone.name,
            list(&found),
            list(&zone.addresses)
        )),
        Err(error) => Err(format!(
            "the world cannot look up names below {}: {error}. Is port 53 open for UDP and TCP from outside?",
            zone.name
        )),
    };
    check("seen by the world", outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> Zone {
        Zone {
            name: "apps.example.com".to_owned(),
            listen: ([0, 0, 0, 0], 53).into(),
            addresses: vec![[192, 0, 2, 1].into(), [192, 0, 2, 2].into()],
        }
    }

    #[test]
    fn a_server_that_listens_everywhere_is_asked_on_the_loopback() {
        assert_eq!(reachable(zone().listen).to_string(), "127.0.0.1:53");
        assert_eq!(reachable("[::]:53".parse().unwrap()).to_string(), "[::1]:53");
        assert_eq!(reachable("192.0.2.1:53".parse().unwrap()).to_string(), "192.0.2.1:53");
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_do() {
        let own = vec![IpAddr::from([192, 0, 2, 2]), [192, 0, 2, 1].into()];
        let other = vec![IpAddr::from([192, 0, 2, 9])];
        assert_eq!(answer_check(&zone(), Ok(own.clone())).problem, None);
        assert_eq!(seen_check(&zone(), Ok(own)).problem, None);
        let right = vec!["ns1.apps.example.com".to_owned()];
        assert_eq!(delegation_check(&zone(), Ok(right)).problem, None);
        let wrong = [
            (answer_check(&zone(), Ok(other.clone())), "dns.listen"),
            (answer_check(&zone(), Err(Unresolved::NoAnswer)), "router.log"),
            (delegation_check(&zone(), Ok(vec![])), "windlass dns"),
            (delegation_check(&zone(), Ok(vec!["ns.provider.example".to_owned()])), "ns.provider"),
            (delegation_check(&zone(), Err(Unresolved::NoSuchName)), "windlass dns"),
            (seen_check(&zone(), Ok(other)), "192.0.2.9"),
            (seen_check(&zone(), Err(Unresolved::NoAnswer)), "port 53"),
        ];
        for (check, word) in wrong {
            let problem = check.problem.unwrap();
            assert!(problem.contains(word), "{problem}");
        }
    }
}
