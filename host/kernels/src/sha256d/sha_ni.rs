//! Two messages at a time on the SHA instructions: one alone waits for its own results half of the time.

use super::NAME;
use super::plain::{self, INITIAL};
use super::rounds::K;
use super::tail::{self, Part, Start};
use crate::kernel::{Finds, Job, Kernel};
use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_blend_epi16, _mm_cvtsi128_si32, _mm_set_epi32, _mm_sha256msg1_epu32,
    _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi32,
};

/// The backend.
pub(super) struct ShaNi(());

impl Kernel for ShaNi {
    const ALGORITHM: &'static str = NAME;
    const BACKEND: &'static str = "sha-ni-2";

    fn detect() -> Option<Self> {
        let found =
            is_x86_feature_detected!("sha") && is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("sse4.1");
        found.then_some(Self(()))
    }

    fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
        plain::digest_many(inputs, each, digests);
    }

    fn search(&self, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
        if !tail::fits(job) {
            return plain::search(job, finds);
        }
        tail::search(job, finds, 2, &|part, range, top, hits| {
            // SAFETY: `self` exists only where the CPU has the SHA instructions, SSSE3 and SSE4.1.
            unsafe { scan(part, range, top, hits) }
        })
    }
}

/// The variables of one message as the instructions want them: `a b e f` and `c d g h`, the first one highest.
type State = (__m128i, __m128i);

/// Runs two rounds on both messages; what was `a b e f` is `c d g h` after it.
macro_rules! two_rounds {
    ($x:ident $y:ident, $wk_x:expr, $wk_y:expr) => {
        $x = (_mm_sha256rnds2_epu32($x.1, $x.0, $wk_x), $x.0);
        $y = (_mm_sha256rnds2_epu32($y.1, $y.0, $wk_y), $y.0);
    };
}

/// Runs four rounds on both messages. The arguments are their message words plus constants.
macro_rules! four_rounds {
    ($x:ident $y:ident, $wk_x:expr, $wk_y:expr) => {
        let (wk_x, wk_y) = ($wk_x, $wk_y);
        two_rounds!($x $y, wk_x, wk_y);
        two_rounds!($x $y, upper(wk_x), upper(wk_y));
    };
}

/// The next four message words, in place of those 16 words before.
macro_rules! expand_four {
    ($w:ident[$at:expr]) => {
        $w[$at % 4] = _mm_sha256msg2_epu32(
            _mm_add_epi32(
                _mm_sha256msg1_epu32($w[$at % 4], $w[($at + 1) % 4]),
                _mm_alignr_epi8::<4>($w[($at + 3) % 4], $w[($at + 2) % 4]),
            ),
            $w[($at + 3) % 4],
        );
    };
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn upper(wk: __m128i) -> __m128i {
    _mm_shuffle_epi32::<0x0e>(wk)
}

/// Makes a vector of four words, the first one lowest.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn four(words: &[u32], at: usize) -> __m128i {
    let word = |index: usize| words[at + index].cast_signed();
    _mm_set_epi32(word(3), word(2), word(1), word(0))
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn state([a, b, c, d, e, f, g, h]: [u32; 8]) -> State {
    (four(&[f, e, b, a], 0), four(&[h, g, d, c], 0))
}

/// Message words plus constants of all rounds, four to a vector.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn schedule(part: &Part, nonce: u32) -> [__m128i; 16] {
    let [w0, w1, w2, ..] = part.words;
    let first = four(&[w0, w1, w2, nonce.swap_bytes()], 0);
    let mut w = [first, four(&part.words, 4), four(&part.words, 8), four(&part.words, 12)];
    let mut out = [first; 16];
    out[0] = _mm_add_epi32(w[0], four(&K, 0));
    out[1] = four(&part.wk, 4);
    out[2] = four(&part.wk, 8);
    out[3] = four(&part.wk, 12);
    macro_rules! next {
        ($($at:literal)*) => {$(
            expand_four!(w[$at]);
            out[$at] = _mm_add_epi32(w[$at % 4], four(&K, 4 * $at));
        )*};
    }
    next!(4 5 6 7 8 9 10 11 12 13 14 15);
    out
}

