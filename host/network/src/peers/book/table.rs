//! The buckets: who stands beside whom, and how many there may be.

use super::super::place::Group;
use super::Source;
use crate::id::Address;

/// Buckets of addresses that were heard of.
const HEARD_BUCKETS: u16 = 96;
/// Buckets of addresses that answered.
const MET_BUCKETS: u16 = 32;
/// Addresses in a bucket.
const BUCKET_MAX: usize = 32;
/// Buckets that one teller's network reaches with all it tells.
pub const BUCKETS_PER_SOURCE: u16 = 6;
/// Buckets that the addresses of one network reach when they answered.
const BUCKETS_PER_GROUP: u16 = 2;
/// The most addresses in both tables.
pub const ADDRESSES_MAX: usize = (HEARD_BUCKETS + MET_BUCKETS) as usize * BUCKET_MAX;

/// The number of a bucket: first those of addresses that were heard of, then those of addresses that answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket(u16);

/// What stands in each bucket.
#[derive(Debug, Clone)]
pub struct Tables {
    buckets: Vec<Vec<Address>>,
}

impl Bucket {
    /// Returns the bucket of an address that was heard of: all that one source's network tells of one public network stands in one. Networks that
    /// are not public are one group with many nodes, which are spread over the source's buckets.
    pub fn heard(key: &[u8; 32], group: Group, source: Source, address: &Address) -> Self {
        let spread: &[u8] = if group.is_local() { &address.0 } else { &[] };
        let way = below(key, &[b"way", &source.to_bytes(), &group.to_bytes(), spread], BUCKETS_PER_SOURCE);
        Self(below(key, &[b"heard", &source.to_bytes(), &way.to_le_bytes()], HEARD_BUCKETS))
    }

    /// Returns the bucket of an address that answered.
    pub fn met(key: &[u8; 32], group: Group, address: &Address) -> Self {
        let way = below(key, &[b"side", &address.0], BUCKETS_PER_GROUP);
        Self(HEARD_BUCKETS + below(key, &[b"met", &group.to_bytes(), &way.to_le_bytes()], MET_BUCKETS))
    }

    /// Tells whether it is one of addresses that answered.
    pub fn is_met(self) -> bool {
        self.0 >= HEARD_BUCKETS
    }
}

impl Default for Tables {
    fn default() -> Self {
        Self { buckets: vec![Vec::new(); usize::from(HEARD_BUCKETS + MET_BUCKETS)] }
    }
}

impl Tables {
    pub fn addresses(&self, bucket: Bucket) -> &[Address] {
        &self.buckets[usize::from(bucket.0)]
    }

    pub fn is_full(&self, bucket: Bucket) -> bool {
        self.addresses(bucket).len() >= BUCKET_MAX
    }

    /// Puts an address into a bucket that is not full.
    pub fn insert(&mut self, bucket: Bucket, address: Address) {
        let addresses = &mut self.buckets[usize::from(bucket.0)];
        assert!(addresses.len() < BUCKET_MAX, "the caller made room");
        addresses.push(address);
    }

    pub fn remove(&mut self, bucket: Bucket, address: &Address) {
        self.buckets[usize::from(bucket.0)].retain(|other| other != address);
    }

    /// Returns the buckets of one of the tables that hold something.
    pub fn filled(&self, met: bool) -> Vec<Bucket> {
        let all = (0..HEARD_BUCKETS + MET_BUCKETS).map(Bucket);
        all.filter(|bucket| bucket.is_met() == met && !self.addresses(*bucket).is_empty()).collect()
    }
}

/// Returns a number below `end` that nobody foresees who has not the key.
fn below(key: &[u8; 32], parts: &[&[u8]], end: u16) -> u16 {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in parts {
        // Lengths in front: no two lists of parts are the same bytes.
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let bits = u64::from_le_bytes(*hasher.finalize().as_bytes().first_chunk().expect("a BLAKE3 hash has 32 bytes"));
    u16::try_from(bits % u64::from(end)).expect("below a `u16`")
}
