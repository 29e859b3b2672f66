//! How hard a share is: Stratum's number, the logarithm that Adit counts in, and the target that a hash must not exceed.
//!
//! Stratum's difficulty 1 takes 2^32 hashes, for scrypt 2^16. Adit hands out powers of two alone, because firmware rounds what it
//! is told; what others hand out or ask for is read as a decimal number and rounded down. There are no floats: what a number means
//! is the same on every machine.

use adit_primitives::contract::shares::ShareDifficulty;
use adit_primitives::{Target, U256};

/// How many hashes Stratum's difficulty 1 stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// 2^32, as Bitcoin counts.
    Sha256,
    /// 2^16, as miners of scrypt count.
    Scrypt,
}

impl Base {
    /// Returns the base-two logarithm of the hashes that difficulty 1 takes.
    pub const fn log2_hashes(self) -> u8 {
        match self {
            Self::Sha256 => 32,
            Self::Scrypt => 16,
        }
    }

    /// Appends a difficulty as Stratum's number: a whole power of two, or below 1 its exact decimals.
    pub fn write(self, difficulty: ShareDifficulty, out: &mut Vec<u8>) {
        let (log2, base) = (difficulty.to_log2_hashes(), self.log2_hashes());
        let text = match base.checked_sub(log2) {
            None | Some(0) => (1_u64 << (log2 - base)).to_string(),
            // 1 / 2^n = 5^n / 10^n: n decimals.
            Some(halvings) => format!("0.{:0width$}", 5_u128.pow(halvings.into()), width = halvings.into()),
        };
        out.extend_from_slice(text.as_bytes());
    }

    /// Returns the greatest difficulty of ours that is not above the number, as far as there is one.
    pub fn difficulty(self, number: Decimal) -> ShareDifficulty {
        let hashes = number.times(U256::ONE << usize::from(self.log2_hashes()));
        log2(hashes)
    }

    /// Returns the target of a difficulty that another pool set: difficulty 1's divided by the number. What division leaves is
    /// dropped, so that no share falls short; a number so small that every hash meets it gives [`Target::MAX`].
    pub fn target(self, number: Decimal) -> Target {
        let one = share_target(ShareDifficulty::from_log2_hashes(self.log2_hashes())).0;
        Target(number.dividing(one))
    }
}

/// Returns the target of a share: 0xFFFF · 2^(240 − log2), which is Bitcoin's own at difficulty 1.
pub fn share_target(difficulty: ShareDifficulty) -> Target {
    Target(U256::from(0xffff_u32) << (240 - usize::from(difficulty.to_log2_hashes())))
}

/// Returns the greatest difficulty whose shares take no more hashes than the target does.
pub fn target_difficulty(target: Target) -> ShareDifficulty {
    // Nothing meets a target of zero but one digest, and its work is one more than 256 bits hold.
    if target.0.is_zero() { ShareDifficulty::MAX } else { log2(target.work().0) }
}

fn log2(hashes: U256) -> ShareDifficulty {
    let log2 = hashes.bit_len().saturating_sub(1);
    ShareDifficulty::from_log2_hashes(u8::try_from(log2).unwrap_or(u8::MAX))
}

/// A positive decimal number as it is written in JSON, or in a text: 30 significant digits, and a power of ten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    digits: u128,
    exponent: i16,
}

impl Decimal {
    /// The difficulty of a miner that was told none.
    pub const ONE: Self = Self { digits: 1, exponent: 0 };

    /// Digits beyond these change no difficulty: 2^-32 has 23.
    const DIGITS_MAX: u128 = 10_u128.pow(30);

    /// Reads a number such as `512`, `0.0001` or `1e-05`. Returns `None` for zero, for what is negative and for what is no number.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (mantissa, power) = match text.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, power.parse::<i16>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut number = Self { digits: 0, exponent: power };
        for digit in whole.bytes() {
            if !number.push(digit)? {
                number.exponent = number.exponent.checked_add(1)?;
            }
        }
        for digit in fraction.bytes() {
            if number.push(digit)? {
                number.exponent = number.exponent.checked_sub(1)?;
            }
        }
        (number.digits != 0).then_some(number)
    }

    /// Appends a digit, and tells whether there was room for it.
    fn push(&mut self, digit: u8) -> Option<bool> {
        let digit = char::from(digit).to_digit(10)?;
        let room = self.digits < Self::DIGITS_MAX / 10;
        if room {
            self.digits = 10 * self.digits + u128::from(digit);
        }
        Some(room)
    }

    /// Returns this number of times `of`, rounded down, stopping at the largest number.
    fn times(self, of: U256) -> U256 {
        let product = of.saturating_mul(U256::from(self.digits));
        match self.exponent {
            power @ 0.. => product.saturating_mul(ten_to(power.unsigned_abs())),
            power => product.checked_div(ten_to(power.unsigned_abs())).unwrap_or(U256::ZERO),
        }
    }

    /// Returns `of` divided by this number, stopping at the largest number. What division leaves is dropped; nothing is where the
    /// number is a power of two, however many decimals that has.
    fn dividing(self, of: U256) -> U256 {
        let power = self.exponent.unsigned_abs();
        if self.exponent >= 0 {
            return (of / U256::from(self.digits)).checked_div(ten_to(power)).unwrap_or(U256::ZERO);
        }
        let (digits, fives) = cancel(self.digits, power, 5);
        let (digits, twos) = cancel(digits, power, 2);
        let factor = |prime: u8, power: u16| U256::from(prime).saturating_pow(U256::from(power));
        (of / U256::from(digits)).saturating_mul(factor(5, fives)).saturating_mul(factor(2, twos))
    }
}

