//! SHA-256 (FIPS 180-4): its constants, and its rounds on one message and on the lanes of any vector.
//!
//! The rounds on lanes are macros that turn the names of the variables instead of moving them, and nobody loops over single rounds:
//! unrolled, the compiler keeps the variables in registers.

use crate::words::Words;

/// The constants of the 64 rounds.
#[rustfmt::skip]
pub(crate) const K: [u32; 64] = [
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
pub(crate) fn sigma_0<V: Words>(x: V) -> V {
    x.rotate_right::<2>() ^ x.rotate_right::<13>() ^ x.rotate_right::<22>()
}

#[inline(always)]
pub(crate) fn sigma_1<V: Words>(x: V) -> V {
    x.rotate_right::<6>() ^ x.rotate_right::<11>() ^ x.rotate_right::<25>()
}

#[inline(always)]
pub(crate) fn small_sigma_0<V: Words>(x: V) -> V {
    x.rotate_right::<7>() ^ x.rotate_right::<18>() ^ x.shift_right::<3>()
}

#[inline(always)]
pub(crate) fn small_sigma_1<V: Words>(x: V) -> V {
    x.rotate_right::<17>() ^ x.rotate_right::<19>() ^ x.shift_right::<10>()
}

/// Reverses the bytes of each word.
#[inline(always)]
pub(crate) fn swap_bytes<V: Words>(machine: V::Machine, x: V) -> V {
    V::splat(machine, 0xff00_ff00).choose(x.rotate_right::<8>(), x.rotate_left::<8>())
}

/// Returns each word in every lane of a vector.
// A loop: what `array::map` calls is compiled without the features of the function around it.
#[inline(always)]
pub(crate) fn splat_all<V: Words, const N: usize>(machine: V::Machine, words: [u32; N]) -> [V; N] {
    let mut out = [V::splat(machine, 0); N];
    for (out, word) in out.iter_mut().zip(words) {
        *out = V::splat(machine, word);
    }
    out
}

/// One round. `$h` becomes `a` of the next one, `$d` its `e`: the caller turns the names.
macro_rules! round {
    ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $h_and_wk:expr) => {
        let t1 = $h_and_wk + (sigma_1($e) + $e.choose($f, $g));
        $d = $d + t1;
        $h = t1 + (sigma_0($a) + $a.majority($b, $c));
    };
}

