//! The matrix: 64 rows of 64 nibbles, by the first 32 bytes of an input.

/// The nibbles, row by row.
pub(super) type Nibbles = [[u8; 64]; 64];

/// A pivot up to this counts as zero.
const EPSILON: f64 = 1e-9;

/// Returns the seed of an input: its first 32 bytes, padded with zeros.
pub(super) fn seed(input: &[u8]) -> [u8; 32] {
    let mut seed = [0; 32];
    let length = input.len().min(32);
    seed[..length].copy_from_slice(&input[..length]);
    seed
}

/// Returns the first matrix of full rank that xoshiro256++ brings from a seed; from zeros, which bring nothing else, zeros.
#[inline(always)]
pub(super) fn nibbles(seed: &[u8; 32]) -> Nibbles {
    let mut state = [0; 4];
    for (word, bytes) in state.iter_mut().zip(seed.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    let mut nibbles = [[0; 64]; 64];
    if state == [0; 4] {
        return nibbles;
    }
    loop {
        for sixteen in nibbles.as_flattened_mut().chunks_exact_mut(16) {
            let number = next(&mut state);
            for (pair, byte) in sixteen.as_chunks_mut::<2>().0.iter_mut().zip(number.to_le_bytes()) {
                *pair = [byte & 0xf, byte >> 4];
            }
        }
        if has_full_rank(&nibbles) {
            return nibbles;
        }
    }
}

/// Steps xoshiro256++ (Blackman and Vigna).
fn next(state: &mut [u64; 4]) -> u64 {
    let out = state[0].wrapping_add(state[3]).rotate_left(23).wrapping_add(state[0]);
    let shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = state[3].rotate_left(45);
    out
}

/// Tells whether Gauss's elimination in `f64` finds a pivot in each column, with the operations of Kaspa's nodes in their order:
/// what is rounded otherwise could decide otherwise.
///
/// Values of columns done with are never read again, so that whole groups of columns are computed.
#[inline(always)]
fn has_full_rank(nibbles: &Nibbles) -> bool {
    const GROUP: usize = 8;
    let mut rows = [[0.0; 64]; 64];
    for (row, nibbles) in rows.as_flattened_mut().iter_mut().zip(nibbles.as_flattened()) {
        *row = f64::from(*nibbles);
    }
    let mut was_pivot = [false; 64];
    for column in 0..64 {
        let Some(pivot) = (0..64).find(|row| !was_pivot[*row] && rows[*row][column].abs() > EPSILON) else {
            return false;
        };
        was_pivot[pivot] = true;
        let start = column / GROUP;
        let mut pivot = rows[pivot];
        let divisor = pivot[column];
        for value in pivot.as_chunks_mut::<GROUP>().0[start..].as_flattened_mut() {
            *value /= divisor;
        }
        for (row, _) in rows.iter_mut().zip(&was_pivot).filter(|(_, was_pivot)| !**was_pivot) {
            let factor = row[column];
            if factor.abs() > EPSILON {
                let groups = row.as_chunks_mut::<GROUP>().0[start..].iter_mut();
                for (group, pivot) in groups.zip(&pivot.as_chunks::<GROUP>().0[start..]) {
                    for (value, pivot) in group.iter_mut().zip(pivot) {
                        *value -= pivot * factor;
                    }
                }
            }
        }
    }
    true
}