/// The first hash of both messages: the states after their last blocks.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn first(start: &Start, wk_x: &[__m128i; 16], wk_y: &[__m128i; 16]) -> (State, State) {
    let (mut x, mut y) = (state(start.second), state(start.second));
    two_rounds!(x y, upper(wk_x[0]), upper(wk_y[0]));
    macro_rules! rounds {
        ($($at:literal)*) => {$(
            four_rounds!(x y, wk_x[$at], wk_y[$at]);
        )*};
    }
    rounds!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    let middle = state(start.midstate);
    let sum = |now: State| (_mm_add_epi32(now.0, middle.0), _mm_add_epi32(now.1, middle.1));
    (sum(x), sum(y))
}

/// Message words of a digest: `a b c d` and `e f g h`, the first one lowest.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn digest_words((abef, cdgh): State) -> State {
    let abef = _mm_shuffle_epi32::<0x1b>(abef);
    let ghcd = _mm_shuffle_epi32::<0xb1>(cdgh);
    (_mm_blend_epi16::<0xf0>(abef, ghcd), _mm_alignr_epi8::<8>(ghcd, abef))
}

/// The last words of the second hashes, over the digests that the states stand for.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn second_last_words((first_x, first_y): (State, State)) -> (u32, u32) {
    const PADDING: [u32; 8] = [0x8000_0000, 0, 0, 0, 0, 0, 0, 256];
    let (words_x, words_y) = (digest_words(first_x), digest_words(first_y));
    let mut w_x = [words_x.0, words_x.1, four(&PADDING, 0), four(&PADDING, 4)];
    let mut w_y = [words_y.0, words_y.1, four(&PADDING, 0), four(&PADDING, 4)];
    let (mut x, mut y) = (state(INITIAL), state(INITIAL));
    macro_rules! wk {
        ($w:ident, $at:literal) => {
            _mm_add_epi32($w[$at % 4], four(&K, 4 * $at))
        };
    }
    macro_rules! given {
        ($($at:literal)*) => {$(
            four_rounds!(x y, wk!(w_x, $at), wk!(w_y, $at));
        )*};
    }
    macro_rules! expanded {
        ($($at:literal)*) => {$(
            expand_four!(w_x[$at]);
            expand_four!(w_y[$at]);
            four_rounds!(x y, wk!(w_x, $at), wk!(w_y, $at));
        )*};
    }
    given!(0 1 2 3);
    expanded!(4 5 6 7 8 9 10 11 12 13 14);
    expand_four!(w_x[15]);
    expand_four!(w_y[15]);
    two_rounds!(x y, wk!(w_x, 15), wk!(w_y, 15));
    // `f` after round 61 is `h` after round 63.
    let last = |now: State| _mm_cvtsi128_si32(now.0).cast_unsigned().wrapping_add(INITIAL[7]);
    (last(x), last(y))
}

/// The search, as [`tail::ScanGroups`] describes it.
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn scan(part: &Part, (first_nonce, groups): (u32, u32), top: u32, hits: &mut [u32; 16]) -> u32 {
    for group in 0..groups {
        let nonce = first_nonce.wrapping_add(group * 2);
        let (wk_x, wk_y) = (schedule(part, nonce), schedule(part, nonce.wrapping_add(1)));
        let mut any = 0;
        for (start, hits) in part.starts.iter().zip(&mut *hits) {
            let (x, y) = second_last_words(first(start, &wk_x, &wk_y));
            *hits = u32::from(x.swap_bytes() <= top) | u32::from(y.swap_bytes() <= top) << 1;
            any |= *hits;
        }
        if any != 0 {
            return group + 1;
        }
    }
    groups
}
