//! SHA-256 (FIPS 180-4) of four messages at once, one in each lane.

use adit_plugin_sdk::Hash256;
use adit_plugin_sdk::simd::Words;

/// The state that a message begins with.
pub const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The constants of the 64 rounds.
#[rustfmt::skip]
pub const K: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

#[inline(always)]
pub fn sigma_0(x: Words) -> Words {
    x.rotate_right::<2>() ^ x.rotate_right::<13>() ^ x.rotate_right::<22>()
}

#[inline(always)]
pub fn sigma_1(x: Words) -> Words {
    x.rotate_right::<6>() ^ x.rotate_right::<11>() ^ x.rotate_right::<25>()
}

#[inline(always)]
pub fn small_sigma_0(x: Words) -> Words {
    x.rotate_right::<7>() ^ x.rotate_right::<18>() ^ x.shift_right::<3>()
}

#[inline(always)]
pub fn small_sigma_1(x: Words) -> Words {
    x.rotate_right::<17>() ^ x.rotate_right::<19>() ^ x.shift_right::<10>()
}

/// Takes the bits of `f` where those of `e` are set, and those of `g` elsewhere.
#[inline(always)]
pub fn choose(e: Words, f: Words, g: Words) -> Words {
    g ^ (e & (f ^ g))
}

/// Takes the bits that most of the three have. The next round uses `a ^ b` again, as its `b ^ c`.
#[inline(always)]
pub fn majority(a: Words, b: Words, c: Words) -> Words {
    b ^ ((a ^ b) & (b ^ c))
}

/// One round, written out eight times by its callers, so that no variable moves. `$d` becomes `e` of the next round and `$h` its `a`.
/// The sums are in this order because each round waits for the `e` and the `a` of the one before.
macro_rules! round {
    ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $h_and_wk:expr) => {
        let d = $d;
        $d = ($h_and_wk + d + choose($e, $f, $g)) + sigma_1($e);
        $h = ($d + (majority($a, $b, $c) - d)) + sigma_0($a);
    };
}

/// One round of which only `e` is wanted.
macro_rules! round_e {
    ($d:ident $e:ident $f:ident $g:ident, $h_and_wk:expr) => {
        $d = ($h_and_wk + $d + choose($e, $f, $g)) + sigma_1($e);
    };
}

/// Eight rounds from round `$at`; `$wk!(i)` is the message word of round i plus its constant.
macro_rules! eight_rounds {
    ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $at:expr, $wk:ident) => {
        round!($a $b $c $d $e $f $g $h, $h + $wk!($at));
        round!($h $a $b $c $d $e $f $g, $g + $wk!($at + 1));
        round!($g $h $a $b $c $d $e $f, $f + $wk!($at + 2));
        round!($f $g $h $a $b $c $d $e, $e + $wk!($at + 3));
        round!($e $f $g $h $a $b $c $d, $d + $wk!($at + 4));
        round!($d $e $f $g $h $a $b $c, $c + $wk!($at + 5));
        round!($c $d $e $f $g $h $a $b, $b + $wk!($at + 6));
        round!($b $c $d $e $f $g $h $a, $a + $wk!($at + 7));
    };
}

/// The next message word, in place of the one 16 words before.
macro_rules! expand {
    ($w:ident[$at:expr]) => {
        $w[$at % 16] =
            $w[$at % 16] + small_sigma_0($w[($at + 1) % 16]) + $w[($at + 9) % 16] + small_sigma_1($w[($at + 14) % 16]);
    };
}

/// Runs a macro on numbers, one after another.
macro_rules! each {
    ($macro:ident: $($at:literal)*) => {
        $($macro!($at);)*
    };
}

pub(crate) use {each, eight_rounds, expand, round, round_e};

/// Folds one block for each lane into the states.
fn compress(state: &mut [Words; 8], mut w: [Words; 16]) {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for sixteen in K.as_chunks::<16>().0 {
        macro_rules! word {
            ($index:expr) => {
                w[$index] + Words::splat(sixteen[$index])
            };
        }
        macro_rules! next {
            ($index:expr) => {
                expand!(w[$index]);
            };
        }
        eight_rounds!(a b c d e f g h, 0, word);
        eight_rounds!(a b c d e f g h, 8, word);
        each!(next: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    }
    for (state, now) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *state = *state + now;
    }
}

/// Hashes four inputs of `each` bytes twice.
pub fn digest_four(inputs: &[u8], each: usize) -> [Hash256; 4] {
    let padded_length = (each + 9).next_multiple_of(64);
    let mut messages = vec![0; 4 * padded_length];
    for (message, input) in messages.chunks_exact_mut(padded_length).zip(inputs.chunks_exact(each.max(1))) {
        message[..each].copy_from_slice(input);
        message[each] = 0x80;
        message[padded_length - 8..].copy_from_slice(&(each as u64 * 8).to_be_bytes());
    }
    let mut state = INITIAL.map(Words::splat);
    for block in (0..padded_length).step_by(64) {
        let mut w = [Words::splat(0); 16];
        for (index, word) in w.iter_mut().enumerate() {
            let at = block + 4 * index;
            *word = Words::new([0, 1, 2, 3].map(|lane| read_word(&messages, lane * padded_length + at))).swap_bytes();
        }
        compress(&mut state, w);
    }
    let mut padding = [Words::splat(0); 16];
    padding[..8].copy_from_slice(&state);
    padding[8] = Words::splat(0x8000_0000);
    padding[15] = Words::splat(256);
    let mut state = INITIAL.map(Words::splat);
    compress(&mut state, padding);
    let mut digests = [Hash256::default(); 4];
    for (index, words) in state.into_iter().enumerate() {
        for (digest, word) in digests.iter_mut().zip(words.words()) {
            digest.0[4 * index..][..4].copy_from_slice(&word.to_be_bytes());
        }
    }
    digests
}

fn read_word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
