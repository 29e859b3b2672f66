//! ROMix with N = 1024 and r = 1: fills 128 KiB with the course of a hash, then walks through it in an order that the data decide.
//!
//! Several hashes run at once, one in each quad of a vector, in several groups of vectors: Salsa20/8 is one long chain of dependent
//! steps, and only other hashes can fill the time in which it waits. The groups stand at different places of the chain
//! ([`lead`]), so that the memory accesses of one fall into the arithmetic of the others.

use crate::words::Quads;

/// How many rows a hash has: scrypt's N.
pub const ROWS: usize = 1024;

/// 64 bytes, on a cache line of their own.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Block(pub [u32; 16]);

/// The state of one hash at one step: scrypt's block of 2r times 64 bytes. Words are in diagonal order: see [`DIAGONAL`].
pub type Row = [Block; 2];

/// The working memory of `H` hashes: rows of the same number lie together.
pub type Memory<const H: usize> = [[Row; H]; ROWS];

/// Where the words of a 64-byte block stand in diagonal order, in which the four words that Salsa20 works on together are the same
/// lane of four quads.
pub const DIAGONAL: [usize; 16] = [0, 5, 10, 15, 4, 9, 14, 3, 8, 13, 2, 7, 12, 1, 6, 11];

/// Double rounds in one step of ROMix: two times Salsa20/8.
const SLOTS: usize = 8;

/// One vector group: `V::QUADS` hashes.
#[derive(Clone, Copy)]
struct Group<V> {
    low: [V; 4],
    high: [V; 4],
    /// What Salsa20 works on.
    core: [V; 4],
}

/// Runs its body once for each group, with the number as a constant: an index that varies would keep the state in memory.
macro_rules! each_group {
    ($groups:ident, $group:ident => $body:expr) => {
        each_group!($groups, $group => $body; 0 1 2 3 4 5)
    };
    ($groups:ident, $group:ident => $body:expr; $($number:literal)*) => {{
        $(if $number < $groups {
            const $group: usize = $number;
            $body
        })*
    }};
}

/// Runs ROMix on `H` hashes in `G` groups.
#[inline(always)]
pub fn romix<V: Quads, const G: usize, const H: usize>(
    machine: V::Machine,
    states: &mut [Row; H],
    memory: &mut Memory<H>,
) {
    const { assert!(G <= 6 && H == G * V::QUADS, "a hash for each quad of each group") };
    let zero = [V::splat(machine, 0); 4];
    let mut groups = [Group { low: zero, high: zero, core: zero }; G];
    each_group!(G, N => {
        let mut rows = [&states[0]; 4];
        for (quad, row) in rows[..V::QUADS].iter_mut().enumerate() {
            *row = &states[N * V::QUADS + quad];
        }
        groups[N] = Group::load(machine, rows);
    });
    let groups = pass::<V, true, G, H>(machine, groups, memory);
    let groups = pass::<V, false, G, H>(machine, groups, memory);
    each_group!(G, N => groups[N].store(&mut states[N * V::QUADS..][..V::QUADS]));
}

/// Returns by how many double rounds group `number` is ahead of group 0.
const fn lead(number: usize, groups: usize) -> usize {
    number * SLOTS / groups
}

/// Takes all groups through all rows: to fill the memory, or to mix it in.
#[inline(always)]
fn pass<V: Quads, const FILL: bool, const G: usize, const H: usize>(
    machine: V::Machine,
    mut groups: [Group<V>; G],
    memory: &mut Memory<H>,
) -> [Group<V>; G] {
    each_group!(G, N => for slot in 0..lead(N, G) {
        groups[N].begin::<FILL, H>(machine, memory, (0, slot), N);
        double_round(&mut groups[N].core);
        groups[N].end(slot);
    });
    for step in 0..ROWS - 1 {
        macro_rules! slots {
            ($($slot:literal)*) => {$(
                each_group!(G, N => {
                    let ahead = $slot + lead(N, G);
                    groups[N].begin::<FILL, H>(machine, memory, (step + ahead / SLOTS, ahead % SLOTS), N);
                });
                double_rounds(&mut groups);
                each_group!(G, N => groups[N].end(($slot + lead(N, G)) % SLOTS));
            )*};
        }
        slots!(0 1 2 3 4 5 6 7);
    }
    each_group!(G, N => for slot in lead(N, G)..SLOTS {
        groups[N].begin::<FILL, H>(machine, memory, (ROWS - 1, slot), N);
        double_round(&mut groups[N].core);
        groups[N].end(slot);
    });
    groups
}

impl<V: Quads> Group<V> {
    /// How many vectors a 64-byte block fills.
    const PER_BLOCK: usize = 4 / V::QUADS;

