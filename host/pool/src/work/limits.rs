//! What one sender may do: shares a second for each worker, each connection and each address; connections for each address.
//!
//! Names are free to choose, so what a name may send bounds nobody by itself: a connection's shares are counted whatever their names, and
//! an address's whatever its connections.

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

/// Shares a second that may come over time; a second's worth may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareRates {
    /// From one connection.
    pub connection: u32,
    /// From one address: one of IPv4, or 64 bits of IPv6.
    pub address: u32,
    /// Addresses counted at once, about: those of one second. Who is forgotten for others may send a second's worth again.
    pub addresses_max: usize,
}

/// Whose share is one too many for this second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooFast {
    Worker,
    Connection,
    Address,
}

impl TooFast {
    /// Returns what the miner is told.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Worker => "too many shares a second of this worker",
            Self::Connection => "too many shares a second of this connection",
            Self::Address => "too many shares a second of this address",
        }
    }
}

/// The shares of addresses. A bucket is full again after a second, so only those of the last one to two seconds are kept.
#[derive(Debug)]
pub struct AddressShares {
    rates: ShareRates,
    /// The addresses asked after since `turned`.
    newer: HashMap<IpAddr, Bucket>,
    /// Those before that.
    older: HashMap<IpAddr, Bucket>,
    turned: Timestamp,
}

impl AddressShares {
    /// Begins with none.
    pub fn new(rates: ShareRates) -> Self {
        Self { rates, newer: HashMap::new(), older: HashMap::new(), turned: Timestamp::default() }
    }

    /// Tells whether a share may come from there now, and counts it.
    pub fn take(&mut self, from: IpAddr, now: Timestamp) -> bool {
        let since_ms = now.to_millis().saturating_sub(self.turned.to_millis());
        if since_ms >= SECOND_MS || self.newer.len() >= self.rates.addresses_max.max(1) {
            self.older = std::mem::take(&mut self.newer);
            self.turned = now;
        }
        let network = network_of(from);
        let bucket = self.newer.entry(network).or_insert_with(|| self.older.remove(&network).unwrap_or_default());
        bucket.take(self.rates.address, now)
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
    use proptest::prelude::*;

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

    const RATES: ShareRates = ShareRates { connection: 10, address: 100, addresses_max: 4 };

    fn host(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn an_address_has_its_rate_and_no_other_is_hindered() {
        let mut shares = AddressShares::new(RATES);
        let at = |ms: u64| Timestamp::from_millis(1_000_000 + ms);
        let granted = (0..10_000).filter(|ms| shares.take(host(1), at(*ms))).count();
        assert_eq!(granted, 100 + 999, "a second's worth at once, and 100 in each of ten seconds");
        assert!(shares.take(host(2), at(9_999)));
        let household = |last: u16| IpAddr::from([0x2001, 0xdb8, 1, 2, 0, 0, 0, last]);
        assert_eq!((0..1_000).filter(|last| shares.take(household(*last), at(10_000))).count(), 100);
    }

    #[test]
    fn addresses_are_forgotten_once_their_buckets_are_full_and_when_there_are_too_many() {
        let mut shares = AddressShares::new(RATES);
        let at = |ms: u64| Timestamp::from_millis(1_000_000 + ms);
        for last in 0..=255 {
            assert!(shares.take(host(last), at(last.into())));
            assert!(shares.newer.len() + shares.older.len() <= 2 * RATES.addresses_max, "{last}");
        }
        assert!(shares.take(host(0), at(2_000)));
        assert!(shares.take(host(0), at(3_000)));
        assert_eq!((shares.newer.len(), shares.older.len()), (1, 0), "its bucket of the second before is in use again");
    }

    proptest! {
        #[test]
        fn forgetting_gives_nobody_more_than_one_bucket_for_ever_would(
            steps in proptest::collection::vec((0u8..4, 0u64..1_500), 1..300),
        ) {
            let rates = ShareRates { address: 3, ..RATES };
            let (mut shares, mut kept, mut now) = (AddressShares::new(rates), HashMap::<u8, Bucket>::new(), 1_000_000);
            for (last, pause) in steps {
                now += pause;
                let at = Timestamp::from_millis(now);
                prop_assert_eq!(shares.take(host(last), at), kept.entry(last).or_default().take(rates.address, at));
            }
        }
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
