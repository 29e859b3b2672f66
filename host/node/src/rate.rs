//! How often one address may ask: a token bucket for each, in a table of bounded size.

use adit_pool::work::limits::network_of;
use lru::LruCache;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

/// How often one address may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second over time.
    pub per_second: u32,
    /// Requests at once.
    pub burst: u32,
}

/// Counts requests by address.
#[derive(Debug)]
pub struct RateLimiter {
    rate: Rate,
    buckets: LruCache<IpAddr, Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Thousandths of a request.
    left: u64,
    filled: Instant,
}

/// An address asked too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// When the next request will be admitted.
    pub wait: Duration,
}

impl RateLimiter {
    /// Makes a limiter that watches at most `addresses` addresses.
    pub fn new(rate: Rate, addresses: u32) -> Self {
        Self { rate, buckets: LruCache::new(capacity(addresses)) }
    }

    /// Changes the limits; what was counted stays counted.
    pub fn set(&mut self, rate: Rate, addresses: u32) {
        self.rate = rate;
        self.buckets.resize(capacity(addresses));
    }

    /// Counts one request.
    pub fn admit(&mut self, now: Instant, address: IpAddr) -> Result<(), TooMany> {
        const ONE: u64 = 1000;
        let full = ONE * u64::from(self.rate.burst);
        let per_milli = u64::from(self.rate.per_second);
        let bucket = self.buckets.get_or_insert_mut(network_of(address), || Bucket { left: full, filled: now });
        let elapsed = u64::try_from(now.saturating_duration_since(bucket.filled).as_millis()).unwrap_or(u64::MAX);
        if elapsed > 0 {
            bucket.left = bucket.left.saturating_add(elapsed.saturating_mul(per_milli));
            bucket.filled = now;
        }
        bucket.left = bucket.left.min(full);
        match bucket.left.checked_sub(ONE) {
            Some(left) => {
                bucket.left = left;
                Ok(())
            }
            None => Err(TooMany { wait: Duration::from_millis((ONE - bucket.left).div_ceil(per_milli.max(1))) }),
        }
    }
}

fn capacity(addresses: u32) -> NonZeroUsize {
    NonZeroUsize::new(addresses as usize).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 2 };

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_burst_passes_and_the_next_one_waits_for_its_share() {
        let (mut limiter, now) = (RateLimiter::new(RATE, 16), Instant::now());
        assert_eq!(limiter.admit(now, address(1)), Ok(()));
        assert_eq!(limiter.admit(now, address(1)), Ok(()));
        assert_eq!(limiter.admit(now, address(1)), Err(TooMany { wait: Duration::from_millis(100) }));
        assert_eq!(limiter.admit(now + Duration::from_millis(100), address(1)), Ok(()));
    }

    #[test]
    fn one_address_does_not_pay_for_another() {
        let (mut limiter, now) = (RateLimiter::new(RATE, 16), Instant::now());
        assert_eq!((0..3).filter(|_| limiter.admit(now, address(1)).is_ok()).count(), 2);
        assert_eq!(limiter.admit(now, address(2)), Ok(()));
    }

    #[test]
    fn idleness_saves_up_no_more_than_a_burst() {
        let (mut limiter, now) = (RateLimiter::new(RATE, 16), Instant::now());
        let later = now + Duration::from_secs(3600);
        limiter.admit(now, address(1)).unwrap();
        assert_eq!((0..10).filter(|_| limiter.admit(later, address(1)).is_ok()).count(), 2);
    }

    #[test]
    fn addresses_of_one_ipv6_customer_count_as_one() {
        let (mut limiter, now) = (RateLimiter::new(RATE, 16), Instant::now());
        let of = |last| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
        assert_eq!((1..=9).filter(|last| limiter.admit(now, of(*last)).is_ok()).count(), 2);
    }

    #[test]
    fn the_table_of_addresses_is_bounded() {
        let (mut limiter, now) = (RateLimiter::new(RATE, 4), Instant::now());
        (0..=255).for_each(|last| limiter.admit(now, address(last)).unwrap());
        assert_eq!(limiter.buckets.len(), 4);
    }
}
