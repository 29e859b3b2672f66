//! SHA-256 in the lanes of a vector, for any width: a backend brings its operations and gets the kernel.

/// One round. `$h` becomes `a` of the next one, `$d` its `e`: the caller turns the names.
macro_rules! round {
    ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $h_and_wk:expr) => {
        let t1 = add($h_and_wk, add(sigma_1($e), choose($e, $f, $g)));
        $d = add($d, t1);
        $h = add(t1, add(sigma_0($a), majority($a, $b, $c)));
    };
}

/// One round of which only `e` is wanted.
macro_rules! round_e {
    ($d:ident $e:ident $f:ident $g:ident, $h_and_wk:expr) => {
        $d = add($d, add($h_and_wk, add(sigma_1($e), choose($e, $f, $g))));
    };
}

/// The next message word, in place of the one 16 words before.
macro_rules! expand {
    ($w:ident[$at:expr]) => {
        $w[$at % 16] = add(
            add($w[$at % 16], small_sigma_0($w[($at + 1) % 16])),
            add($w[($at + 9) % 16], small_sigma_1($w[($at + 14) % 16])),
        );
    };
}

/// Runs the eight rounds from `$at`; `$wk!(i)` is round i's message word plus its constant.
macro_rules! eight_rounds {
    ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $at:expr, $wk:ident) => {
        round!($a $b $c $d $e $f $g $h, add($h, $wk!($at)));
        round!($h $a $b $c $d $e $f $g, add($g, $wk!($at + 1)));
        round!($g $h $a $b $c $d $e $f, add($f, $wk!($at + 2)));
        round!($f $g $h $a $b $c $d $e, add($e, $wk!($at + 3)));
        round!($e $f $g $h $a $b $c $d, add($d, $wk!($at + 4)));
        round!($d $e $f $g $h $a $b $c, add($c, $wk!($at + 5)));
        round!($c $d $e $f $g $h $a $b, add($b, $wk!($at + 6)));
        round!($b $c $d $e $f $g $h $a, add($a, $wk!($at + 7)));
    };
}

/// Runs a macro on numbers, one after another.
macro_rules! each {
    ($macro:ident: $($at:literal)*) => {
        $($macro!($at);)*
    };
}

