//! How many requests each client may send: a token bucket an address.

use http::HeaderValue;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use windlass_core::routing_settings::RateLimit;

/// Addresses that are remembered for one app; 2 MB at most.
const MOST_CLIENTS: usize = 32_768;

/// Token buckets by address, in the form of the time at which each is full again: a client may go
/// on while that is less than a whole bucket away.
pub(super) struct RateLimiter {
    interval: Duration,
    /// The time in which an empty bucket fills.
    window: Duration,
    clients: Mutex<HashMap<u128, Instant>>,
}

impl RateLimiter {
    pub fn new(limit: RateLimit, burst: Option<u32>) -> Self {
        let burst = burst.unwrap_or(limit.default_burst()).max(1);
        Self::with(limit.interval(), burst)
    }

    pub fn with(interval: Duration, burst: u32) -> Self {
        Self { interval, window: interval * burst, clients: Mutex::default() }
    }

    /// Takes one; returns how long to wait if there is none.
    pub fn take(&self, client: IpAddr) -> Option<Duration> {
        self.take_at(client, Instant::now())
    }

    pub fn take_at(&self, client: IpAddr, now: Instant) -> Option<Duration> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let key = client_key(client);
        let full_at = clients.get(&key).copied().unwrap_or(now).max(now) + self.interval;
        if full_at > now + self.window {
            return Some(full_at - (now + self.window));
        }
        if clients.len() >= MOST_CLIENTS && !clients.contains_key(&key) {
            clients.retain(|_, full_at| *full_at > now);
            if clients.len() >= MOST_CLIENTS {
                // More clients at once than are remembered: all begin anew.
                clients.clear();
            }
        }
        clients.insert(key, full_at);
        None
    }

    /// Returns how long a client has to wait, without taking one.
    pub fn wait(&self, client: IpAddr) -> Option<Duration> {
        let now = Instant::now();
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at =
            clients.get(&client_key(client)).copied().unwrap_or(now).max(now) + self.interval;
        (full_at > now + self.window).then(|| full_at - (now + self.window))
    }
}

/// Returns what tells clients from each other where they are counted: who has one address of IPv6
/// has a whole /64 of them.
pub(crate) fn client_key(client: IpAddr) -> u128 {
    match client.to_canonical() {
        // Beside the addresses of IPv6, of which none begins with zeros but a few of the host's own.
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

/// Whole seconds, rounded up.
pub(super) fn retry_after(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_millis().div_ceil(1_000).max(1) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_bucket_empties_and_fills() {
        let limiter = RateLimiter::new(RateLimit { requests: 600, seconds: 60 }, Some(3));
        let (now, client) = (Instant::now(), address("203.0.113.1"));
        let after = |millis| now + Duration::from_millis(millis);
        for _ in 0..3 {
            assert_eq!(limiter.take_at(client, now), None);
        }
        assert_eq!(limiter.take_at(client, now), Some(Duration::from_millis(100)));
        assert_eq!(limiter.take_at(client, after(40)), Some(Duration::from_millis(60)));
        assert_eq!(limiter.take_at(address("203.0.113.2"), now), None, "another client");
        assert_eq!(limiter.take_at(client, after(100)), None);
        assert!(limiter.take_at(client, after(100)).is_some());
        // After a long time the bucket is full, not fuller.
        let mut taken = 0;
        while limiter.take_at(client, after(100_000)).is_none() {
            taken += 1;
        }
        assert_eq!(taken, 3);
        assert!(limiter.wait(address("203.0.113.9")).is_none());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client_and_ipv4_in_ipv6_is_ipv4() {
        let limiter = RateLimiter::new(RateLimit { requests: 1, seconds: 60 }, None);
        let now = Instant::now();
        assert_eq!(limiter.take_at(address("2001:db8::1"), now), None);
        assert!(limiter.take_at(address("2001:db8::2"), now).is_some());
        assert_eq!(limiter.take_at(address("2001:db8:0:1::1"), now), None);
        assert_eq!(limiter.take_at(address("10.0.0.1"), now), None);
        assert!(limiter.take_at(address("::ffff:10.0.0.1"), now).is_some());
    }

    #[test]
    fn memory_is_bounded() {
        let limiter = RateLimiter::new(RateLimit { requests: 1, seconds: 60 }, None);
        let now = Instant::now();
        for number in 0..=MOST_CLIENTS as u32 {
            assert_eq!(limiter.take_at(IpAddr::V4(number.into()), now), None);
        }
        assert!(limiter.clients.lock().unwrap().len() <= MOST_CLIENTS);
    }

    #[test]
    fn whole_seconds_are_told() {
        for (millis, seconds) in [(1, "1"), (1_000, "1"), (1_001, "2"), (59_500, "60")] {
            assert_eq!(retry_after(Duration::from_millis(millis)), seconds);
        }
    }
}
