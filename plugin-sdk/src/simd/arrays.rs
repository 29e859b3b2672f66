//! The lanes as arrays: what the instructions do, written out.

pub(super) type Words = [u32; 4];
pub(super) type Pair = [u64; 2];

#[inline(always)]
fn both(x: Words, y: Words, combine: impl Fn(u32, u32) -> u32) -> Words {
    [combine(x[0], y[0]), combine(x[1], y[1]), combine(x[2], y[2]), combine(x[3], y[3])]
}

#[inline(always)]
pub(super) fn new(words: [u32; 4]) -> Words {
    words
}

#[inline(always)]
pub(super) fn words(x: Words) -> [u32; 4] {
    x
}

#[inline(always)]
pub(super) fn add(x: Words, y: Words) -> Words {
    both(x, y, u32::wrapping_add)
}

#[inline(always)]
pub(super) fn sub(x: Words, y: Words) -> Words {
    both(x, y, u32::wrapping_sub)
}

#[inline(always)]
pub(super) fn and(x: Words, y: Words) -> Words {
    both(x, y, |x, y| x & y)
}

#[inline(always)]
pub(super) fn or(x: Words, y: Words) -> Words {
    both(x, y, |x, y| x | y)
}

#[inline(always)]
pub(super) fn xor(x: Words, y: Words) -> Words {
    both(x, y, |x, y| x ^ y)
}

#[inline(always)]
pub(super) fn without(x: Words, y: Words) -> Words {
    both(x, y, |x, y| x & !y)
}

#[inline(always)]
pub(super) fn not(x: Words) -> Words {
    x.map(|word| !word)
}

#[inline(always)]
pub(super) fn shift_left(x: Words, bits: u32) -> Words {
    x.map(|word| word << bits)
}

#[inline(always)]
pub(super) fn shift_right(x: Words, bits: u32) -> Words {
    x.map(|word| word >> bits)
}

#[inline(always)]
pub(super) fn swap_bytes(x: Words) -> Words {
    x.map(u32::swap_bytes)
}

#[inline(always)]
pub(super) fn at_most(x: Words, bound: Words) -> u8 {
    let bit = |lane: usize| u8::from(x[lane] <= bound[lane]) << lane;
    bit(0) | bit(1) | bit(2) | bit(3)
}

#[inline(always)]
pub(super) fn dot(x: Words, y: Words) -> Words {
    both(x, y, |x, y| {
        let ([low, high], [other_low, other_high]) = (signed_halves(x), signed_halves(y));
        (low * other_low).wrapping_add(high * other_high).cast_unsigned()
    })
}

/// Returns the low half and the high one.
#[inline(always)]
fn signed_halves(word: u32) -> [i32; 2] {
    let [a, b, c, d] = word.to_le_bytes();
    [[a, b], [c, d]].map(|half| i32::from(i16::from_le_bytes(half)))
}

#[inline(always)]
pub(super) fn pack(a: Words, b: Words, c: Words, d: Words) -> Pair {
    let half = |low: Words, high: Words| {
        let bytes = |words: Words| words.map(|word| u64::from(word.cast_signed().clamp(0, 255).cast_unsigned()));
        let ([a, b, c, d], [e, f, g, h]) = (bytes(low), bytes(high));
        a | b << 8 | c << 16 | d << 24 | e << 32 | f << 40 | g << 48 | h << 56
    };
    [half(a, b), half(c, d)]
}

#[inline(always)]
pub(super) fn turn_lanes<const LANES: usize>(x: Words) -> Words {
    [x[LANES % 4], x[(LANES + 1) % 4], x[(LANES + 2) % 4], x[(LANES + 3) % 4]]
}

/// The low words of both in turn, and the high ones.
#[inline(always)]
pub(super) fn zip(x: Words, y: Words) -> (Words, Words) {
    ([x[0], y[0], x[1], y[1]], [x[2], y[2], x[3], y[3]])
}

/// The low halves of both, and the high ones.
#[inline(always)]
pub(super) fn halves(x: Words, y: Words) -> (Words, Words) {
    ([x[0], x[1], y[0], y[1]], [x[2], x[3], y[2], y[3]])
}

#[inline(always)]
pub(super) fn pair(words: [u64; 2]) -> Pair {
    words
}

#[inline(always)]
pub(super) fn pair_words(x: Pair) -> [u64; 2] {
    x
}

#[inline(always)]
pub(super) fn pair_xor(x: Pair, y: Pair) -> Pair {
    [x[0] ^ y[0], x[1] ^ y[1]]
}

#[inline(always)]
pub(super) fn pair_without(x: Pair, y: Pair) -> Pair {
    [x[0] & !y[0], x[1] & !y[1]]
}

#[inline(always)]
pub(super) fn pair_rotate_left(x: Pair, bits: u32) -> Pair {
    x.map(|word| word.rotate_left(bits))
}