    /// Reads a row for each quad: the first `V::QUADS` of `rows`.
    #[inline(always)]
    fn load(machine: V::Machine, rows: [&Row; 4]) -> Self {
        let mut halves = [[V::splat(machine, 0); 4]; 2];
        for (half, vectors) in halves.iter_mut().enumerate() {
            for (part, vector) in vectors.iter_mut().enumerate() {
                let words = &rows[part / Self::PER_BLOCK][half].0;
                *vector = V::load(machine, &words[part % Self::PER_BLOCK * V::LANES..]);
            }
            *vectors = V::from_blocks(*vectors);
        }
        let [low, high] = halves;
        Self { low, high, core: low }
    }

    /// Writes one row for each quad.
    #[inline(always)]
    fn store(&self, rows: &mut [Row]) {
        for (half, quads) in [self.low, self.high].into_iter().enumerate() {
            for (part, vector) in V::to_blocks(quads).into_iter().enumerate() {
                let words = &mut rows[part / Self::PER_BLOCK][half].0;
                vector.store(&mut words[part % Self::PER_BLOCK * V::LANES..]);
            }
        }
    }

    /// Does what comes before a double round: the memory's part at the first slot of a step, the second block at the fifth.
    #[inline(always)]
    fn begin<const FILL: bool, const H: usize>(
        &mut self,
        machine: V::Machine,
        memory: &mut Memory<H>,
        (step, slot): (usize, usize),
        number: usize,
    ) {
        let first = number * V::QUADS;
        if slot == 0 {
            if FILL {
                self.store(&mut memory[step % ROWS][first..first + V::QUADS]);
            } else {
                let mut words = Block([0; 16]);
                self.high[0].store(&mut words.0);
                let mut rows = [&memory[0][0]; 4];
                for (quad, row) in rows[..V::QUADS].iter_mut().enumerate() {
                    *row = &memory[words.0[4 * quad] as usize % ROWS][first + quad];
                }
                let row = Self::load(machine, rows);
                xor(&mut self.low, &row.low);
                xor(&mut self.high, &row.high);
            }
            xor(&mut self.low, &self.high);
            self.core = self.low;
        } else if slot == SLOTS / 2 {
            add(&mut self.low, &self.core);
            xor(&mut self.high, &self.low);
            self.core = self.high;
        }
    }

    /// Does what comes after a double round: the end of a step.
    #[inline(always)]
    fn end(&mut self, slot: usize) {
        if slot == SLOTS - 1 {
            add(&mut self.high, &self.core);
        }
    }
}

#[inline(always)]
fn add<V: Quads>(into: &mut [V; 4], more: &[V; 4]) {
    for (into, more) in into.iter_mut().zip(more) {
        *into = *into + *more;
    }
}

#[inline(always)]
fn xor<V: Quads>(into: &mut [V; 4], mask: &[V; 4]) {
    for (into, mask) in into.iter_mut().zip(mask) {
        *into = *into ^ *mask;
    }
}

#[inline(always)]
fn double_round<V: Quads>(core: &mut [V; 4]) {
    let mut alone = [Group { low: *core, high: *core, core: *core }];
    double_rounds(&mut alone);
    *core = alone[0].core;
}

/// Does a double round of Salsa20 on each group, instruction by instruction side by side.
#[inline(always)]
fn double_rounds<V: Quads, const G: usize>(groups: &mut [Group<V>; G]) {
    macro_rules! quarter {
        ($into:literal ^= ($a:literal + $b:literal) <<< $bits:literal) => {
            each_group!(G, N => {
                let core = &mut groups[N].core;
                core[$into] = core[$into] ^ (core[$a] + core[$b]).rotate_left::<$bits>();
            })
        };
    }
    macro_rules! turn {
        ($($vector:literal by $places:literal),*) => {
            each_group!(G, N => {
                let core = &mut groups[N].core;
                $(core[$vector] = core[$vector].rotate_quads::<$places>();)*
            })
        };
    }
    quarter!(1 ^= (0 + 3) <<< 7);
    quarter!(2 ^= (1 + 0) <<< 9);
    quarter!(3 ^= (2 + 1) <<< 13);
    quarter!(0 ^= (3 + 2) <<< 18);
    turn!(1 by 1, 2 by 2, 3 by 3);
    quarter!(3 ^= (0 + 1) <<< 7);
    quarter!(2 ^= (3 + 0) <<< 9);
    quarter!(1 ^= (2 + 3) <<< 13);
    quarter!(0 ^= (1 + 2) <<< 18);
    turn!(1 by 3, 2 by 2, 3 by 1);
}
