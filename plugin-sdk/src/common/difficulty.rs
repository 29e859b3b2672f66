//! How people count a target's difficulty.

use crate::{Target, U256};
use ruint::Uint;

/// Digits shown of a difficulty that is not a whole number.
const SIGNIFICANT_DIGITS: usize = 8;

/// Wide enough for ten times a target.
type Wide = Uint<512, 8>;

/// Returns how many times harder than `easiest` a target is, to eight significant digits, rounded down. `target` must not be 0.
pub fn times_easiest(easiest: Target, target: Target) -> String {
    let target = Wide::from(target.0.max(U256::from(1u64)));
    let (whole, mut rest) = Wide::from(easiest.0).div_rem(target);
    let mut text = whole.to_string();
    let mut significant = if whole.is_zero() { 0 } else { text.len() };
    if significant < SIGNIFICANT_DIGITS && !rest.is_zero() {
        text.push('.');
    }
    while significant < SIGNIFICANT_DIGITS && !rest.is_zero() {
        let (digit, left) = (rest * Wide::from(10u64)).div_rem(target);
        text.push_str(&digit.to_string());
        significant += usize::from(significant > 0 || !digit.is_zero());
        rest = left;
    }
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_digits_count_from_the_first_that_is_not_0() {
        let target = |value: u64| Target(U256::from(value));
        assert_eq!(times_easiest(target(10), target(10)), "1");
        assert_eq!(times_easiest(target(10), target(3)), "3.3333333");
        assert_eq!(times_easiest(target(1), target(1_000_000)), "0.000001");
        assert_eq!(times_easiest(target(123_456_789_012), target(1)), "123456789012");
    }
}
