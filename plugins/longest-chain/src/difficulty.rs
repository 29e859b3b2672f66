//! How a header states its difficulty, and how people count it.
//!
//! `bits` from 1 to 63 are a number of leading zero hexadecimal digits; every other value is Bitcoin's compact form. The two never
//! meet: a compact form below 2^24 would be the target 0.

use adit_plugin_sdk::common::times_easiest;
use adit_plugin_sdk::{CompactError, Target, U256};
use ruint::Uint;

/// The most leading zero digits that leave a target above 0.
pub const DIGITS_MAX: u32 = 63;

/// Wide enough for every product of a target with sums of times.
pub type Wide = Uint<512, 8>;

/// Reads the difficulty that a header states.
pub fn target_of(bits: u32) -> Result<Target, CompactError> {
    match bits {
        1..=DIGITS_MAX => Ok(target_of_digits(bits)),
        _ => Target::from_compact(bits),
    }
}

/// Returns the target that a digest with `digits` leading zero hexadecimal digits meets: 2^(256 − 4 · digits) − 1.
/// It is worth 16^digits hashes.
pub fn target_of_digits(digits: u32) -> Target {
    Target(U256::MAX >> (4 * digits.min(DIGITS_MAX) as usize))
}

/// Returns how many leading zero hexadecimal digits every digest that meets `target` has.
pub fn digits_of(target: Target) -> u32 {
    u32::try_from((256 - target.0.bit_len()) / 4).expect("256 bits are at most 64 digits")
}

/// Returns `bits` as a rule with compact targets writes them: the other coding is converted, a compact form stays as it stands.
pub fn as_compact(bits: u32) -> u32 {
    match bits {
        1..=DIGITS_MAX => target_of_digits(bits).to_compact(),
        _ => bits,
    }
}

/// Returns `value` as a target no easier than `limit` and never 0.
pub fn bounded(value: Wide, limit: Target) -> Target {
    let value = value.max(Wide::from(1u64)).min(Wide::from(limit.0));
    Target(U256::from(value))
}

/// Returns the difficulty that `bits` state, as the chain's users count it: the number of digits, or how many times harder than
/// Bitcoin's first target (0xffff · 2^208).
pub fn text(bits: u32, target: Target) -> String {
    match bits {
        1..=DIGITS_MAX => bits.to_string(),
        _ => times_easiest(Target(U256::from(0xffffu64) << 208usize), target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_plugin_sdk::Work;

    #[track_caller]
    fn check_text(bits: u32, want: &str) {
        assert_eq!(text(bits, target_of(bits).expect("valid bits")), want);
    }

    #[test]
    fn a_digit_is_worth_sixteen_times_the_work() {
        for digits in 1..=DIGITS_MAX {
            assert_eq!(target_of_digits(digits).work(), Work(U256::from(1u64) << (4 * digits as usize)));
            assert_eq!(digits_of(target_of_digits(digits)), digits);
        }
    }

    #[test]
    fn no_number_of_digits_is_a_compact_target() {
        assert!((0..0x0100_0000).step_by(97).chain(0..=255).all(|bits| Target::from_compact(bits).is_err()));
    }

    #[test]
    fn difficulties_read_as_their_users_write_them() {
        check_text(4, "4");
        check_text(0x1d00_ffff, "1");
        check_text(0x1d00_d86a, "1.1828995");
        check_text(0x1b04_04cb, "16307.42");
        check_text(0x1703_4219, "86388558925171");
        check_text(0x207f_ffff, "0.00000000046565423");
    }
}
