//! Shabal-256 on the lanes of any vector (Bresson et al., "Shabal, a submission to NIST's cryptographic hash algorithm competition", 2008).

use crate::words::Words;
use crate::words::portable::Portable;
use std::sync::LazyLock;

/// Words of a block.
pub(super) const BLOCK: usize = 16;

/// Words of a digest.
pub(super) const DIGEST: usize = 8;

/// The word that stands behind a message, before the zeros that fill its last block.
pub(super) const PADDING: u32 = 0x80;

/// How often the last block is mixed in again.
const FINAL_ROUNDS: usize = 3;

/// A state in each lane.
#[derive(Clone, Copy)]
pub(super) struct State<V> {
    a: [V; 12],
    b: [V; 16],
    c: [V; 16],
    /// The number of the next block, the same in every lane.
    count: u64,
}

/// The state that every message begins with: that after two blocks whose words count up from the digest's bits.
static BEGIN: LazyLock<State<Portable<1>>> = LazyLock::new(|| {
    let word = |word| Portable::splat((), word);
    let mut state = State { a: [word(0); 12], b: [word(0); 16], c: [word(0); 16], count: u64::MAX };
    for first in [256, 272] {
        let mut message = [word(first); BLOCK];
        for (lanes, index) in message.iter_mut().zip(0..) {
            *lanes = word(first + index);
        }
        for (b, word) in state.b.iter_mut().zip(&message) {
            *b = *b + *word;
        }
        state.permute((), &message);
        state.leave(&message);
    }
    state
});

impl<V: Words> State<V> {
    /// The state before the first block.
    #[inline(always)]
    pub(super) fn begin(machine: V::Machine) -> Self {
        let (zero, begin) = (V::splat(machine, 0), &*BEGIN);
        let mut state = Self { a: [zero; 12], b: [zero; 16], c: [zero; 16], count: begin.count };
        for (lanes, word) in state.a.iter_mut().zip(begin.a) {
            *lanes = V::splat(machine, word.word());
        }
        for (lanes, word) in state.b.iter_mut().zip(begin.b) {
            *lanes = V::splat(machine, word.word());
        }
        for (lanes, word) in state.c.iter_mut().zip(begin.c) {
            *lanes = V::splat(machine, word.word());
        }
        state
    }

    /// Takes in `blocks` and returns the digest. `block` reads one of them by its number; the last is padded.
    // The permutation stands here once: unrolled it is large.
    #[inline(always)]
    pub(super) fn digest(
        mut self,
        machine: V::Machine,
        blocks: usize,
        block: impl Fn(usize) -> [V; BLOCK],
    ) -> [V; DIGEST] {
        let mut message = [V::splat(machine, 0); BLOCK];
        for round in 0..blocks + FINAL_ROUNDS {
            if round < blocks {
                message = block(round);
                for (b, word) in self.b.iter_mut().zip(&message) {
                    *b = *b + *word;
                }
            } else {
                std::mem::swap(&mut self.b, &mut self.c);
            }
            self.permute(machine, &message);
            if round + 1 < blocks {
                self.leave(&message);
            }
        }
        let [.., a, b, c, d, e, f, g, h] = self.b;
        [a, b, c, d, e, f, g, h]
    }

    /// What stands between a block and the next one.
    #[inline(always)]
    fn leave(&mut self, message: &[V; BLOCK]) {
        for (c, word) in self.c.iter_mut().zip(message) {
            *c = *c - *word;
        }
        std::mem::swap(&mut self.b, &mut self.c);
        self.count = self.count.wrapping_add(1);
    }

    /// The keyed permutation, with the block's number mixed in before.
    #[inline(always)]
    fn permute(&mut self, machine: V::Machine, message: &[V; BLOCK]) {
        for (a, bytes) in self.a.iter_mut().zip(self.count.to_le_bytes().as_chunks().0) {
            *a = *a ^ V::splat(machine, u32::from_le_bytes(*bytes));
        }
        for b in &mut self.b {
            *b = b.rotate_left::<17>();
        }
        let ones = V::splat(machine, u32::MAX);
        for _ in 0..3 {
            macro_rules! steps {
                ($($step:literal)*) => {$( self.step::<$step>(ones, message); )*};
            }
            steps!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
            // The next sixteen begin four words further on; after three times all are in their places again.
            self.a.rotate_left(4);
        }
        macro_rules! sums {
            ($($sum:literal)*) => {$( self.a[$sum % 12] = self.a[$sum % 12] + self.c[($sum + 3) % 16]; )*};
        }
        sums!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17);
        sums!(18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35);
    }

    /// One of sixteen steps.
    #[inline(always)]
    fn step<const STEP: usize>(&mut self, ones: V, message: &[V; BLOCK]) {
        let at = STEP % 12;
        let turned = self.a[(STEP + 11) % 12].rotate_left::<15>();
        let five = turned.shift_left::<2>() + turned;
        let mixed = self.a[at] ^ five ^ self.c[(24 - STEP) % 16];
        let three = mixed.shift_left::<1>() + mixed;
        let picked = self.b[(STEP + 9) % 16].without(self.b[(STEP + 6) % 16]);
        self.a[at] = three ^ self.b[(STEP + 13) % 16] ^ picked ^ message[STEP];
        self.b[STEP] = self.b[STEP].rotate_left::<1>() ^ self.a[at] ^ ones;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(word: u32) -> Portable<1> {
        Portable::splat((), word)
    }

    #[test]
    fn an_empty_message_has_the_submissions_digest() {
        let mut message = [word(0); BLOCK];
        message[0] = word(PADDING);
        let digest = State::<Portable<1>>::begin(()).digest((), 1, |_| message);
        let bytes: Vec<u8> = digest.iter().flat_map(|lanes| lanes.word().to_le_bytes()).collect();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "aec750d11feee9f16271922fbaf5a9be142f62019ef8d720f858940070889014");
    }

    #[test]
    fn the_first_words_of_the_beginning_are_the_submissions() {
        let begin = State::<Portable<1>>::begin(());
        assert_eq!(begin.a.map(Portable::word)[..3], [0x52f8_4552, 0xe54b_7999, 0x2d8e_e3ec]);
    }
}
