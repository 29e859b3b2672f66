//! What one sender may do: shares a second for each worker, connections for each address.

use adit_primitives::Timestamp;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// Milliseconds of a second.
const SECOND_MS: u64 = 1000;

/// A token bucket: it holds what comes back over some time, and fills evenly. Starts full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    /// What was taken and has not come back yet, each token in as many parts as its time has milliseconds.
    taken: u64,
    /// The last time it was asked.
    last: Timestamp,
}

impl Bucket {
    /// Takes one where there is one. `rate` is how many it holds, and how many come back in a second.
    pub fn take(&mut self, rate: u32, now: Timestamp) -> bool {
        self.take_of(rate, SECOND_MS, now)
    }

    /// Takes one where there is one. `count` is how many it holds, and how many come back in `over_ms` milliseconds. Both are the same in every
    /// call.
    pub fn take_of(&mut self, count: u32, over_ms: u64, now: Timestamp) -> bool {
        let passed_ms = now.to_millis().saturating_sub(self.last.to_millis());
        // A clock that is set back gives nothing and takes nothing.
        self.last = self.last.max(now);
        self.taken = self.taken.saturating_sub(passed_ms.saturating_mul(count.into()));
        let fits = self.taken.saturating_add(over_ms) <= over_ms.saturating_mul(count.into());
        if fits {
            self.taken += over_ms;
        }
        fits
    }
}

/// How many connections may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// In all.
    pub connections_max: usize,
    /// From one address: one of IPv4, or 64 bits of IPv6, which is what one household has.
    pub per_address_max: usize,
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionRefusal {
    #[error("{max} connections are open, as many as there may be")]
    Full { max: usize },
    #[error("{address} has {max} connections open, as many as one address may have")]
    Address { address: IpAddr, max: usize },
}

/// The connections that are open, by address.
#[derive(Debug)]
pub struct Connections {
    limits: ConnectionLimits,
    open: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Connections {
    /// Begins with none.
    pub fn new(limits: ConnectionLimits) -> Self {
        Self { limits, open: 0, by_address: HashMap::new() }
    }

    /// Counts a connection, or says why it is not taken. Each that was taken is closed with [`Self::close`].
    pub fn open(&mut self, address: IpAddr) -> Result<(), ConnectionRefusal> {
        if self.open >= self.limits.connections_max {
            return Err(ConnectionRefusal::Full { max: self.limits.connections_max });
        }
        let of_address = self.by_address.get(&network_of(address)).copied().unwrap_or(0);
        if of_address >= self.limits.per_address_max {
            return Err(ConnectionRefusal::Address { address, max: self.limits.per_address_max });
        }
        self.by_address.insert(network_of(address), of_address + 1);
        self.open += 1;
        Ok(())
    }

    /// Counts a connection off that has gone.
    pub fn close(&mut self, address: IpAddr) {
        let network = network_of(address);
        let Some(of_address) = self.by_address.get_mut(&network) else { return };
        *of_address -= 1;
        if *of_address == 0 {
            self.by_address.remove(&network);
        }
        self.open -= 1;
    }

    /// Returns how many are open.
    pub fn count(&self) -> usize {
        self.open
    }
}

/// Returns what counts as one sender: an IPv4 address however it is written, or the first 64 bits of an IPv6 address.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_rate_and_a_second_at_once() {
        let mut bucket = Bucket::default();
        let start = 1_000_000;
        let granted = (0..10_000).filter(|milli| bucket.take(100, Timestamp::from_millis(start + milli))).count();
        assert_eq!(granted, 100 + 999, "a second's worth at once, and 100 in each of ten seconds");
    }

    #[test]
    fn a_bucket_of_an_hour_gives_an_hours_worth_at_once_and_then_one_after_another() {
        const HOUR_MS: u64 = 3_600_000;
        let mut bucket = Bucket::default();
        let mut take = |second: u64| bucket.take_of(360, HOUR_MS, Timestamp::from_secs(1_000_000 + second));
        assert_eq!((0..1000).filter(|_| take(0)).count(), 360);
        assert!(!take(9));
        assert!(take(10), "one in ten seconds");
        assert!(!take(19));
        assert_eq!((0..1000).filter(|_| take(1_000_000)).count(), 360, "no more is saved up");
    }

    #[test]
    fn a_clock_set_back_gives_nothing() {
        let mut bucket = Bucket::default();
        let (now, before) = (Timestamp::from_secs(100), Timestamp::from_secs(1));
        assert!(bucket.take(1, now));
        assert!(!bucket.take(1, before));
        assert!(!bucket.take(1, now));
        assert!(bucket.take(1, Timestamp::from_secs(101)));
    }

    #[test]
    fn addresses_and_the_whole_are_bounded_and_freed() {
        let mut connections = Connections::new(ConnectionLimits { connections_max: 3, per_address_max: 2 });
        let (one, other): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "::ffff:10.0.0.2".parse().unwrap());
        assert_eq!([connections.open(one), connections.open(one)], [Ok(()), Ok(())]);
        assert_eq!(connections.open(one), Err(ConnectionRefusal::Address { address: one, max: 2 }));
        assert_eq!(connections.open(other), Ok(()));
        assert_eq!(connections.open(other), Err(ConnectionRefusal::Full { max: 3 }));
        connections.close(one);
        assert_eq!(connections.open("10.0.0.2".parse().unwrap()), Ok(()), "the same address in its other form");
        [one, other, other].into_iter().for_each(|address| connections.close(address));
        assert_eq!((connections.count(), connections.by_address.len()), (0, 0));
    }

    #[test]
    fn a_household_of_ipv6_is_one_sender() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
    }
}
