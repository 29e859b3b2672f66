//! ROMix with N = 1024 and r = 1: fills 128 KiB with the course of a hash, then walks through them in an order that the data decide.
//!
//! Several hashes run at once, one in each lane of vectors that hold one word of Salsa20's state each. So Salsa20 needs no shuffles
//! and has four independent chains; only the rows, each hash's own and in one piece, are turned on the way to memory and back.

use crate::words::Words;

/// How many rows a hash has: scrypt's N.
pub(super) const ROWS: usize = 1024;

/// 64 bytes, on a cache line of their own.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Block(pub(super) [u32; 16]);

/// The state of one hash at one step: scrypt's block of 2r times 64 bytes.
pub(super) type Row = [Block; 2];

/// The working memory of `H` hashes: rows of the same number lie together.
pub(super) type Memory<const H: usize> = [[Row; H]; ROWS];

/// A block of several hashes: vector `i` holds word `i` of each.
type Lanes<V> = [V; 16];

/// Runs ROMix on `H` states, one in each lane.
#[inline(always)]
pub(super) fn romix<V: Words, const H: usize>(machine: V::Machine, states: &mut [Row; H], memory: &mut Memory<H>) {
    const { assert!(H == V::LANES && 16 % H == 0, "a hash for each lane, and whole squares in a block") };
    let zero = V::splat(machine, 0);
    let (mut low, mut high) = ([zero; 16], [zero; 16]);
    load(machine, &states.each_ref(), 0, &mut low);
    load(machine, &states.each_ref(), 1, &mut high);
    for rows in memory.iter_mut() {
        store(&low, rows, 0);
        store(&high, rows, 1);
        mix(&mut low, &mut high);
    }
    for _ in 0..ROWS {
        let mut numbers = [0; H];
        high[0].store(&mut numbers);
        let mut rows = [&memory[0][0]; H];
        for (hash, row) in rows.iter_mut().enumerate() {
            *row = &memory[numbers[hash] as usize % ROWS][hash];
        }
        let mut mask = [zero; 16];
        load(machine, &rows, 0, &mut mask);
        xor(&mut low, &mask);
        load(machine, &rows, 1, &mut mask);
        xor(&mut high, &mask);
        mix(&mut low, &mut high);
    }
    store(&low, states, 0);
    store(&high, states, 1);
}

/// Reads one of the two blocks of `H` rows.
#[inline(always)]
fn load<V: Words, const H: usize>(machine: V::Machine, rows: &[&Row; H], block: usize, lanes: &mut Lanes<V>) {
    for (part, square) in lanes.chunks_exact_mut(H).enumerate() {
        for (vector, row) in square.iter_mut().zip(rows) {
            *vector = V::load(machine, &row[block].0[part * H..]);
        }
        V::transpose(square);
    }
}

/// Writes one of the two blocks of `H` rows.
#[inline(always)]
fn store<V: Words, const H: usize>(lanes: &Lanes<V>, rows: &mut [Row; H], block: usize) {
    let mut lanes = *lanes;
    for (part, square) in lanes.chunks_exact_mut(H).enumerate() {
        V::transpose(square);
        for (vector, row) in square.iter().zip(rows.iter_mut()) {
            vector.store(&mut row[block].0[part * H..]);
        }
    }
}

/// Does scrypt's BlockMix.
#[inline(always)]
fn mix<V: Words>(low: &mut Lanes<V>, high: &mut Lanes<V>) {
    xor(low, high);
    salsa(low);
    xor(high, low);
    salsa(high);
}

#[inline(always)]
fn xor<V: Words>(lanes: &mut Lanes<V>, mask: &Lanes<V>) {
    for (lane, mask) in lanes.iter_mut().zip(mask) {
        *lane = *lane ^ *mask;
    }
}

/// Does Salsa20/8: four double rounds, then the sum with what was there before.
#[inline(always)]
fn salsa<V: Words>(lanes: &mut Lanes<V>) {
    let mut x = *lanes;
    macro_rules! step {
        ($bits:literal: $($into:literal by $a:literal $b:literal),*) => {
            $(x[$into] = x[$into] ^ (x[$a] + x[$b]).rotate_left::<$bits>();)*
        };
    }
    for _ in 0..4 {
        step!(7: 4 by 0 12, 9 by 5 1, 14 by 10 6, 3 by 15 11);
        step!(9: 8 by 4 0, 13 by 9 5, 2 by 14 10, 7 by 3 15);
        step!(13: 12 by 8 4, 1 by 13 9, 6 by 2 14, 11 by 7 3);
        step!(18: 0 by 12 8, 5 by 1 13, 10 by 6 2, 15 by 11 7);
        step!(7: 1 by 0 3, 6 by 5 4, 11 by 10 9, 12 by 15 14);
        step!(9: 2 by 1 0, 7 by 6 5, 8 by 11 10, 13 by 12 15);
        step!(13: 3 by 2 1, 4 by 7 6, 9 by 8 11, 14 by 13 12);
        step!(18: 0 by 3 2, 5 by 4 7, 10 by 9 8, 15 by 14 13);
    }
    for (lane, more) in lanes.iter_mut().zip(x) {
        *lane = *lane + more;
    }
}
