//! The address book: where nodes may be, and how calling them went.
//!
//! Addresses that were heard of and addresses at which a node answered stand in two tables of buckets (as Bitcoin's `addrman`; Heilman, Kendler,
//! Zohar, Goldberg 2015 is the attack). The bucket of an address follows from a secret key, its network and the network of whoever told it: one teller
//! reaches [`BUCKETS_PER_SOURCE`] buckets, one network as few, however many addresses there are. Full buckets keep what they have, unless it turned
//! out to be useless, so that telling a lot pushes nothing out. What an operator named is kept always.
//!
//! The book calls nobody and reads no file: [`Book::encode`] and [`Book::decode`] are its bytes. Reading order: this file is what happens to an
//! address, `entry` what is kept of it, `table` the buckets, `file` the bytes.

mod entry;
mod file;
mod table;

#[cfg(test)]
mod tests;

pub use entry::{Entry, Source, Stamp};
pub use file::BookError;
pub use table::{ADDRESSES_MAX, BUCKETS_PER_SOURCE};

use super::place::{Group, Place, Reach};
use crate::id::{Address, Moment, NodeId};
use crate::random::Random;
use crate::wire::{ADDRESS_BYTES_MAX, PEERS_MAX, PeerAddress};
use entry::Standing;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;
use table::{Bucket, Tables};

/// The most addresses that are kept because an operator named them.
pub const NAMED_MAX: usize = 64;
/// Machines that are banned; the ban that ends first makes room.
pub const BANS_MAX: usize = 1024;
/// Addresses that answered and wait until it is known whether one of a full bucket still does.
pub const CHALLENGES_MAX: usize = 16;
/// How old hearsay may be at most when it is taken in, and how old an address of the book may be before it is told nobody.
pub const AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// What others claim to have seen counts as this much older: who passes it on was not there.
const HEARSAY_PENALTY: Duration = Duration::from_secs(2 * 3600);
/// The largest part of the book that is told to one asker: 1 of so many.
const TOLD_PART: usize = 4;

/// What is known of where nodes are.
#[derive(Debug, Clone)]
pub struct Book {
    key: [u8; 32],
    entries: BTreeMap<Address, Entry>,
    tables: Tables,
    /// Who answered and found no room, and who has to prove itself or make room.
    challenges: BTreeMap<Address, Address>,
    bans: BTreeMap<IpAddr, Stamp>,
}

impl Book {
    /// Makes an empty book. Nobody else may know the key, since it decides which addresses push out which.
    pub fn new(key: [u8; 32]) -> Self {
        Self {
            key,
            entries: BTreeMap::new(),
            tables: Tables::default(),
            challenges: BTreeMap::new(),
            bans: BTreeMap::new(),
        }
    }

    /// Returns how many addresses there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Tells whether no address is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns what is known of an address.
    pub fn entry(&self, address: &Address) -> Option<&Entry> {
        self.entries.get(address)
    }

    /// Returns all addresses, ordered by their bytes.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Returns the addresses that an operator named.
    pub fn named(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(|entry| entry.is_named())
    }

    /// Keeps an address for ever, since an operator named it. Tells whether there was room ([`NAMED_MAX`]).
    pub fn name(&mut self, now: Moment, place: Place) -> bool {
        let address = place.address.clone();
        let known = self.entries.get(&address).is_some_and(Entry::is_named);
        if !known && self.named().count() >= NAMED_MAX {
            return false;
        }
        let entry = self.entries.entry(address).or_insert_with(|| Entry::new(place, Source::Named, Stamp::at(now)));
        if let Standing::In(bucket) = entry.standing {
            self.tables.remove(bucket, &entry.place.address);
        }
        (entry.standing, entry.source) = (Standing::Named, Source::Named);
        true
    }

    /// Takes in that a node may be at a place, and tells whether it is in the book now. `age` is how long ago somebody was connected with it, as
    /// they say; nothing of it is believed but that it is no younger.
    pub fn hear(&mut self, now: Moment, place: Place, source: Source, age: Duration) -> bool {
        if !is_sound(&place) || !source.may_know(&place) {
            return false;
        }
        let met_here = source.saw(&place);
        let age = if met_here { Duration::ZERO } else { age.saturating_add(HEARSAY_PENALTY) };
        let heard = Stamp::at(now).before(age.min(AGE_MAX));
        if let Some(entry) = self.entries.get_mut(&place.address) {
            entry.heard = entry.heard.max(heard);
            entry.met = if met_here { Some(Stamp::at(now)) } else { entry.met };
            return true;
        }
        let mut entry = Entry::new(place, source, heard);
        entry.met = met_here.then(|| Stamp::at(now));
        self.put_heard(Stamp::at(now), entry)
    }