/// Writes the functions of a vector backend.
///
/// The backend's module has, all for `$feature`: `add`, `set1`, `sigma_0` and `sigma_1` (of the rounds), `small_sigma_0` and
/// `small_sigma_1` (of the message schedule), `choose`, `majority`, `nonces` (message words of consecutive nonces), `not_above`
/// (lanes whose word, its bytes swapped, is at most a number), `load` and `store`.
///
/// Everything is unrolled and written as macros: neither a closure nor `array::from_fn` is compiled with the features of the function around it.
macro_rules! lanes {
    ($feature:literal, $vector:ty, $lanes:literal) => {
        /// Message words 18 to 63 plus their constants, at their index less 18, for a vector of nonces.
        #[inline]
        #[target_feature(enable = $feature)]
        fn schedule(part: &Part, nonces: $vector) -> [$vector; 46] {
            let mut out = [nonces; 46];
            // Word i lies at i % 16; words before 18 are in the part's constants.
            let mut w = [nonces; 16];
            macro_rules! put {
                ($at:expr, $word:expr) => {
                    w[$at % 16] = $word;
                    out[$at - 18] = add(w[$at % 16], set1(K[$at]));
                };
            }
            macro_rules! fixed_and {
                ($at:expr, $sum:expr) => {
                    put!($at, add(set1(part.fixed[$at]), $sum));
                };
            }
            macro_rules! fixed_and_both {
                ($at:expr) => {
                    fixed_and!($at, add(w[($at - 7) % 16], small_sigma_1(w[($at - 2) % 16])));
                };
            }
            macro_rules! full {
                ($at:expr) => {
                    expand!(w[$at]);
                    out[$at - 18] = add(w[$at % 16], set1(K[$at]));
                };
            }
            fixed_and!(18, small_sigma_0(nonces));
            fixed_and!(19, nonces);
            fixed_and!(20, small_sigma_1(w[18 % 16]));
            fixed_and!(21, small_sigma_1(w[19 % 16]));
            fixed_and!(22, small_sigma_1(w[20 % 16]));
            fixed_and!(23, small_sigma_1(w[21 % 16]));
            fixed_and!(24, small_sigma_1(w[22 % 16]));
            each!(fixed_and_both: 25 26 27 28 29 30 31 32);
            fixed_and!(33, add(add(small_sigma_0(w[18 % 16]), w[26 % 16]), small_sigma_1(w[31 % 16])));
            each!(full: 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);
            out
        }

        /// The first hash: the state after the last block.
        #[inline]
        #[target_feature(enable = $feature)]
        fn first(part: &Part, start: &Start, nonces: $vector, wk: &[$vector; 46]) -> [$vector; 8] {
            let four = &start.fourth;
            let (mut a, mut e) = (add(set1(four[0]), nonces), add(set1(four[4]), nonces));
            let (mut b, mut c, mut d) = (set1(four[1]), set1(four[2]), set1(four[3]));
            let (mut f, mut g) = (set1(four[5]), set1(four[6]));
            let mut h;
            macro_rules! constant {
                ($at:expr) => {
                    set1(part.wk[$at])
                };
            }
            macro_rules! vector {
                ($at:expr) => {
                    wk[$at - 18]
                };
            }
            // Where `h` is still constant, it is added to the constant.
            round!(a b c d e f g h, set1(four[7].wrapping_add(part.wk[4])));
            round!(h a b c d e f g, set1(four[6].wrapping_add(part.wk[5])));
            round!(g h a b c d e f, set1(four[5].wrapping_add(part.wk[6])));
            round!(f g h a b c d e, add(e, constant!(7)));
            eight_rounds!(e f g h a b c d, 8, constant);
            round!(e f g h a b c d, add(d, constant!(16)));
            round!(d e f g h a b c, add(c, constant!(17)));
            eight_rounds!(c d e f g h a b, 18, vector);
            eight_rounds!(c d e f g h a b, 26, vector);
            eight_rounds!(c d e f g h a b, 34, vector);
            eight_rounds!(c d e f g h a b, 42, vector);
            eight_rounds!(c d e f g h a b, 50, vector);
            round!(c d e f g h a b, add(b, vector!(58)));
            round!(b c d e f g h a, add(a, vector!(59)));
            round!(a b c d e f g h, add(h, vector!(60)));
            round!(h a b c d e f g, add(g, vector!(61)));
            round!(g h a b c d e f, add(f, vector!(62)));
            round!(f g h a b c d e, add(e, vector!(63)));
            let middle = &start.midstate;
            [
                add(e, set1(middle[0])),
                add(f, set1(middle[1])),
                add(g, set1(middle[2])),
                add(h, set1(middle[3])),
                add(a, set1(middle[4])),
                add(b, set1(middle[5])),
                add(c, set1(middle[6])),
                add(d, set1(middle[7])),
            ]
        }

        /// The last word of the second hash, over the digests that the states `first` stand for.
        #[inline]
        #[target_feature(enable = $feature)]
        fn second_last_word(first: &[$vector; 8]) -> $vector {
            let zero = set1(0);
            let mut w =
                [first[0], first[1], first[2], first[3], first[4], first[5], first[6], first[7], zero, zero, zero, zero, zero, zero, zero, zero];
            macro_rules! given {
                ($at:expr) => {
                    add(w[$at], set1(K[$at]))
                };
            }
            macro_rules! padding {
                ($at:expr) => {
                    set1(PADDING[$at].wrapping_add(K[$at]))
                };
            }
            macro_rules! expanded {
                ($at:expr) => {{
                    expand!(w[$at]);
                    add(w[$at % 16], set1(K[$at]))
                }};
            }
            const PADDING: [u32; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0x8000_0000, 0, 0, 0, 0, 0, 0, 256];
            // After round 0 all but `a` and `e` are constant, and those are constant but for word 0.
            const ROUND_0: [u32; 8] = tail::round(INITIAL, K[0]);
            let (mut h, mut d) = (add(w[0], set1(ROUND_0[0])), add(w[0], set1(ROUND_0[4])));
            let (mut a, mut b, mut c) = (set1(ROUND_0[1]), set1(ROUND_0[2]), set1(ROUND_0[3]));
            let (mut e, mut f) = (set1(ROUND_0[5]), set1(ROUND_0[6]));
            let mut g;
            round!(h a b c d e f g, add(w[1], set1(ROUND_0[7].wrapping_add(K[1]))));
            round!(g h a b c d e f, add(w[2], set1(ROUND_0[6].wrapping_add(K[2]))));
            round!(f g h a b c d e, add(w[3], set1(ROUND_0[5].wrapping_add(K[3]))));
            round!(e f g h a b c d, add(d, given!(4)));
            round!(d e f g h a b c, add(c, given!(5)));
            round!(c d e f g h a b, add(b, given!(6)));
            round!(b c d e f g h a, add(a, given!(7)));
            eight_rounds!(a b c d e f g h, 8, padding);
            // Words 16 to 31 without the terms that the padding makes zero or constant.
            macro_rules! word {
                ($at:expr, $word:expr) => {{
                    w[$at % 16] = $word;
                    add(w[$at % 16], set1(K[$at]))
                }};
            }
            const SIGMA_0_OF_8: u32 = tail::small_sigma_0(PADDING[8]);
            const SIGMA_0_OF_15: u32 = tail::small_sigma_0(PADDING[15]);
            const SIGMA_1_OF_15: u32 = tail::small_sigma_1(PADDING[15]);
            round!(a b c d e f g h, add(h, word!(16, add(w[0], small_sigma_0(w[1])))));
            round!(h a b c d e f g, add(g, word!(17, add(set1(SIGMA_1_OF_15), add(w[1], small_sigma_0(w[2]))))));
            round!(g h a b c d e f, add(f, word!(18, add(add(w[2], small_sigma_0(w[3])), small_sigma_1(w[0])))));
            round!(f g h a b c d e, add(e, word!(19, add(add(w[3], small_sigma_0(w[4])), small_sigma_1(w[1])))));
            round!(e f g h a b c d, add(d, word!(20, add(add(w[4], small_sigma_0(w[5])), small_sigma_1(w[2])))));
            round!(d e f g h a b c, add(c, word!(21, add(add(w[5], small_sigma_0(w[6])), small_sigma_1(w[3])))));
            round!(c d e f g h a b, add(b, word!(22, add(
                add(w[6], small_sigma_0(w[7])), add(set1(PADDING[15]), small_sigma_1(w[4]))))));
            round!(b c d e f g h a, add(a, word!(23, add(
                add(w[7], set1(SIGMA_0_OF_8)), add(w[0], small_sigma_1(w[5]))))));
            round!(a b c d e f g h, add(h, word!(24, add(set1(PADDING[8]), add(w[1], small_sigma_1(w[6]))))));
            round!(h a b c d e f g, add(g, word!(25, add(w[2], small_sigma_1(w[7])))));
            round!(g h a b c d e f, add(f, word!(26, add(w[3], small_sigma_1(w[8])))));
            round!(f g h a b c d e, add(e, word!(27, add(w[4], small_sigma_1(w[9])))));
            round!(e f g h a b c d, add(d, word!(28, add(w[5], small_sigma_1(w[10])))));
            round!(d e f g h a b c, add(c, word!(29, add(w[6], small_sigma_1(w[11])))));
            round!(c d e f g h a b, add(b, word!(30, add(set1(SIGMA_0_OF_15), add(w[7], small_sigma_1(w[12]))))));
            round!(b c d e f g h a, add(a, word!(31, add(
                add(set1(PADDING[15]), small_sigma_0(w[0])), add(w[8], small_sigma_1(w[13]))))));
            eight_rounds!(a b c d e f g h, 32, expanded);
            eight_rounds!(a b c d e f g h, 40, expanded);
            eight_rounds!(a b c d e f g h, 48, expanded);
            round!(a b c d e f g h, add(h, expanded!(56)));
            round_e!(c d e f, add(g, expanded!(57)));
            round_e!(b c d e, add(f, expanded!(58)));
            round_e!(a b c d, add(e, expanded!(59)));
            round_e!(h a b c, add(d, expanded!(60)));
            // `e` of round 60 is `h` of round 63.
            add(h, set1(INITIAL[7]))
        }

        /// The search, as [`tail::ScanGroups`] describes it.
        #[target_feature(enable = $feature)]
        fn scan(part: &Part, first_nonce: u32, groups: u32, top: u32, hits: &mut [u32; 16]) -> u32 {
            for group in 0..groups {
                let nonces = nonces(first_nonce.wrapping_add(group * $lanes));
                let wk = schedule(part, nonces);
                let mut any = 0;
                for (start, hits) in part.starts.iter().zip(&mut *hits) {
                    let last_word = second_last_word(&first(part, start, nonces, &wk));
                    *hits = not_above(last_word, top);
                    any |= *hits;
                }
                if any != 0 {
                    return group + 1;
                }
            }
            groups
        }

        /// Folds one block for each lane into the states.
        #[target_feature(enable = $feature)]
        fn compress(state: &mut [$vector; 8], mut w: [$vector; 16]) {
            let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
            for at in [0, 16, 32, 48] {
                macro_rules! word {
                    ($index:expr) => {
                        add(w[$index], set1(K[at + $index]))
                    };
                }
                eight_rounds!(a b c d e f g h, 0, word);
                eight_rounds!(a b c d e f g h, 8, word);
                macro_rules! next {
                    ($index:expr) => {
                        expand!(w[$index]);
                    };
                }
                each!(next: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
            }
            for (state, now) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
                *state = add(*state, now);
            }
        }

        /// Hashes a whole group of inputs, one in each lane.
        #[target_feature(enable = $feature)]
        fn digest_group(group: &mut Group<$lanes>, inputs: &[u8], digests: &mut [[u8; 32]]) {
            let zero = set1(0);
            let mut state = [zero; 8];
            for (state, initial) in state.iter_mut().zip(INITIAL) {
                *state = set1(initial);
            }
            group.set_inputs(inputs);
            for block in 0..group.blocks() {
                let words = group.words(inputs, block);
                let mut w = [zero; 16];
                for (w, words) in w.iter_mut().zip(&words) {
                    *w = load(words);
                }
                compress(&mut state, w);
            }
            let [a, b, c, d, e, f, g, h] = state;
            let w = [a, b, c, d, e, f, g, h, set1(0x8000_0000), zero, zero, zero, zero, zero, zero, set1(256)];
            for (state, initial) in state.iter_mut().zip(INITIAL) {
                *state = set1(initial);
            }
            compress(&mut state, w);
            let mut words = [[0; $lanes]; 8];
            for (words, state) in words.iter_mut().zip(state) {
                store(words, state);
            }
            for (lane, digest) in digests.iter_mut().enumerate() {
                let mut own = [0; 8];
                for (own, words) in own.iter_mut().zip(&words) {
                    *own = words[lane];
                }
                *digest = plain::bytes(own);
            }
        }
    };
}