/// One round of which only `e` is wanted.
macro_rules! round_e {
    ($d:ident $e:ident $f:ident $g:ident, $h_and_wk:expr) => {
        $d = $d + ($h_and_wk + (sigma_1($e) + $e.choose($f, $g)));
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

/// Eight rounds from round `$at` of two messages in turn: what one waits for, the other does meanwhile.
macro_rules! eight_rounds_of_two {
    (
        $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident,
        $i:ident $j:ident $k:ident $l:ident $m:ident $n:ident $o:ident $p:ident,
        $at:expr, $wk:ident, $xk:ident
    ) => {
        round!($a $b $c $d $e $f $g $h, $h + $wk!($at));
        round!($i $j $k $l $m $n $o $p, $p + $xk!($at));
        round!($h $a $b $c $d $e $f $g, $g + $wk!($at + 1));
        round!($p $i $j $k $l $m $n $o, $o + $xk!($at + 1));
        round!($g $h $a $b $c $d $e $f, $f + $wk!($at + 2));
        round!($o $p $i $j $k $l $m $n, $n + $xk!($at + 2));
        round!($f $g $h $a $b $c $d $e, $e + $wk!($at + 3));
        round!($n $o $p $i $j $k $l $m, $m + $xk!($at + 3));
        round!($e $f $g $h $a $b $c $d, $d + $wk!($at + 4));
        round!($m $n $o $p $i $j $k $l, $l + $xk!($at + 4));
        round!($d $e $f $g $h $a $b $c, $c + $wk!($at + 5));
        round!($l $m $n $o $p $i $j $k, $k + $xk!($at + 5));
        round!($c $d $e $f $g $h $a $b, $b + $wk!($at + 6));
        round!($k $l $m $n $o $p $i $j, $j + $xk!($at + 6));
        round!($b $c $d $e $f $g $h $a, $a + $wk!($at + 7));
        round!($j $k $l $m $n $o $p $i, $i + $xk!($at + 7));
    };
}

/// The next message word, in place of the one 16 words before.
macro_rules! expand {
    ($w:ident[$at:expr]) => {
        $w[$at % 16] = ($w[$at % 16] + small_sigma_0($w[($at + 1) % 16]))
            + ($w[($at + 9) % 16] + small_sigma_1($w[($at + 14) % 16]));
    };
}

/// A message word of the first sixteen plus its constant: from word `$free` on the message is `$fixed`.
macro_rules! first_word {
    ($machine:ident, $w:ident[$at:expr], $free:ident, $fixed:ident) => {
        if $at < $free {
            $w[$at] + V::splat($machine, K[$at])
        } else {
            V::splat($machine, $fixed[$at].wrapping_add(K[$at]))
        }
    };
}

/// The same as `expand` for the words behind the first sixteen: what is fixed is summed up when this is compiled.
macro_rules! expand_first {
    ($machine:ident, $w:ident[$at:expr], $free:ident, $fixed:ident) => {
        let is_fixed = |word: usize| ($free..16).contains(&word);
        let mut sum = 0_u32;
        if is_fixed($at) {
            sum = sum.wrapping_add($fixed[$at]);
        }
        if is_fixed($at + 1) {
            sum = sum.wrapping_add(one_small_sigma_0($fixed[($at + 1) % 16]));
        }
        if is_fixed($at + 9) {
            sum = sum.wrapping_add($fixed[($at + 9) % 16]);
        }
        if is_fixed($at + 14) {
            sum = sum.wrapping_add(one_small_sigma_1($fixed[($at + 14) % 16]));
        }
        let mut word = V::splat($machine, sum);
        if !is_fixed($at) {
            word = word + $w[$at];
        }
        if !is_fixed($at + 1) {
            word = word + small_sigma_0($w[($at + 1) % 16]);
        }
        if !is_fixed($at + 9) {
            word = word + $w[($at + 9) % 16];
        }
        if !is_fixed($at + 14) {
            word = word + small_sigma_1($w[($at + 14) % 16]);
        }
        $w[$at] = word;
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
#[inline(always)]
pub(crate) fn compress<V: Words>(machine: V::Machine, state: &mut [V; 8], w: [V; 16]) {
    compress_fixed::<V, 16>(machine, state, w, &[0; 16]);
}

/// Folds one block for each lane into the states. From word `FREE` on the message is `fixed` in every lane, whatever the vectors hold there; the words of
/// `fixed` before that are of no account.
#[inline(always)]
pub(crate) fn compress_fixed<V: Words, const FREE: usize>(
    machine: V::Machine,
    state: &mut [V; 8],
    mut w: [V; 16],
    fixed: &[u32; 16],
) {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    {
        macro_rules! word {
            ($index:expr) => {
                first_word!(machine, w[$index], FREE, fixed)
            };
        }
        macro_rules! next {
            ($index:expr) => {
                expand_first!(machine, w[$index], FREE, fixed);
            };
        }
        eight_rounds!(a b c d e f g h, 0, word);
        eight_rounds!(a b c d e f g h, 8, word);
        each!(next: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    }
    for (number, sixteen) in K.as_chunks::<16>().0.iter().enumerate().skip(1) {
        macro_rules! word {
            ($index:expr) => {
                w[$index] + V::splat(machine, sixteen[$index])
            };
        }
        macro_rules! next {
            ($index:expr) => {
                expand!(w[$index]);
            };
        }
        if number > 1 {
            each!(next: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        }
        eight_rounds!(a b c d e f g h, 0, word);
        eight_rounds!(a b c d e f g h, 8, word);
    }
    for (state, now) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *state = *state + now;
    }
}

/// Folds one block for each lane of two vectors into their states. It needs twice the registers, and takes less than twice the time. From word `FREE` on the
/// message is `fixed` in every lane, whatever the vectors hold there; the words before that in `fixed` are of no account.
#[inline(always)]
pub(crate) fn compress_two<V: Words, const FREE: usize>(
    machine: V::Machine,
    states: &mut [[V; 8]; 2],
    [mut w, mut x]: [[V; 16]; 2],
    fixed: &[u32; 16],
) {
    let [[mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h], other] = *states;
    let [mut i, mut j, mut k, mut l, mut m, mut n, mut o, mut p] = other;
    {
        macro_rules! word {
            ($index:expr) => {
                first_word!(machine, w[$index], FREE, fixed)
            };
        }
        macro_rules! other_word {
            ($index:expr) => {
                first_word!(machine, x[$index], FREE, fixed)
            };
        }
        macro_rules! next {
            ($index:expr) => {
                expand_first!(machine, w[$index], FREE, fixed);
                expand_first!(machine, x[$index], FREE, fixed);
            };
        }
        eight_rounds_of_two!(a b c d e f g h, i j k l m n o p, 0, word, other_word);
        eight_rounds_of_two!(a b c d e f g h, i j k l m n o p, 8, word, other_word);
        each!(next: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    }
    for (number, sixteen) in K.as_chunks::<16>().0.iter().enumerate().skip(1) {
        macro_rules! word {
            ($index:expr) => {
                w[$index] + V::splat(machine, sixteen[$index])
            };
        }
        macro_rules! other_word {
            ($index:expr) => {
                x[$index] + V::splat(machine, sixteen[$index])
            };
        }
        macro_rules! next {
            ($index:expr) => {
                expand!(w[$index]);
                expand!(x[$index]);
            };
        }
        if number > 1 {
            each!(next: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        }
        eight_rounds_of_two!(a b c d e f g h, i j k l m n o p, 0, word, other_word);
        eight_rounds_of_two!(a b c d e f g h, i j k l m n o p, 8, word, other_word);
    }
    for (state, now) in states.as_flattened_mut().iter_mut().zip([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]) {
        *state = *state + now;
    }
}

pub(super) const fn one_small_sigma_0(x: u32) -> u32 {
    x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3)
}

pub(super) const fn one_small_sigma_1(x: u32) -> u32 {
    x.rotate_right(17) ^ x.rotate_right(19) ^ (x >> 10)
}

/// One round of one message on the variables `a` to `h`; `wk` is the message word plus the round's constant.
pub(crate) const fn one_round([a, b, c, d, e, f, g, h]: [u32; 8], wk: u32) -> [u32; 8] {
    let sigma_1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
    let t1 = h.wrapping_add(sigma_1).wrapping_add((e & f) ^ (!e & g)).wrapping_add(wk);
    let sigma_0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
    let t2 = sigma_0.wrapping_add((a & b) ^ (a & c) ^ (b & c));
    [t1.wrapping_add(t2), a, b, c, d.wrapping_add(t1), e, f, g]
}
