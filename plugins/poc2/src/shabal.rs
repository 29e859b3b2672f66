//! Shabal-256 of messages of whole words (Bresson et al., "Shabal, a submission to NIST's cryptographic hash algorithm competition", 2008).

use crate::word::Word;

/// The words of a block.
pub const BLOCK: usize = 16;

/// The words of a digest.
pub const DIGEST: usize = 8;

/// How often the last block is permuted in once more.
const FINAL_ROUNDS: usize = 3;

/// The word behind a message: a single bit, in the order in which bytes are read.
const END: u32 = 0x80;

/// The bits of the digest: the first of the words that the state before any message is made from.
const DIGEST_BITS: u32 = 256;

/// Does something with each number: written out, so that state and block lie in registers and on the stack and no index is looked at.
macro_rules! each {
    ($number:ident in [$($literal:literal)*] $body:expr) => {$({ const $number: usize = $literal; $body; })*};
}

/// The state between two blocks.
#[derive(Clone, Copy)]
pub struct Shabal<W> {
    a: [W; 12],
    b: [W; 16],
    c: [W; 16],
    /// The number of the next block.
    counter: u64,
}

impl<W> Shabal<W> {
    /// The state before the first block of a message: that after two blocks of words that count up, numbered -1 and 0.
    pub fn begin<const LANES: usize>() -> Self
    where
        W: Word<LANES>,
    {
        let zero = W::splat(0);
        let mut state = Self { a: [zero; 12], b: [zero; 16], c: [zero; 16], counter: u64::MAX };
        let mut word = DIGEST_BITS;
        for _ in 0..2 {
            let mut block = [zero; BLOCK];
            for place in &mut block {
                *place = W::splat(word);
                word += 1;
            }
            state.take(&block);
        }
        state
    }

    /// Hashes a message. The state is one that [`Shabal::begin`] has made.
    #[inline(always)]
    pub fn digest<const LANES: usize>(mut self, message: &[W]) -> [W; DIGEST]
    where
        W: Word<LANES>,
    {
        let (blocks, rest) = message.as_chunks::<BLOCK>();
        for block in blocks {
            self.take(block);
        }
        let mut last = [W::splat(0); BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        last[rest.len()] = W::splat(END);
        self.add(&last);
        for round in 0..=FINAL_ROUNDS {
            if round > 0 {
                std::mem::swap(&mut self.b, &mut self.c);
            }
            self.permute(&last);
        }
        let [.., a, b, c, d, e, f, g, h] = self.b;
        [a, b, c, d, e, f, g, h]
    }

    /// Takes in a block that is not the last.
    #[inline(always)]
    fn take<const LANES: usize>(&mut self, block: &[W; BLOCK])
    where
        W: Word<LANES>,
    {
        self.add(block);
        self.permute(block);
        each!(AT in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] self.c[AT] = self.c[AT].minus(block[AT]));
        std::mem::swap(&mut self.b, &mut self.c);
        self.counter = self.counter.wrapping_add(1);
    }

    #[inline(always)]
    fn add<const LANES: usize>(&mut self, block: &[W; BLOCK])
    where
        W: Word<LANES>,
    {
        each!(AT in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] self.b[AT] = self.b[AT].plus(block[AT]));
    }

    /// Mixes in the block's number, then does the keyed permutation.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the number is taken apart")]
    fn permute<const LANES: usize>(&mut self, block: &[W; BLOCK])
    where
        W: Word<LANES>,
    {
        self.a[0] = self.a[0].xor(W::splat(self.counter as u32));
        self.a[1] = self.a[1].xor(W::splat((self.counter >> 32) as u32));
        each!(AT in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] self.b[AT] = self.b[AT].rotate_left::<17>());
        each!(STEP in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] self.step::<LANES, STEP>(block));
        each!(STEP in [16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31] self.step::<LANES, STEP>(block));
        each!(STEP in [32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47] self.step::<LANES, STEP>(block));
        // The specification's 36 sums, three to each word of `a`.
        each!(AT in [0 1 2 3 4 5 6 7 8 9 10 11] self.a[AT] =
            self.a[AT].plus(self.c[(AT + 3) % 16]).plus(self.c[(AT + 11) % 16]).plus(self.c[(AT + 15) % 16]));
    }

    /// One of the permutation's 48 steps, which are three times sixteen over `b` and four times twelve over `a`.
    #[inline(always)]
    fn step<const LANES: usize, const STEP: usize>(&mut self, block: &[W; BLOCK])
    where
        W: Word<LANES>,
    {
        let (a, b) = (STEP % 12, STEP % 16);
        let before = self.a[(STEP + 11) % 12].rotate_left::<15>().times_five();
        let mixed = self.a[a].xor(before).xor(self.c[(56 - STEP) % 16]).times_three();
        let picked = self.b[(b + 9) % 16].without(self.b[(b + 6) % 16]);
        self.a[a] = mixed.xor(self.b[(b + 13) % 16]).xor(picked).xor(block[b]);
        self.b[b] = self.b[b].rotate_left::<1>().xor(self.a[a].not());
    }
}
