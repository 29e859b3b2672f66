//! Who holds how many connections.
//!
//! A place is held as long as anything of its connection lives: the requests on it, and the subscription that it became.

use adit_pool::work::limits::network_of;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The connections that may be open at once: all of them, and those of one address.
pub struct Places {
    free: Arc<Semaphore>,
    per_address: u32,
    held: Held,
}

/// Connections by address. Only addresses that hold one are in it.
type Held = Arc<Mutex<BTreeMap<IpAddr, u32>>>;

/// A place that nobody has taken yet.
pub struct FreePlace(OwnedSemaphorePermit);

/// A connection's place, free again when the last clone is gone.
#[derive(Clone)]
pub struct Place {
    _taken: Arc<Taken>,
}

struct Taken {
    address: IpAddr,
    held: Held,
    _place: OwnedSemaphorePermit,
}

impl Places {
    /// Makes `all` places, of which one address may take `per_address`.
    pub fn new(all: u32, per_address: u32) -> Self {
        Self { free: Arc::new(Semaphore::new(all as usize)), per_address, held: Held::default() }
    }

    /// Waits for a place.
    pub async fn free(&self) -> FreePlace {
        FreePlace(Arc::clone(&self.free).acquire_owned().await.expect("the semaphore is never closed"))
    }

    /// Gives a place to an address, unless it holds as many as it may. The addresses of one IPv6 customer count as one.
    pub fn take(&self, FreePlace(place): FreePlace, address: IpAddr) -> Option<Place> {
        let address = network_of(address);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.get(&address).copied().unwrap_or_default();
        if count >= self.per_address {
            return None;
        }
        held.insert(address, count + 1);
        drop(held);
        Some(Place { _taken: Arc::new(Taken { address, held: Arc::clone(&self.held), _place: place }) })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(held.remove(&self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[tokio::test]
    async fn one_address_cannot_take_every_place() {
        let places = Places::new(3, 2);
        let first = places.take(places.free().await, address(1)).unwrap();
        let _second = places.take(places.free().await, address(1)).unwrap();
        assert!(places.take(places.free().await, address(1)).is_none());
        let _other = places.take(places.free().await, address(2)).unwrap();
        drop(first);
        assert!(places.take(places.free().await, address(1)).is_some());
    }

    #[tokio::test]
    async fn a_place_is_held_until_the_last_part_of_its_connection_is_gone() {
        let places = Places::new(2, 1);
        let place = places.take(places.free().await, address(1)).unwrap();
        let subscription = place.clone();
        drop(place);
        assert!(places.take(places.free().await, address(1)).is_none());
        drop(subscription);
        assert!(places.take(places.free().await, address(1)).is_some());
        assert!(places.held.lock().unwrap().is_empty(), "addresses without a connection are forgotten");
    }
}