use super::plain;

/// Inputs of one length, one for each lane, and their last blocks with the padding.
pub(super) struct Group<const LANES: usize> {
    each: usize,
    tails: [[u8; 128]; LANES],
}

impl<const LANES: usize> Group<LANES> {
    /// Makes ready for inputs of `each` bytes.
    pub(super) fn new(each: usize) -> Self {
        let used = each % 64;
        let mut tail = [0; 128];
        let blocks = (used + 9).div_ceil(64);
        plain::pad(&mut tail[..64 * blocks], used, each);
        Self { each, tails: [tail; LANES] }
    }

    /// Takes the ends of `LANES` inputs.
    pub(super) fn set_inputs(&mut self, inputs: &[u8]) {
        let used = self.each % 64;
        for (lane, tail) in self.tails.iter_mut().enumerate() {
            let end = (lane + 1) * self.each;
            tail[..used].copy_from_slice(&inputs[end - used..end]);
        }
    }

    /// Returns the number of blocks of a padded input.
    pub(super) fn blocks(&self) -> usize {
        (self.each + 9).div_ceil(64)
    }

    /// Returns the message words of a block, for each word one for each lane.
    pub(super) fn words(&self, inputs: &[u8], block: usize) -> [[u32; LANES]; 16] {
        let whole = self.each / 64;
        let mut out = [[0; LANES]; 16];
        for lane in 0..LANES {
            let bytes = if block < whole {
                &inputs[lane * self.each + 64 * block..][..64]
            } else {
                &self.tails[lane][64 * (block - whole)..][..64]
            };
            for (out, word) in out.iter_mut().zip(bytes.as_chunks().0) {
                out[lane] = u32::from_be_bytes(*word);
            }
        }
        out
    }
}

/// Hashes the inputs of one group. The digests may be fewer: those of the last lanes are dropped then.
pub(super) type DigestGroup<'a, const LANES: usize> = &'a dyn Fn(&mut Group<LANES>, &[u8], &mut [[u8; 32]]);

/// Hashes inputs in groups of `LANES`; `digest_group` hashes whole groups.
pub(super) fn digest_many<const LANES: usize>(
    inputs: &[u8],
    each: usize,
    digests: &mut [[u8; 32]],
    digest_group: DigestGroup<'_, LANES>,
) {
    let mut group = Group::new(each);
    let (whole, rest) = digests.as_chunks_mut::<LANES>();
    for (number, digests) in whole.iter_mut().enumerate() {
        digest_group(&mut group, &inputs[number * LANES * each..][..LANES * each], digests);
    }
    let inputs = &inputs[whole.len() * LANES * each..];
    // A group costs as much as a few inputs one after another.
    if rest.len() > LANES / 4 {
        let mut filled = inputs.to_vec();
        filled.resize(LANES * each, 0);
        digest_group(&mut group, &filled, rest);
    } else {
        plain::digest_many(inputs, each, rest);
    }
}
