//! Extranonces: what keeps the work of one connection apart from that of every other.
//!
//! A connection's part begins with the number of the front-end that handed it out, so that two front-ends of one pool never hand out
//! the same work, and goes on with a counter. It is free again once its connection has gone.

use std::collections::HashSet;
use std::fmt;

/// The most bytes of either part: some firmware takes no more.
pub const PART_BYTES_MAX: usize = 8;

/// One part of an extranonce, at most [`PART_BYTES_MAX`] bytes: the pool's (extranonce 1) or the miner's (extranonce 2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Extranonce {
    length: u8,
    bytes: [u8; PART_BYTES_MAX],
}

impl Extranonce {
    /// Takes bytes; `None` where they are too many.
    pub fn new(part: &[u8]) -> Option<Self> {
        let length = u8::try_from(part.len()).ok().filter(|length| usize::from(*length) <= PART_BYTES_MAX)?;
        let mut bytes = [0; PART_BYTES_MAX];
        bytes[..part.len()].copy_from_slice(part);
        Some(Self { length, bytes })
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Debug for Extranonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How extranonces are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtranonceRules {
    /// The front-end's number.
    pub front_end: u8,
    /// The bytes of the pool's part: 2 to [`PART_BYTES_MAX`], the front-end's number among them.
    pub bytes: usize,
}

/// The extranonces in use at one front-end.
#[derive(Debug)]
pub struct Extranonces {
    rules: ExtranonceRules,
    next: u64,
    in_use: HashSet<Extranonce>,
}

impl Extranonces {
    /// Hands out from the first; lengths out of range are cut to it.
    pub fn new(rules: ExtranonceRules) -> Self {
        let bytes = rules.bytes.clamp(2, PART_BYTES_MAX);
        Self { rules: ExtranonceRules { bytes, ..rules }, next: 0, in_use: HashSet::new() }
    }

    /// Hands out one that no live connection has; `None` where none is left. Those given back come last again.
    pub fn allocate(&mut self) -> Option<Extranonce> {
        while (self.in_use.len() as u64) < self.room() {
            let extranonce = self.at(self.next);
            self.next = (self.next + 1) % self.room();
            if self.in_use.insert(extranonce) {
                return Some(extranonce);
            }
        }
        None
    }

    /// Hands out the one that a connection had before, where no live connection has it and this front-end could have given it.
    pub fn resume(&mut self, wanted: Extranonce) -> Option<Extranonce> {
        let bytes = wanted.as_bytes();
        let ours = bytes.len() == self.rules.bytes && bytes.first() == Some(&self.rules.front_end);
        (ours && self.in_use.insert(wanted)).then_some(wanted)
    }

    /// Takes back one whose connection has gone.
    pub fn release(&mut self, extranonce: Extranonce) {
        self.in_use.remove(&extranonce);
    }

    /// Returns how many are in use.
    pub fn in_use(&self) -> usize {
        self.in_use.len()
    }

    /// How many counters there are.
    fn room(&self) -> u64 {
        1 << (8 * (self.rules.bytes - 1))
    }

    fn at(&self, counter: u64) -> Extranonce {
        let mut bytes = [0; PART_BYTES_MAX];
        bytes[0] = self.rules.front_end;
        let length = self.rules.bytes;
        bytes[1..length].copy_from_slice(&counter.to_be_bytes()[PART_BYTES_MAX + 1 - length..]);
        Extranonce::new(&bytes[..length]).expect("the length was cut to the longest part")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Extranonces {
        Extranonces::new(ExtranonceRules { front_end: 7, bytes: 2 })
    }

    #[test]
    fn live_connections_never_share_one() {
        let mut extranonces = small();
        let all: HashSet<_> = std::iter::from_fn(|| extranonces.allocate()).collect();
        assert_eq!((all.len(), extranonces.in_use()), (256, 256));
        assert!(all.iter().all(|extranonce| extranonce.as_bytes()[0] == 7));
        let freed = *all.iter().next().unwrap();
        extranonces.release(freed);
        assert_eq!(extranonces.allocate(), Some(freed));
        assert_eq!(extranonces.allocate(), None);
    }

    #[test]
    fn four_bytes_are_the_front_end_and_a_counter_of_three() {
        let mut extranonces = Extranonces::new(ExtranonceRules { front_end: 0xfe, bytes: 4 });
        assert_eq!(extranonces.allocate().unwrap().as_bytes(), [0xfe, 0, 0, 0]);
        assert_eq!(extranonces.allocate().unwrap().as_bytes(), [0xfe, 0, 0, 1]);
    }

    #[test]
    fn an_old_one_is_given_back_unless_somebody_has_it() {
        let mut extranonces = small();
        let one = extranonces.allocate().unwrap();
        assert_eq!(extranonces.resume(one), None);
        extranonces.release(one);
        assert_eq!(extranonces.resume(one), Some(one));
        assert_eq!(extranonces.resume(Extranonce::new(&[8, 0]).unwrap()), None, "another front-end's");
        assert_eq!(extranonces.resume(Extranonce::new(&[7, 9, 9]).unwrap()), None, "of another length");
    }
}
