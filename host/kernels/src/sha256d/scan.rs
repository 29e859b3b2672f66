//! The fast path on the lanes of any vector.

use super::plain::INITIAL;
use super::rounds::{
    K, each, eight_rounds, expand, one_round, one_small_sigma_0, one_small_sigma_1, round, round_e, sigma_0, sigma_1,
    small_sigma_0, small_sigma_1, splat_all, swap_bytes,
};
use super::tail::{Part, Start};
use crate::words::Words;

/// The search, as [`ScanGroups`](super::tail::ScanGroups) describes it.
#[inline(always)]
pub(super) fn scan<V: Words>(
    machine: V::Machine,
    part: &Part,
    (first_nonce, groups): (u32, u32),
    top: u32,
    hits: &mut [u32; 16],
) -> u32 {
    let mut steps = [0; 16];
    for (step, number) in steps.iter_mut().zip(0..) {
        *step = number;
    }
    let mut count = V::splat(machine, first_nonce) + V::load(machine, &steps);
    let (lanes, top) = (V::splat(machine, u32::try_from(V::LANES).expect("lanes are few")), V::splat(machine, top));
    for group in 0..groups {
        let nonces = swap_bytes(machine, count);
        let wk = schedule(machine, part, nonces);
        let mut any = 0;
        for (start, hits) in part.starts.iter().zip(&mut *hits) {
            let last_word = second_last_word(machine, first(machine, part, start, nonces, &wk));
            *hits = swap_bytes(machine, last_word).at_most(top);
            any |= *hits;
        }
        if any != 0 {
            return group + 1;
        }
        count = count + lanes;
    }
    groups
}

/// Message words 18 to 63 plus their constants, at their index less 18.
#[inline(always)]
fn schedule<V: Words>(machine: V::Machine, part: &Part, nonces: V) -> [V; 46] {
    let mut out = [nonces; 46];
    // Word i lies at i % 16; words before 18 are in `fixed`.
    let mut w = [nonces; 16];
    macro_rules! put {
        ($at:expr, $sum:expr) => {
            w[$at % 16] = V::splat(machine, part.fixed[$at]) + $sum;
            out[$at - 18] = w[$at % 16] + V::splat(machine, K[$at]);
        };
    }
    macro_rules! put_two {
        ($at:expr) => {
            put!($at, w[($at - 7) % 16] + small_sigma_1(w[($at - 2) % 16]));
        };
    }
    macro_rules! full {
        ($at:expr) => {
            expand!(w[$at]);
            out[$at - 18] = w[$at % 16] + V::splat(machine, K[$at]);
        };
    }
    put!(18, small_sigma_0(nonces));
    put!(19, nonces);
    put!(20, small_sigma_1(w[18 % 16]));
    put!(21, small_sigma_1(w[19 % 16]));
    put!(22, small_sigma_1(w[20 % 16]));
    put!(23, small_sigma_1(w[21 % 16]));
    put!(24, small_sigma_1(w[22 % 16]));
    each!(put_two: 25 26 27 28 29 30 31 32);
    put!(33, small_sigma_0(w[18 % 16]) + w[26 % 16] + small_sigma_1(w[31 % 16]));
    each!(full: 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);
    out
}

/// The first hash: the state after the last block.
#[inline(always)]
fn first<V: Words>(machine: V::Machine, part: &Part, start: &Start, nonces: V, wk: &[V; 46]) -> [V; 8] {
    let four = &start.fourth;
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = splat_all::<V, 8>(machine, *four);
    a = a + nonces;
    e = e + nonces;
    macro_rules! constant {
        ($at:expr) => {
            V::splat(machine, part.wk[$at])
        };
    }
    macro_rules! vector {
        ($at:expr) => {
            wk[$at - 18]
        };
    }
    round!(a b c d e f g h, h + constant!(4));
    round!(h a b c d e f g, g + constant!(5));
    round!(g h a b c d e f, f + constant!(6));
    round!(f g h a b c d e, e + constant!(7));
    eight_rounds!(e f g h a b c d, 8, constant);
    round!(e f g h a b c d, d + constant!(16));
    round!(d e f g h a b c, c + constant!(17));
    eight_rounds!(c d e f g h a b, 18, vector);
    eight_rounds!(c d e f g h a b, 26, vector);
    eight_rounds!(c d e f g h a b, 34, vector);
    eight_rounds!(c d e f g h a b, 42, vector);
    eight_rounds!(c d e f g h a b, 50, vector);
    round!(c d e f g h a b, b + vector!(58));
    round!(b c d e f g h a, a + vector!(59));
    round!(a b c d e f g h, h + vector!(60));
    round!(h a b c d e f g, g + vector!(61));
    round!(g h a b c d e f, f + vector!(62));
    round!(f g h a b c d e, e + vector!(63));
    let middle = splat_all(machine, start.midstate);
    [
        e + middle[0],
        f + middle[1],
        g + middle[2],
        h + middle[3],
        a + middle[4],
        b + middle[5],
        c + middle[6],
        d + middle[7],
    ]
}

