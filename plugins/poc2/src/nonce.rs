//! Nonces: 256 KiB of chained digests each, one nonce in each lane.
//!
//! A nonce is made from its end: each digest hashes what stands behind it, at most 4,096 bytes, and at the very end account and number in big-endian bytes.
//! The digest of the whole is mixed into every digest. Scoop s is digest 2s and, of the mirrored scoop, digest 2(4,095 - s) + 1.

use crate::shabal::{DIGEST, Shabal};
use crate::word::Word;
use adit_plugin_sdk::plot::{NONCE_BYTES, SCOOPS};
use adit_plugin_sdk::space::HARD_SCORE_BYTES;

/// The words of a nonce.
const NONCE: usize = NONCE_BYTES / 4;

/// The words behind it: account and number.
const SEED: usize = 4;

/// The most words that a digest of the chain hashes.
const REACH: usize = 4_096 / 4;

/// The words of a challenge.
const CHALLENGE: usize = 8;

/// What is asked of a nonce.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    account: u64,
    number: u64,
    /// Below [`SCOOPS`].
    scoop: usize,
    challenge: [u32; CHALLENGE],
}

/// Nonces that have been made.
pub struct Nonces<W> {
    /// The digests before the last mixing, digest 0 first, then the seed.
    words: Vec<W>,
    whole: [W; DIGEST],
}

impl Question {
    /// Reads an input. `None` for another length, or a scoop that no nonce has.
    pub fn read(input: &[u8]) -> Option<Self> {
        let input: &[u8; HARD_SCORE_BYTES] = input.try_into().ok()?;
        let (words, _) = input.as_chunks::<4>();
        let word = |at: usize| u32::from_le_bytes(words[at]);
        let long = |at: usize| u64::from(word(at + 1)) << 32 | u64::from(word(at));
        let scoop = usize::try_from(word(4)).ok().filter(|scoop| *scoop < SCOOPS)?;
        let challenge = [5, 6, 7, 8, 9, 10, 11, 12].map(word);
        Some(Self { account: long(0), number: long(2), scoop, challenge })
    }
}

/// Returns how good each nonce answers.
pub fn qualities<W: Word<LANES>, const LANES: usize>(questions: [Question; LANES]) -> [u64; LANES] {
    let nonces = Nonces::<W>::make(questions.map(|question| (question.account, question.number)));
    let mut message = [W::splat(0); CHALLENGE + 2 * DIGEST];
    for (at, word) in message[..CHALLENGE].iter_mut().enumerate() {
        *word = W::new(questions.map(|question| question.challenge[at]));
    }
    for (at, word) in message[CHALLENGE..].iter_mut().enumerate() {
        *word = W::new(nonces.scoop_word(questions.map(|question| question.scoop), at));
    }
    let [low, high, ..] = Shabal::<W>::begin().digest(&message);
    let (low, high) = (low.words(), high.words());
    std::array::from_fn(|lane| u64::from(high[lane]) << 32 | u64::from(low[lane]))
}

impl<W> Nonces<W> {
    /// Makes a nonce of an account with a number in each lane.
    pub fn make<const LANES: usize>(seeds: [(u64, u64); LANES]) -> Self
    where
        W: Word<LANES>,
    {
        let begin = Shabal::<W>::begin();
        let mut words = vec![W::splat(0); NONCE + SEED];
        let seeds = seeds.map(|(account, number)| [account, number].map(u64::to_be_bytes));
        for (at, word) in words[NONCE..].iter_mut().enumerate() {
            *word = W::new(seeds.map(|seed| u32::from_le_bytes(seed.as_flattened().as_chunks().0[at])));
        }
        let end = words.len();
        let mut place = NONCE;
        // Digest 0 has the first place; the digest of the whole has none.
        let whole = loop {
            let reach = if place == 0 { end } else { end.min(place + REACH) };
            let digest = begin.digest(&words[place..reach]);
            match place.checked_sub(DIGEST) {
                None => break digest,
                Some(before) => words[before..place].copy_from_slice(&digest),
            }
            place -= DIGEST;
        };
        Self { words, whole }
    }

    /// Returns a word of the scoop that is asked for in each lane: 16 words of it are there.
    pub fn scoop_word<const LANES: usize>(&self, scoops: [usize; LANES], at: usize) -> [u32; LANES]
    where
        W: Word<LANES>,
    {
        let whole = self.whole[at % DIGEST].words();
        std::array::from_fn(|lane| {
            let scoop = scoops[lane];
            let digest = if at < DIGEST { 2 * scoop } else { 2 * (SCOOPS - 1 - scoop) + 1 };
            self.words[digest * DIGEST + at % DIGEST].words()[lane] ^ whole[lane]
        })
    }
}