    /// Takes in what a peer told at an address of its own: what it cannot know, or could only send others astray with, is left out.
    pub fn hear_told(
        &mut self,
        now: Moment,
        teller: Option<IpAddr>,
        told: &[PeerAddress],
        parse: impl Fn(&Address) -> Option<Place>,
    ) -> usize {
        let taken = told.iter().take(PEERS_MAX).filter(|peer| {
            let place = parse(&peer.address);
            let age = Duration::from_secs(peer.seen_secs.into());
            place.is_some_and(|place| self.hear(now, place, Source::Exchange { teller }, age))
        });
        taken.count()
    }

    /// Takes in that an address is called.
    pub fn called(&mut self, now: Moment, address: &Address) {
        if let Some(entry) = self.entries.get_mut(address) {
            entry.tried = Some(Stamp::at(now));
        }
    }

    /// Takes in that a node answered at an address that was called, and that the chain is the same.
    pub fn succeeded(&mut self, now: Moment, address: &Address, node: NodeId) {
        let now = Stamp::at(now);
        let Some(entry) = self.entries.get_mut(address) else { return };
        (entry.met, entry.heard, entry.failures) = (Some(now), entry.heard.max(now), 0);
        (entry.node, entry.foreign_until) = (Some(node), None);
        // Whoever was to prove that it still answers has.
        self.challenges.retain(|_, incumbent| incumbent != address);
        self.promote(now, address);
    }

    /// Takes in that a session with whoever is at an address goes on, and its round trip.
    pub fn lasts(&mut self, now: Moment, address: &Address, latency: Option<Duration>) {
        if let Some(entry) = self.entries.get_mut(address) {
            entry.latency = latency.or(entry.latency);
            entry.met = Some(Stamp::at(now));
        }
        self.challenges.retain(|_, incumbent| incumbent != address);
    }

    /// Takes in who is at an address, though nobody was called there.
    pub fn belongs(&mut self, address: &Address, node: NodeId) {
        if let Some(entry) = self.entries.get_mut(address) {
            entry.node = Some(node);
        }
    }

    /// Takes in that an address did not answer, or not as a node should: it is left alone for a while that grows. `certain` is false where it may be
    /// this node's own fault: then it does not grow for long. `random` is 64 bits for its jitter.
    pub fn failed(&mut self, now: Moment, address: &Address, certain: bool, random: u64) {
        const UNCERTAIN_FAILURES_MAX: u32 = 2;
        let Some(entry) = self.entries.get_mut(address) else { return };
        let failures = entry.failures.saturating_add(1);
        entry.failures = if certain { failures } else { failures.min(UNCERTAIN_FAILURES_MAX.max(entry.failures)) };
        entry.due = entry.rests_until(Stamp::at(now), random);
        if certain {
            self.settle(Stamp::at(now), address);
        }
    }

    /// Takes in that a node of another chain is at an address.
    pub fn foreign(&mut self, now: Moment, address: &Address, avoid: Duration) {
        if let Some(entry) = self.entries.get_mut(address) {
            entry.foreign_until = Some(Stamp::at(now).after(avoid));
            entry.failures = entry.failures.saturating_add(1);
        }
        self.settle(Stamp::at(now), address);
    }

    /// Takes in a ban: nothing is expected of the address, nor of its machine. Of machines that many nodes share (this one) the address alone is
    /// banned.
    pub fn ban(&mut self, now: Moment, address: &Address, ip: Option<IpAddr>, until: Moment) {
        let (now, until) = (Stamp::at(now), Stamp::at(until));
        if let Some(entry) = self.entries.get_mut(address) {
            entry.banned_until = Some(until);
        }
        if let Some(ip) = ip.filter(|ip| Reach::of(*ip) != Some(Reach::Loopback)) {
            self.bans.retain(|_, until| *until > now);
            if self.bans.len() >= BANS_MAX
                && let Some(first) = self.bans.iter().min_by_key(|(_, until)| **until).map(|(ip, _)| *ip)
            {
                self.bans.remove(&first);
            }
            self.bans.insert(machine(ip), until);
        }
        self.settle(now, address);
    }

