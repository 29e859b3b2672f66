//! Logarithms and powers in integers: the same bits on every machine.

/// One, where a number has 16 binary digits behind the point.
pub const ONE_Q16: i64 = 1 << 16;
/// The base-two logarithm of e, with 16 binary digits behind the point.
pub const LOG2_E_Q16: i64 = 94_548;
/// The base-two logarithm of e, with 32 binary digits behind the point.
const LOG2_E_Q32: u128 = 6_196_328_019;
/// The natural logarithm of 2, with 62 binary digits behind the point.
const LN_2_Q62: u128 = 3_196_577_161_300_663_915;

/// Returns the base-two logarithm of a number, with 16 binary digits behind the point, rounded down. Of 0 it returns that of 1.
pub fn log2_q16(number: u128) -> i64 {
    let number = number.max(1);
    let whole = number.ilog2();
    // The number as 1.xxx with 63 binary digits: squaring it doubles its logarithm, and a carry is the next digit of that.
    let mut mantissa = if whole <= 63 { number << (63 - whole) } else { number >> (whole - 63) };
    let mut log = i64::from(whole);
    for _ in 0..16 {
        mantissa = (mantissa * mantissa) >> 63;
        let carry = mantissa >> 64 != 0;
        log = log << 1 | i64::from(carry);
        mantissa >>= u32::from(carry);
    }
    log
}

/// Returns `amount` · e^(−`age` / `scale`), rounded down; exact to about 2^−31 of it. A scale of 0 counts as 1.
pub fn decayed(amount: u64, age: u64, scale: u64) -> u64 {
    let exponent = u128::from(age) * LOG2_E_Q32 / u128::from(scale.max(1));
    let halvings = exponent >> 32;
    if halvings >= 64 {
        return 0;
    }
    let rest = ((exponent & 0xffff_ffff) * LN_2_Q62) >> 32;
    // e^−x as its series, for x below ln 2: the terms fall faster than by halves.
    let (mut sum, mut term) = (1i128 << 62, 1i128 << 62);
    for order in 1.. {
        term = -((term * rest.cast_signed()) >> 62) / order;
        if term == 0 {
            break;
        }
        sum += term;
    }
    let decayed = (u128::from(amount) * sum.unsigned_abs()) >> (62 + halvings);
    u64::try_from(decayed).expect("what decays does not grow")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_of_powers_of_two_are_whole() {
        for power in [0, 1, 16, 63, 64, 127] {
            assert_eq!(log2_q16(1 << power), i64::from(power) * ONE_Q16);
        }
        assert_eq!(log2_q16(0), 0);
    }

    #[test]
    fn logarithms_are_rounded_down_to_16_digits() {
        // log2 3 = 1.584962500…, log2 10 = 3.321928094…
        assert_eq!(log2_q16(3), 103_872);
        assert_eq!(log2_q16(10), 217_705);
        assert_eq!(log2_q16(10 << 100), 217_705 + 100 * ONE_Q16);
    }

    #[test]
    fn an_amount_decays_by_e_in_each_scale() {
        const AMOUNT: u64 = 1_000_000_000_000;
        assert_eq!(decayed(AMOUNT, 0, 60), AMOUNT);
        assert_eq!(decayed(AMOUNT, 60, 60) / 1_000, 367_879_441);
        assert_eq!(decayed(AMOUNT, 600, 60), 45_399_929);
        assert_eq!(decayed(1 << 62, u64::MAX, 1), 0);
        assert_eq!(decayed(u64::MAX, 0, 0), u64::MAX);
    }

    #[test]
    fn an_amount_never_grows_with_age() {
        let ages = (0..20_000).map(|step| decayed(1 << 40, step * 37, 100_000));
        assert!(ages.is_sorted_by(|younger, older| younger >= older));
    }
}