/// Shortens `digits` / `prime`^`power`.
fn cancel(mut digits: u128, mut power: u16, prime: u8) -> (u128, u16) {
    while power > 0 && digits.is_multiple_of(prime.into()) {
        digits /= u128::from(prime);
        power -= 1;
    }
    (digits, power)
}

/// Returns 10^power, stopping at the largest number.
fn ten_to(power: u16) -> U256 {
    U256::from(10).saturating_pow(U256::from(power))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
    }

    fn written(base: Base, log2: u8) -> String {
        let mut out = Vec::new();
        base.write(ShareDifficulty::from_log2_hashes(log2), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[track_caller]
    fn check(base: Base, text: &str, want_log2: u8) {
        assert_eq!(base.difficulty(decimal(text)).to_log2_hashes(), want_log2, "{text}");
    }

    #[test]
    fn difficulties_are_written_as_powers_of_two() {
        assert_eq!(written(Base::Sha256, 32), "1");
        assert_eq!(written(Base::Sha256, 42), "1024");
        assert_eq!(written(Base::Sha256, 62), "1073741824");
        assert_eq!(written(Base::Scrypt, 32), "65536");
    }

    #[test]
    fn below_one_every_decimal_is_written() {
        assert_eq!(written(Base::Sha256, 31), "0.5");
        assert_eq!(written(Base::Sha256, 22), "0.0009765625");
        assert_eq!(written(Base::Scrypt, 0), "0.0000152587890625");
        assert_eq!(written(Base::Sha256, 0), "0.00000000023283064365386962890625");
    }

    #[test]
    fn what_is_asked_for_is_rounded_down() {
        check(Base::Sha256, "1", 32);
        check(Base::Sha256, "1000", 41);
        check(Base::Sha256, "1024.0", 42);
        check(Base::Sha256, "1023.999999999", 41);
        check(Base::Sha256, "0.0001", 18);
        check(Base::Sha256, "1e-4", 18);
        check(Base::Scrypt, "65536", 32);
        check(Base::Scrypt, "2.5E3", 27);
    }

    #[test]
    fn numbers_out_of_range_give_the_nearest_difficulty() {
        check(Base::Sha256, "1e300", 62);
        check(Base::Sha256, "1e-300", 0);
        check(Base::Sha256, &"9".repeat(400), 62);
    }

    #[test]
    fn what_is_no_positive_number_is_refused() {
        for text in ["", "0", "0.0", "-1", "+1", "nan", "inf", "1e", "1e99999", ".", "1.2.3", "0x10", "1_000", "٣"] {
            assert_eq!(Decimal::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn difficulty_1_has_the_target_that_miners_know() {
        let hex = |base: Base| base.target(decimal("1")).to_string();
        assert_eq!(hex(Base::Sha256), format!("00000000ffff{}", "0".repeat(52)));
        assert_eq!(hex(Base::Scrypt), format!("0000ffff{}", "0".repeat(56)));
        assert_eq!(Base::Sha256.target(decimal("1")).to_compact(), 0x1d00_ffff);
    }

    #[test]
    fn targets_of_other_pools_are_divided_exactly() {
        let target = |text| Base::Sha256.target(decimal(text)).0;
        let one = U256::from(0xffff_u32) << 208;
        assert_eq!(target("3"), one / U256::from(3));
        assert_eq!(target("0.001"), one * U256::from(1000));
        assert_eq!(target("16384"), one >> 14);
        assert_eq!(target("1e-300"), U256::MAX);
        assert_eq!(target("1e300"), U256::ZERO);
    }

    #[test]
    fn a_target_gives_the_difficulty_below_it() {
        let one = share_target(ShareDifficulty::from_log2_hashes(32));
        assert_eq!(target_difficulty(one).to_log2_hashes(), 32);
        assert_eq!(target_difficulty(Target(one.0 / U256::from(3))).to_log2_hashes(), 33);
        assert_eq!(target_difficulty(Target::MAX).to_log2_hashes(), 0);
        assert_eq!(target_difficulty(Target(U256::ZERO)).to_log2_hashes(), 62);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_and_has_the_same_target(log2 in 0u8..=62) {
            let difficulty = ShareDifficulty::from_log2_hashes(log2);
            for base in [Base::Sha256, Base::Scrypt] {
                let number = decimal(&written(base, log2));
                prop_assert_eq!(base.difficulty(number), difficulty);
                prop_assert_eq!(base.target(number), share_target(difficulty));
            }
            prop_assert_eq!(target_difficulty(share_target(difficulty)), difficulty);
        }

        #[test]
        fn any_text_reads_without_panic(text: String, digits in "[0-9.eE+-]{0,40}") {
            for text in [text, digits] {
                if let Some(number) = Decimal::parse(&text) {
                    Base::Scrypt.target(number);
                    Base::Scrypt.difficulty(number);
                }
            }
        }
    }
}