    /// Tells whether nothing is to be accepted from a machine.
    pub fn is_banned(&self, now: Moment, ip: IpAddr) -> bool {
        self.bans.get(&machine(ip)).is_some_and(|until| *until > Stamp::at(now))
    }

    /// Ends the bans of a machine and of the addresses at it.
    pub fn unban(&mut self, ip: IpAddr) {
        self.bans.remove(&machine(ip));
        let there = |entry: &&mut Entry| entry.place.ip.is_some_and(|its| machine(its) == machine(ip));
        self.entries.values_mut().filter(there).for_each(|entry| entry.banned_until = None);
    }

    /// Returns the addresses that answered once, and have to show that they still do since others want their places.
    pub fn challenged(&self) -> impl Iterator<Item = &Entry> {
        self.challenges.values().filter_map(|incumbent| self.entries.get(incumbent))
    }

    /// Draws an address that answered (`met`), or one that was only heard of, among those that `fit`. Every bucket is as likely as every other: a
    /// network that fills its few is not drawn more often for that.
    pub(super) fn draw(&self, met: bool, random: &mut Random, fit: impl Fn(&Entry) -> bool) -> Option<&Entry> {
        let mut buckets = self.tables.filled(met);
        while !buckets.is_empty() {
            let bucket = buckets.swap_remove(random.below(buckets.len()));
            let entries = self.tables.addresses(bucket).iter().filter_map(|address| self.entries.get(address));
            let fitting: Vec<_> = entries.filter(|entry| fit(entry)).collect();
            if !fitting.is_empty() {
                return Some(fitting[random.below(fitting.len())]);
            }
        }
        None
    }

    /// Returns a sample for an asker: addresses at which this node, or one that came from there, was met lately; none that only others speak of,
    /// none that the asker could not reach, none over a relay or by a name, and never more than a part of the book.
    pub fn sample(&self, now: Moment, asker: Option<IpAddr>, seed: u64) -> Vec<PeerAddress> {
        let stamp = Stamp::at(now);
        let reach = asker.and_then(Reach::of).unwrap_or(Reach::Public);
        let told = |entry: &&Entry| {
            let met = entry.met.is_some_and(|met| met.age(now) < AGE_MAX);
            let shared = entry.place.reach().is_some_and(|of| reach.shares(of));
            let plain = entry.place.ip.is_some() && !entry.place.relayed;
            met && shared && plain && !entry.is_avoided(stamp) && !entry.is_hopeless(stamp)
        };
        let mut fitting: Vec<_> = self.entries.values().filter(told).collect();
        // A part of the book, but a book of a few whole: a small network has no secret to keep.
        let most = (fitting.len() / TOLD_PART).clamp(PEERS_MAX / 4, PEERS_MAX).min(fitting.len());
        let mut random = Random::new(seed);
        for chosen in 0..most {
            let other = chosen + random.below(fitting.len() - chosen);
            fitting.swap(chosen, other);
        }
        fitting.truncate(most);
        let peer = |entry: &Entry| PeerAddress {
            address: entry.place.address.clone(),
            seen_secs: entry.met.map_or(u32::MAX, |met| u32::try_from(met.age(now).as_secs()).unwrap_or(u32::MAX)),
        };
        fitting.into_iter().map(peer).collect()
    }

    /// Puts an address among those that were heard of, and tells whether there was room.
    fn put_heard(&mut self, now: Stamp, mut entry: Entry) -> bool {
        let bucket = Bucket::heard(&self.key, entry.place.group(), entry.source, &entry.place.address);
        if self.tables.is_full(bucket) {
            let hopeless = |address: &&Address| self.entries.get(*address).is_none_or(|entry| entry.is_hopeless(now));
            let Some(loser) = self.tables.addresses(bucket).iter().find(hopeless).cloned() else { return false };
            self.forget(&loser);
        }
        entry.standing = Standing::In(bucket);
        self.tables.insert(bucket, entry.place.address.clone());
        self.entries.insert(entry.place.address.clone(), entry);
        true
    }

