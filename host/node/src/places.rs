//! So many places for each network address: what one sends does not push aside what others do.

use adit_pool::work::limits::network_of;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::Semaphore;

/// Places of networks, as [`network_of`] tells them apart.
#[derive(Debug)]
pub struct Places {
    each: usize,
    /// Of those who have one, or wait for one.
    networks: Mutex<BTreeMap<IpAddr, Weak<Semaphore>>>,
}

impl Places {
    /// Gives each network so many places, at least one.
    pub fn new(each: usize) -> Self {
        Self { each: each.max(1), networks: Mutex::default() }
    }

    /// Returns the places of an address's network. They are one as long as anybody holds them.
    pub fn of(&self, from: IpAddr) -> Arc<Semaphore> {
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        networks.retain(|_, places| places.strong_count() > 0);
        let known = networks.get(&network_of(from)).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let places = Arc::new(Semaphore::new(self.each));
            networks.insert(network_of(from), Arc::downgrade(&places));
            places
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_has_its_own_places_for_as_long_as_somebody_is_there() {
        let [one, beside, other] = ["10.0.0.1", "10.0.0.1", "10.9.0.1"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let places = Places::new(1);
        let held = places.of(one).try_acquire_owned().unwrap();
        assert!(places.of(beside).try_acquire_owned().is_err());
        drop(places.of(other).try_acquire_owned().unwrap());
        drop(held);
        drop(places.of(beside).try_acquire_owned().unwrap());
        assert_eq!(places.networks.lock().unwrap().len(), 1, "nobody else is remembered");
    }
}