/// The last word of the second hash, over the digests that the states `first` stand for.
#[inline(always)]
fn second_last_word<V: Words>(machine: V::Machine, first: [V; 8]) -> V {
    const PADDING: [u32; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0x8000_0000, 0, 0, 0, 0, 0, 0, 256];
    // After round 0 all but `a` and `e` are constant, and those are but for word 0.
    const ROUND_0: [u32; 8] = one_round(INITIAL, K[0]);
    let mut w = splat_all(machine, PADDING);
    w[..8].copy_from_slice(&first);
    macro_rules! given {
        ($at:expr) => {
            w[$at] + V::splat(machine, K[$at])
        };
    }
    macro_rules! padding {
        ($at:expr) => {
            V::splat(machine, PADDING[$at].wrapping_add(K[$at]))
        };
    }
    // What the padding makes constant or zero in words 16 to 31 is left out or folded below.
    macro_rules! put {
        ($at:expr, $word:expr) => {{
            w[$at % 16] = $word;
            w[$at % 16] + V::splat(machine, K[$at])
        }};
    }
    macro_rules! expanded {
        ($at:expr) => {{
            expand!(w[$at]);
            w[$at % 16] + V::splat(machine, K[$at])
        }};
    }
    const SIGMA_0_OF_8: u32 = one_small_sigma_0(PADDING[8]);
    const SIGMA_0_OF_15: u32 = one_small_sigma_0(PADDING[15]);
    const SIGMA_1_OF_15: u32 = one_small_sigma_1(PADDING[15]);
    let [mut h, mut a, mut b, mut c, mut d, mut e, mut f, mut g] = splat_all::<V, 8>(machine, ROUND_0);
    h = h + w[0];
    d = d + w[0];
    round!(h a b c d e f g, g + given!(1));
    round!(g h a b c d e f, f + given!(2));
    round!(f g h a b c d e, e + given!(3));
    round!(e f g h a b c d, d + given!(4));
    round!(d e f g h a b c, c + given!(5));
    round!(c d e f g h a b, b + given!(6));
    round!(b c d e f g h a, a + given!(7));
    eight_rounds!(a b c d e f g h, 8, padding);
    round!(a b c d e f g h, h + put!(16, w[0] + small_sigma_0(w[1])));
    round!(h a b c d e f g, g + put!(17, w[1] + small_sigma_0(w[2]) + V::splat(machine, SIGMA_1_OF_15)));
    round!(g h a b c d e f, f + put!(18, w[2] + small_sigma_0(w[3]) + small_sigma_1(w[0])));
    round!(f g h a b c d e, e + put!(19, w[3] + small_sigma_0(w[4]) + small_sigma_1(w[1])));
    round!(e f g h a b c d, d + put!(20, w[4] + small_sigma_0(w[5]) + small_sigma_1(w[2])));
    round!(d e f g h a b c, c + put!(21, w[5] + small_sigma_0(w[6]) + small_sigma_1(w[3])));
    round!(c d e f g h a b, b + put!(22, w[6] + small_sigma_0(w[7]) + V::splat(machine, PADDING[15]) + small_sigma_1(w[4])));
    round!(b c d e f g h a, a + put!(23, w[7] + V::splat(machine, SIGMA_0_OF_8) + w[0] + small_sigma_1(w[5])));
    round!(a b c d e f g h, h + put!(24, V::splat(machine, PADDING[8]) + w[1] + small_sigma_1(w[6])));
    round!(h a b c d e f g, g + put!(25, w[2] + small_sigma_1(w[7])));
    round!(g h a b c d e f, f + put!(26, w[3] + small_sigma_1(w[8])));
    round!(f g h a b c d e, e + put!(27, w[4] + small_sigma_1(w[9])));
    round!(e f g h a b c d, d + put!(28, w[5] + small_sigma_1(w[10])));
    round!(d e f g h a b c, c + put!(29, w[6] + small_sigma_1(w[11])));
    round!(c d e f g h a b, b + put!(30, V::splat(machine, SIGMA_0_OF_15) + w[7] + small_sigma_1(w[12])));
    round!(b c d e f g h a, a + put!(31, V::splat(machine, PADDING[15]) + small_sigma_0(w[0]) + w[8] + small_sigma_1(w[13])));
    eight_rounds!(a b c d e f g h, 32, expanded);
    eight_rounds!(a b c d e f g h, 40, expanded);
    eight_rounds!(a b c d e f g h, 48, expanded);
    round!(a b c d e f g h, h + expanded!(56));
    round_e!(c d e f, g + expanded!(57));
    round_e!(b c d e, f + expanded!(58));
    round_e!(a b c d, e + expanded!(59));
    round_e!(h a b c, d + expanded!(60));
    // `e` of round 60 is `h` of round 63.
    h + V::splat(machine, INITIAL[7])
}