    /// Moves an address that answered to those that did; where its bucket is full, the one of it that was met longest ago is challenged.
    fn promote(&mut self, now: Stamp, address: &Address) {
        let Some(entry) = self.entries.get(address) else { return };
        let Standing::In(from) = entry.standing else { return };
        let to = Bucket::met(&self.key, entry.place.group(), address);
        if from.is_met() {
            return;
        }
        if self.tables.is_full(to) {
            let met = |address: &&Address| self.entries.get(*address).and_then(|entry| entry.met);
            let Some(incumbent) = self.tables.addresses(to).iter().min_by_key(met).cloned() else { return };
            let gone = self.entries.get(&incumbent).is_none_or(|entry| entry.is_hopeless(now) || entry.is_avoided(now));
            if !gone {
                if self.challenges.len() < CHALLENGES_MAX {
                    self.challenges.insert(address.clone(), incumbent);
                }
                return;
            }
            self.demote(now, &incumbent);
        }
        self.tables.remove(from, address);
        self.tables.insert(to, address.clone());
        self.challenges.remove(address);
        if let Some(entry) = self.entries.get_mut(address) {
            entry.standing = Standing::In(to);
        }
    }

    /// Ends the challenges that an address failed: whoever wanted its place gets it.
    fn settle(&mut self, now: Stamp, address: &Address) {
        let challengers = self.challenges.iter().filter(|(_, incumbent)| *incumbent == address);
        let Some(challenger) = challengers.map(|(challenger, _)| challenger.clone()).next() else { return };
        self.challenges.retain(|_, incumbent| incumbent != address);
        self.demote(now, address);
        self.promote(now, &challenger);
    }

    /// Puts an address that answered back among those that were heard of, or forgets it where there is no room.
    fn demote(&mut self, now: Stamp, address: &Address) {
        if let Some(entry) = self.entries.get(address).cloned()
            && matches!(entry.standing, Standing::In(_))
        {
            self.forget(address);
            self.put_heard(now, entry);
        }
    }

    fn forget(&mut self, address: &Address) {
        if let Some(Entry { standing: Standing::In(bucket), .. }) = self.entries.remove(address) {
            self.tables.remove(bucket, address);
        }
        self.challenges.retain(|challenger, incumbent| challenger != address && incumbent != address);
    }
}

/// Tells whether a call to a place may be tried at all.
fn is_sound(place: &Place) -> bool {
    (1..=ADDRESS_BYTES_MAX).contains(&place.address.0.len()) && place.reach().is_some()
}

/// Returns what is banned for a machine: an IPv6 machine has all addresses of its /64.
fn machine(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

impl Source {
    /// Returns the network of whoever said it, as bytes to be hashed.
    fn to_bytes(self) -> [u8; 6] {
        let group = |tag: u8, ip: Option<IpAddr>| {
            let [a, b, c, d, e] = ip.map_or([0; 5], |ip| Group::of(ip).to_bytes());
            [tag, a, b, c, d, e]
        };
        match self {
            Self::Named => [0; 6],
            Self::Lan => group(1, None),
            Self::Table => group(2, None),
            Self::Exchange { teller } => group(3, teller),
            Self::Inbound { from } => group(3, Some(from)),
        }
    }

    /// Tells whether the source may be believed to know such a place.
    fn may_know(self, place: &Place) -> bool {
        let Some(of) = place.reach() else { return false };
        let teller = match self {
            Self::Named => return true,
            Self::Lan => Reach::Loopback,
            Self::Table => Reach::Public,
            Self::Exchange { teller } => teller.and_then(Reach::of).unwrap_or(Reach::Public),
            Self::Inbound { from } => Reach::of(from).unwrap_or(Reach::Public),
        };
        // Names are for operators: looking one up asks a stranger's server, and each would be a network of its own.
        place.ip.is_some() && teller.shares(of)
    }

    /// Tells whether a node was here from the very machine that the place is at.
    fn saw(self, place: &Place) -> bool {
        matches!(self, Self::Inbound { from } if place.ip.is_some_and(|ip| ip.to_canonical() == from.to_canonical()) && !place.relayed)
    }
}
