//! How much one network gets over UDP, where senders may be forged: a server that answers all that
//! is asked in somebody's name can be used to flood him.

use super::answer::Extent;
use std::collections::HashMap;
use std::net::IpAddr;

/// Answers a second, and how many may be saved up. Large resolvers ask for many people.
const A_SECOND: u64 = 100;
const AT_ONCE: u64 = 200;
/// Networks that are remembered; one costs about 50 bytes.
const NETWORKS: usize = 16_384;
/// A question costs so much of a budget that grows by one a microsecond.
const COST: u64 = 1_000_000 / A_SECOND;
const FULL: u64 = AT_ONCE * COST;

/// What the networks that ask have left.
#[derive(Default)]
pub(super) struct Rates(HashMap<u64, Budget>);

struct Budget {
    left: u64,
    /// When `left` was right, in microseconds.
    at: u64,
    refused: u64,
}

impl Rates {
    /// Says how much of an answer this sender gets now, in microseconds of any clock that does not
    /// go back: whole, or only the word to ask over TCP, or nothing. Somebody who really asks gets
    /// through by that word; who only is made to look so is not flooded by it.
    pub fn extent(&mut self, sender: IpAddr, now: u64) -> Option<Extent> {
        if self.0.len() >= NETWORKS {
            self.0.retain(|_, budget| budget.at(now) < FULL);
        }
        let is_full = self.0.len() >= NETWORKS;
        let network = network(sender);
        if is_full && !self.0.contains_key(&network) {
            return Some(Extent::Truncated);
        }
        let budget = self.0.entry(network).or_insert(Budget { left: FULL, at: now, refused: 0 });
        budget.left = budget.at(now);
        budget.at = now;
        if let Some(left) = budget.left.checked_sub(COST) {
            budget.left = left;
            return Some(Extent::Whole);
        }
        budget.refused += 1;
        budget.refused.is_multiple_of(2).then_some(Extent::Truncated)
    }
}

impl Budget {
    fn at(&self, now: u64) -> u64 {
        self.left.saturating_add(now.saturating_sub(self.at)).min(FULL)
    }
}

/// Returns the network of an address: what one sender can easily have. The first 24 bits of IPv4,
/// the first 56 of IPv6.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(u32::from(address) >> 8),
        IpAddr::V6(address) => (u128::from(address) >> 72) as u64 | 1 << 63,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const SECOND: u64 = 1_000_000;

    fn v4(last: [u8; 2]) -> IpAddr {
        Ipv4Addr::new(192, 0, last[0], last[1]).into()
    }

    #[test]
    fn a_network_that_asks_too_much_is_sent_to_tcp_and_others_are_not() {
        let mut rates = Rates::default();
        let whole = |rates: &mut Rates, now| {
            (0..1_000u64)
                .filter(|n| rates.extent(v4([2, (*n % 200) as u8]), now) == Some(Extent::Whole))
                .count()
        };
        assert_eq!(whole(&mut rates, 0), 200);
        assert_eq!(whole(&mut rates, 0), 0);
        let denied: Vec<_> = (0..10).map(|_| rates.extent(v4([2, 1]), 0)).collect();
        assert_eq!(denied.iter().filter(|e| **e == Some(Extent::Truncated)).count(), 5);
        assert_eq!(denied.iter().filter(|e| e.is_none()).count(), 5);
        assert_eq!(rates.extent(v4([3, 1]), 0), Some(Extent::Whole), "another network");
        assert_eq!(whole(&mut rates, SECOND), 100);
        assert_eq!(whole(&mut rates, 60 * SECOND), 200);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut rates = Rates::default();
        for n in 0..40_000u32 {
            let sender = IpAddr::from(Ipv4Addr::from(n << 8));
            assert!(rates.extent(sender, 0).is_some());
        }
        assert!(rates.0.len() <= NETWORKS);
        assert_eq!(rates.extent(v4([2, 1]), 10 * SECOND), Some(Extent::Whole), "it is forgotten");
    }

    #[test]
    fn addresses_of_one_network_count_together() {
        let same = |one: &str, other: &str| {
            network(one.parse().unwrap()) == network(other.parse().unwrap())
        };
        assert!(same("192.0.2.1", "192.0.2.200") && same("192.0.2.1", "::ffff:192.0.2.7"));
        assert!(!same("192.0.2.1", "192.0.3.1"));
        assert!(same("2001:db8:1:200::1", "2001:db8:1:2ff::9"));
        assert!(!same("2001:db8:1:200::1", "2001:db8:1:300::1"));
    }
}
