//! Transactions and shares that mean nothing but their size and their time: all of both follow from their number.

use crate::random::{mix, unit_of};
use crate::scenario::Micros;
use adit_primitives::TxId;
use bytes::Bytes;
use std::collections::VecDeque;

/// Bytes of a share batch.
const SHARE_BYTES: usize = 200;

/// How often something is made by all nodes together, in turns: the number of a thing tells which node makes it and when.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    seed: u64,
    nodes: u64,
    /// Between two things of one node, on average.
    period: f64,
    /// Nothing is made before.
    start: Micros,
}

impl Source {
    /// Makes a source of so many things a second in all; none where there are none.
    pub fn new(seed: u64, nodes: u32, per_second: f64, start: Micros) -> Option<Self> {
        let period = f64::from(nodes) * 1_000_000.0 / per_second;
        (per_second > 0.0).then_some(Self { seed, nodes: nodes.into(), period, start })
    }

    /// Returns the number of a node's thing.
    pub fn number(&self, node: u32, count: u64) -> u64 {
        count * self.nodes + u64::from(node)
    }

    /// Returns when a thing is made: once in each period of its node, at a random moment of it.
    #[expect(clippy::cast_precision_loss, reason = "no simulation makes 2^53 things")]
    pub fn time(&self, number: u64) -> Micros {
        let turn = (number / self.nodes) as f64 + unit_of(mix(number ^ self.seed));
        self.start + crate::globe::whole(turn * self.period)
    }

    /// Returns the id of a transaction.
    pub fn id(&self, number: u64) -> TxId {
        let mut id = [0; 32];
        let words = [number, 0, 1, 2].into_iter().enumerate();
        for ((place, word), chunk) in words.zip(id.chunks_exact_mut(8)) {
            let word = if place == 0 { number } else { mix(mix(number ^ self.seed) ^ word) };
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        TxId(id)
    }

    /// Returns the number of a transaction whose id is that of none but one of this source.
    pub fn number_of(&self, id: &TxId) -> Option<u64> {
        let number = u64::from_le_bytes(*id.0.first_chunk()?);
        (self.id(number) == *id).then_some(number)
    }

    /// Returns the bytes of a transaction: its id, and as much again as payments have.
    pub fn transaction(&self, number: u64) -> Bytes {
        let mut bytes = vec![0; transaction_bytes(number)];
        bytes[..32].copy_from_slice(&self.id(number).0);
        bytes.into()
    }

    /// Returns the bytes of a share batch.
    pub fn share(&self, number: u64) -> Bytes {
        let mut bytes = vec![0; SHARE_BYTES];
        bytes[..32].copy_from_slice(&self.id(number).0);
        bytes.into()
    }

    /// Reads what [`Source::transaction`] and [`Source::share`] wrote.
    pub fn read(&self, bytes: &[u8]) -> Option<u64> {
        self.number_of(&TxId(*bytes.first_chunk()?))
    }
}

/// Returns the size of a transaction: one or two inputs, one or two outputs.
pub fn transaction_bytes(number: u64) -> usize {
    200 + usize::from(mix(number).to_le_bytes()[0])
}

/// A set of numbers of which the smallest are left out one day: a bit for each.
#[derive(Debug, Default)]
pub struct Numbers {
    /// The number of the first bit; all before it are in the set.
    base: u64,
    words: VecDeque<u64>,
}

impl Numbers {
    /// Adds a number, and tells whether it is new.
    pub fn insert(&mut self, number: u64) -> bool {
        let Some(place) = number.checked_sub(self.base) else { return false };
        let word = usize::try_from(place / 64).expect("a set of numbers fits the memory");
        while self.words.len() <= word {
            self.words.push_back(0);
        }
        let before = self.words[word];
        self.words[word] |= 1 << (place % 64);
        self.words[word] != before
    }

    /// Tells whether a number is in the set.
    pub fn contains(&self, number: u64) -> bool {
        let Some(place) = number.checked_sub(self.base) else { return true };
        let word = usize::try_from(place / 64).ok().and_then(|word| self.words.get(word));
        word.is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    /// Takes all numbers below `base`, and some more, as members from now on.
    pub fn forget_below(&mut self, base: u64) {
        while self.base + 64 <= base {
            self.base += 64;
            self.words.pop_front();
        }
    }

    /// Goes through the members that are not forgotten, smallest first.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        let bits = |(place, word): (usize, &u64)| {
            let (first, mut word) = (self.base + 64 * place as u64, *word);
            std::iter::from_fn(move || {
                let bit = word.trailing_zeros();
                word &= word.wrapping_sub(1);
                (bit < 64).then(|| first + u64::from(bit))
            })
        };
        self.words.iter().enumerate().flat_map(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_known_by_its_id_and_by_no_other() {
        let source = Source::new(9, 10, 5.0, 0).unwrap();
        for number in 0..200 {
            assert_eq!(source.number_of(&source.id(number)), Some(number));
            assert_eq!(source.read(&source.transaction(number)), Some(number));
            let mut other = source.id(number);
            other.0[31] ^= 1;
            assert_eq!(source.number_of(&other), None);
        }
    }

    #[test]
    fn as_many_things_are_made_a_second_as_were_asked_for() {
        let source = Source::new(9, 10, 5.0, 1_000_000).unwrap();
        let made = (0..10_000).filter(|number| (1_000_000..101_000_000).contains(&source.time(*number))).count();
        assert_eq!(made, 500);
        assert!(Source::new(9, 10, 0.0, 0).is_none());
    }

    #[test]
    fn numbers_are_in_the_set_once_and_for_all_when_forgotten() {
        let mut numbers = Numbers::default();
        assert!(numbers.insert(200) && !numbers.insert(200) && numbers.insert(70));
        assert!(numbers.contains(200) && !numbers.contains(199));
        assert_eq!(numbers.iter().collect::<Vec<_>>(), [70, 200]);
        numbers.forget_below(130);
        assert!(numbers.contains(3) && !numbers.insert(3));
        assert_eq!(numbers.iter().collect::<Vec<_>>(), [200]);
    }
}
